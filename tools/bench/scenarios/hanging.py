"""Reading movies while another service hangs: it accepts connections and never answers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import requests

from tools.bench import wrk
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least, ratio
from tools.bench.measure import Candidate, interleaved
from tools.bench.scenarios import reads
from tools.stack import process_lookup, processes
from tools.stack.waiting import wait_until

TITLE = "GET /api/movies/{id} while customers-api hangs"
HANGING, WELL, ALONE = "customers hang", "customers are well", "movies alone"
PROCESS = "customers-api"
# more than the gateway lets wait for one service, so that it refuses some
BESIDE = wrk.Request("/api/customers?limit=1", pause=0.5)
CLIENTS_BESIDE = 96
# times `seconds`: long enough for reads of customers to time out and their circuits to open
LONGER = 4
Around = Callable[[], AbstractContextManager[object]]
WORDS = {
    ALONE: "nobody else",
    WELL: f"beside {CLIENTS_BESIDE} clients of GET {BESIDE.path}, {BESIDE.pause:g} s between two",
    HANGING: f"beside the same clients, with {PROCESS} frozen (SIGSTOP)",
}


def measure(environment: Environment) -> Result:
    """Measure reads of movies beside reads of customers, while customers-api works or hangs."""
    reads.fill(environment)
    around: dict[str, Around] = {
        ALONE: nullcontext,
        WELL: partial(wrk.beside, environment.stack.url, BESIDE, CLIENTS_BESIDE),
        HANGING: partial(_hanging, environment),
    }
    candidates = [
        Candidate(
            name, f"wrk -c{reads.CLIENTS}, {WORDS[name]}", partial(_run, environment), around[name]
        )
        for name in WORDS
    ]
    figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    return Result("hanging", TITLE, figures, ratios(figures))


def ratios(figures: list[Figure]) -> list[Ratio]:
    """The ratios with their aims."""
    rate = {figure.candidate: figure.rate for figure in figures}
    return [
        at_least(0.8, f"{HANGING} : {ALONE}", rate[HANGING], rate[ALONE]),
        ratio(f"{HANGING} : {WELL}", rate[HANGING], rate[WELL]),
    ]


@contextmanager
def _hanging(environment: Environment) -> Iterator[None]:
    """Have clients read customers while customers-api does not answer."""
    pids = processes.family(process_lookup.pid(environment.stack, PROCESS))
    try:
        processes.freeze(pids)
        with wrk.beside(environment.stack.url, BESIDE, CLIENTS_BESIDE):
            yield
    finally:
        processes.thaw(pids)
    wait_until(partial(_answers, environment), 60, f"{PROCESS} to be available again", 0.5)


def _run(environment: Environment) -> Sample:
    seconds = LONGER * environment.sizes.seconds
    return wrk.load(environment.stack.url, reads.REQUEST, reads.CLIENTS, seconds).sample()


def _answers(environment: Environment) -> bool:
    """Whether all of the gateway's processes can read customers: any may get a request."""
    url = f"{environment.stack.url}{BESIDE.path}"
    return all(requests.get(url, timeout=20).ok for _ in range(20))
