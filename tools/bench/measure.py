"""Rivals take turns: A, B, C, A, B, C …, so that what the machine does besides meets all alike."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tools.bench.figures import Figure, Sample
from tools.bench.usage import Meter, Usage, added
from tools.stack.stack import Stack


@dataclass(frozen=True)
class Rival:
    """What is measured in turn with others.

    Attributes:
        name: short.
        what: what is run, in the words of the report.
        run: one turn.
        around: what has to be there for a turn, and is not measured.
    """

    name: str
    what: str
    run: Callable[[], Sample]
    around: Callable[[], AbstractContextManager[object]] = nullcontext


def interleaved(stack: Stack, rivals: Sequence[Rival], rounds: int) -> list[Figure]:
    """Let each rival have a turn in each round, and return their figures in the same order."""
    samples: list[list[Sample]] = [[] for _ in rivals]
    usages: list[list[Usage]] = [[] for _ in rivals]
    for _ in range(rounds):
        for number, rival in enumerate(rivals):
            sample, usage = _turn(stack, rival)
            samples[number].append(sample)
            usages[number].append(usage)
    return [
        Figure(rival.name, rival.what, mine, added(used))
        for rival, mine, used in zip(rivals, samples, usages, strict=True)
    ]


def _turn(stack: Stack, rival: Rival) -> tuple[Sample, Usage]:
    with rival.around():
        meter = Meter(stack)
        return rival.run(), meter.read()
