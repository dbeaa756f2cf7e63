"""The latency of reads as their rate rises, until a gateway is saturated."""

from contextlib import ExitStack
from functools import partial

from tools.bench import open_loop, servers
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Plot, Result, Sample, Series
from tools.bench.measure import Candidate, interleaved
from tools.bench.open_loop import Message
from tools.bench.scenarios import reads

TITLE = "GET /api/movies/{id} at a held rate, until saturation"
# a gateway is saturated when its answers take longer, or too many requests fail
LONGEST_MS, MOST_FAILED = 1000.0, 0.01
WORDS = {name: reads.WORDS[name] for name in (reads.GATEWAY, reads.NAIVE, reads.CHAIN)}


def read(number: int) -> Message:
    """The request of this number: the movies are read in turn."""
    path = reads.REQUEST.path.format(n=number % reads.MOVIES + 1)
    return Message("read", open_loop.request("GET", path))


def measure(environment: Environment) -> Result:
    """Measure the gateway and its naive rivals at each rate that they bear."""
    reads.fill(environment)
    with ExitStack() as stack:
        addresses = {
            reads.GATEWAY: environment.stack.url,
            reads.NAIVE: stack.enter_context(servers.naive_gateway(environment)),
            reads.CHAIN: stack.enter_context(servers.naive_chain(environment)),
        }
        for address in addresses.values():
            reads.warm_up(address)
        lines = _climb(environment, addresses)
    figures = [figure for name in lines for figure in lines[name].values()]
    return Result("curve", TITLE, figures, held=True, plots=[plot(lines)])


Lines = dict[str, dict[int, Figure]]


def _climb(environment: Environment, addresses: dict[str, str]) -> Lines:
    lines: Lines = {name: {} for name in addresses}
    for rate in environment.sizes.rates:
        bearing = [name for name in addresses if not any(map(saturated, lines[name].values()))]
        candidates = [
            Candidate(
                f"{name}, {rate:,} a second",
                WORDS[name],
                partial(_turn, environment, addresses[name], rate),
            )
            for name in bearing
        ]
        figures = interleaved(environment.stack, candidates, 1)
        for name, figure in zip(bearing, figures, strict=True):
            lines[name][rate] = figure
    return lines


def saturated(figure: Figure) -> bool:
    """Whether a higher rate would tell nothing more."""
    asked = figure.failed + figure.units
    late = (figure.median("p99") or LONGEST_MS) >= LONGEST_MS
    return late or figure.failed > MOST_FAILED * asked


def _turn(environment: Environment, address: str, rate: int) -> Sample:
    return open_loop.load(address, read, rate, environment.sizes.seconds).sample()


def plot(lines: Lines) -> Plot:
    """The median and the 99th percentile of each gateway over the rate."""
    series = [
        Series(f"{name}, {words}", [(rate, value) for rate, value in _points(line, field)])
        for name, line in lines.items()
        for field, words in (("p50", "median"), ("p99", "p99"))
    ]
    return Plot("curve", TITLE, "requests a second", "milliseconds", series)


def _points(line: dict[int, Figure], field: str) -> list[tuple[float, float]]:
    found = [(float(rate), figure.median(field)) for rate, figure in line.items()]
    return [(rate, value) for rate, value in found if value is not None]
