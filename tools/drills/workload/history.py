"""The history of a drill: each request, and each answer that a client got."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

PROMISED = ("bill", "order", "customer", "event")
"""The kinds of requests whose 201 or 202 is a promise."""


class Verdict(Enum):
    """The classes of answers."""

    ACCEPTED = "accepted"  # a promise: 201 or 202
    DONE = "done"  # any other correct answer
    REFUSED = "refused"  # with a status and cause that invite a retry
    UNANSWERED = "unanswered"  # the request may have taken effect, or not
    IMPROPER = "improper"  # anything else, such as a 500


@dataclass(frozen=True)
class Request:
    """One thing that a client wants; a request with a `key` can be repeated.

    Attributes:
        name: unique; the thing is found by it in the databases.
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
    """The answer to a request, as the client saw it.

    Attributes:
        status: of HTTP; 0 without an answer.
        id: the id under which the thing was accepted.
        at: when the answer arrived, on the clock of `time.monotonic`.
        seconds: from when the request was due to the answer.
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
    """A request with the ids under which it was accepted; more than one is wrong."""

    request: Request
    ids: frozenset[str]


class History:
    """All answers so far; thread-safe."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []
        self._lock = threading.Lock()

    def add(self, answer: Answer) -> None:
        """Add an answer."""
        with self._lock:
            self._answers.append(answer)

    def answers(self) -> Sequence[Answer]:
        """All answers, in the order of arrival."""
        with self._lock:
            return list(self._answers)

    def counts(self) -> Counter[Verdict]:
        """Count the accepted requests, each once, and the answers of every other verdict."""
        counts = Counter(answer.verdict for answer in self.answers())
        counts[Verdict.ACCEPTED] = len(self.accepted())
        return counts

    def entries(self) -> list[Entry]:
        """The requests of the promised kinds, each once, however often it was sent."""
        requests: dict[str, Request] = {}
        ids: dict[str, set[str]] = defaultdict(set)
        for answer in self.answers():
            if answer.request.kind in PROMISED:
                requests[answer.request.name] = answer.request
                if answer.verdict is Verdict.ACCEPTED and answer.id is not None:
                    ids[answer.request.name].add(answer.id)
        return [Entry(request, frozenset(ids[name])) for name, request in requests.items()]

    def accepted(self) -> list[Entry]:
        """The requests that were accepted."""
        return [entry for entry in self.entries() if entry.ids]
