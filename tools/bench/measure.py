"""Candidates take turns: A, B, C, A, B, C …, so that other load affects all of them alike."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tools.bench.figures import Figure, Sample
from tools.bench.usage import Meter, Usage, added
from tools.stack.stack import Stack


@dataclass(frozen=True)
class Candidate:
    """A program that is measured in turn with others: ours, or a baseline.

    Attributes:
        name: short.
        what: what is run, in words, for the report.
        run: one turn.
        around: setup and cleanup of a turn, which are not measured.
    """

    name: str
    what: str
    run: Callable[[], Sample]
    around: Callable[[], AbstractContextManager[object]] = nullcontext


def interleaved(stack: Stack, candidates: Sequence[Candidate], rounds: int) -> list[Figure]:
    """Give each candidate a turn in each round; returns their figures in the same order."""
    samples: list[list[Sample]] = [[] for _ in candidates]
    usages: list[list[Usage]] = [[] for _ in candidates]
    for _ in range(rounds):
        for number, candidate in enumerate(candidates):
            sample, usage = _turn(stack, candidate)
            samples[number].append(sample)
            usages[number].append(usage)
    return [
        Figure(candidate.name, candidate.what, mine, added(used))
        for candidate, mine, used in zip(candidates, samples, usages, strict=True)
    ]


def _turn(stack: Stack, candidate: Candidate) -> tuple[Sample, Usage]:
    with candidate.around():
        meter = Meter(stack)
        return candidate.run(), meter.read()
