"""Reading movies while another service hangs: it accepts connections and never answers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import requests

from tools.bench import wrk
from tools.bench.environment import Stage
from tools.bench.figures import Figure, Ratio, Row, Sample, at_least, ratio
from tools.bench.measure import Rival, interleaved
from tools.bench.scenarios import reads
from tools.stack import process_lookup, processes
from tools.stack.waiting import wait_until

TITLE = "GET /api/movies/{id} while customers-api hangs"
HANGING, WELL, ALONE = "customers hang", "customers are well", "movies alone"
PROCESS = "customers-api"
# more than the gateway lets wait for one service, so that some are refused
BESIDE = wrk.Request("/api/customers?limit=1", pause=0.5)
CLIENTS_BESIDE = 96
# of `seconds`: reads of customers time out within a turn, and their circuits open
LONGER = 4
Around = Callable[[], AbstractContextManager[object]]
WORDS = {
    ALONE: "nobody else",
    WELL: f"beside {CLIENTS_BESIDE} clients of GET {BESIDE.path}, {BESIDE.pause:g} s between two",
    HANGING: f"beside the same clients, with {PROCESS} frozen (SIGSTOP)",
}


def measure(stage: Stage) -> Row:
    """Measure reads of movies beside clients that read customers, who answer or do not."""
    reads.fill(stage)
    around: dict[str, Around] = {
        ALONE: nullcontext,
        WELL: partial(wrk.beside, stage.stack.url, BESIDE, CLIENTS_BESIDE),
        HANGING: partial(_hanging, stage),
    }
    rivals = [
        Rival(name, f"wrk -c{reads.CLIENTS}, {WORDS[name]}", partial(_run, stage), around[name])
        for name in WORDS
    ]
    figures = interleaved(stage.stack, rivals, stage.sizes.rounds)
    return Row("hanging", TITLE, figures, ratios(figures))


def ratios(figures: list[Figure]) -> list[Ratio]:
    """What was aimed at."""
    rate = {figure.rival: figure.rate for figure in figures}
    return [
        at_least(0.8, f"{HANGING} : {ALONE}", rate[HANGING], rate[ALONE]),
        ratio(f"{HANGING} : {WELL}", rate[HANGING], rate[WELL]),
    ]


@contextmanager
def _hanging(stage: Stage) -> Iterator[None]:
    """Have clients ask for customers, who do not answer."""
    pids = processes.family(process_lookup.pid(stage.stack, PROCESS))
    try:
        processes.freeze(pids)
        with wrk.beside(stage.stack.url, BESIDE, CLIENTS_BESIDE):
            yield
    finally:
        processes.thaw(pids)
    wait_until(partial(_answers, stage), 60, f"{PROCESS} to be back", 0.5)


def _run(stage: Stage) -> Sample:
    seconds = LONGER * stage.sizes.seconds
    return wrk.load(stage.stack.url, reads.REQUEST, reads.CLIENTS, seconds).sample()


def _answers(stage: Stage) -> bool:
    """Whether customers are read in each of the gateway's processes, any of which may answer."""
    url = f"{stage.stack.url}{BESIDE.path}"
    return all(requests.get(url, timeout=20).ok for _ in range(20))
