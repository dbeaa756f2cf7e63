"""How much is measured: enough for figures to quote, or a quick look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """How long and how much.

    Attributes:
        rounds: how many turns each candidate has.
        seconds: how long a turn under load takes.
        clients: how many clients post bills at once, for each measurement.
        drained: how many bills the consumers drain.
        drained_singly: how many the slower one-by-one consumer drains.
        window: how many messages the client with a window of confirms publishes.
        movies: how many movies to list and search, for each measurement, the fewest first.
        page_seconds: how long each page is requested in a turn.
        purged: how many old messages the outbox holds.
        relayed: how many unsent messages it holds.
        imported: how many orders a file holds.
        mix_rate: how many requests a second the mix has.
        mix_seconds: how long a turn of the mix takes.
        many_movies: how many movies to list and search in a row that is long.
        many_bills: how many bills to read and add to.
        many_messages: how many messages an outbox or inbox has handled before.
        rates: the requests a second of the curve of latency, in rising order.
    """

    rounds: int
    seconds: float
    clients: tuple[int, ...]
    drained: int
    drained_singly: int
    window: int
    movies: tuple[int, ...]
    page_seconds: float
    purged: int
    relayed: int
    imported: int
    mix_rate: float
    mix_seconds: float
    rates: tuple[int, ...]
    many_movies: tuple[int, ...]
    many_bills: tuple[int, ...]
    many_messages: int


FULL = Sizes(
    rounds=3,
    seconds=4,
    clients=(1, 16, 64),
    drained=100_000,
    drained_singly=5_000,
    window=30_000,
    movies=(1_000, 100_000, 1_000_000),
    page_seconds=2,
    purged=10_000_000,
    relayed=20_000,
    imported=100_000,
    mix_rate=100,
    mix_seconds=20,
    rates=(50, 100, 200, 300, 400, 500, 600, 800, 1000, 1300, 1600, 2000, 2500, 3000),
    many_movies=(1_000, 100_000, 1_000_000, 10_000_000),
    many_bills=(1_000, 1_000_000, 10_000_000),
    many_messages=1_000_000,
)
QUICK = Sizes(
    rounds=2,
    seconds=1,
    clients=(1, 16, 64),
    drained=5_000,
    drained_singly=300,
    window=5_000,
    movies=(1_000, 10_000, 100_000),
    page_seconds=0.5,
    purged=300_000,
    relayed=5_000,
    imported=10_000,
    mix_rate=100,
    mix_seconds=5,
    rates=(100, 400, 1600),
    many_movies=(1_000, 100_000),
    many_bills=(1_000, 100_000),
    many_messages=100_000,
)
