"""How hard a drill is on a platform."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """How much traffic: `rate` requests per second for `seconds`, by the chance of `seed`."""

    seconds: float
    rate: float
    seed: int
