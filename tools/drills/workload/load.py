"""The load of a drill on a platform."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """`rate` requests per second for `seconds`; `seed` determines the random choices."""

    seconds: float
    rate: float
    seed: int
