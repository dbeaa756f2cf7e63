"""What every client saw: each request of a drill, and each answer to it."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

PROMISED = ("bill", "order", "customer", "event")
"""The kinds of requests whose 201 or 202 is a promise."""


class Verdict(Enum):
    """What an answer says."""

    ACCEPTED = "accepted"  # a promise: 201 or 202
    DONE = "done"  # any other answer as it should be
    REFUSED = "refused"  # with a status that says why, and that trying again makes sense
    UNANSWERED = "unanswered"  # it may count, or not
    IMPROPER = "improper"  # anything else, such as a 500


@dataclass(frozen=True)
class Request:
    """One thing that a client wants; with a `key` it may ask for it again.

    Attributes:
        name: by which the thing is found in the databases; no other request has it.
    """

    kind: str
    name: str
    method: str
    path: str
    body: object = None
    key: str | None = None
    number: int = 0


@dataclass(frozen=True)
class Answer:
    """What a client saw.

    Attributes:
        status: 0 without an answer.
        id: what the thing is called by who has accepted it.
        at: when it came, on the clock of `time.monotonic`.
        seconds: since the moment at which the request was due.
    """

    request: Request
    verdict: Verdict
    status: int
    seconds: float
    id: str | None = None
    detail: str = ""
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Entry:
    """A request with the ids that it was accepted under; more than one is a fault."""

    request: Request
    ids: frozenset[str]


class Ledger:
    """All answers so far, from any thread."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []
        self._lock = threading.Lock()

    def add(self, answer: Answer) -> None:
        """Remember an answer."""
        with self._lock:
            self._answers.append(answer)

    def answers(self) -> Sequence[Answer]:
        """All of them, in the order in which they came."""
        with self._lock:
            return list(self._answers)

    def counts(self) -> Counter[Verdict]:
        """Count accepted requests, each once, and the answers of each other verdict."""
        counts = Counter(answer.verdict for answer in self.answers())
        counts[Verdict.ACCEPTED] = len(self.accepted())
        return counts

    def entries(self) -> list[Entry]:
        """What was asked for of the kinds that are promised, each once however often it was."""
        requests: dict[str, Request] = {}
        ids: dict[str, set[str]] = defaultdict(set)
        for answer in self.answers():
            if answer.request.kind in PROMISED:
                requests[answer.request.name] = answer.request
                if answer.verdict is Verdict.ACCEPTED and answer.id is not None:
                    ids[answer.request.name].add(answer.id)
        return [Entry(request, frozenset(ids[name])) for name, request in requests.items()]

    def accepted(self) -> list[Entry]:
        """What was promised."""
        return [entry for entry in self.entries() if entry.ids]
