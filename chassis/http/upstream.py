"""Calls to an upstream: over kept connections, with time limits and a limit of calls in flight.

An upstream may have several addresses, one for each machine that serves it. A call goes to the one
with the fewest calls in flight. If it can't be reached, the call goes to another one: a call that
has surely not been sent in any case, others only if they may be repeated.
"""

import time
from collections.abc import Sequence
from functools import partial

from prometheus_client import Histogram

from chassis import metrics
from chassis.errors import UnavailableError, UpstreamError
from chassis.http.answer import Answer
from chassis.http.bulkhead import Bulkhead
from chassis.http.call import Call
from chassis.http.upstream_address import Address, InvalidCallError
from chassis.settings import Upstream

UPSTREAM = Histogram(
    "upstream_request_duration_seconds",
    "Time that an upstream took to answer, by upstream and outcome; 0 if it was not called",
    ["upstream", "outcome"],
    buckets=metrics.SECONDS,
)
READ_SECONDS = 10.0
FIRST_SECONDS = 2.0
"""The longest time of the first address, if another one may be asked afterwards."""
IN_FLIGHT = 32
CONFLICT, NOT_AVAILABLE = 409, 503


class UpstreamClient:
    """Calls one upstream, `in_flight` times at once at most; all threads of a process share it."""

    def __init__(
        self,
        upstream: Upstream,
        in_flight: int = IN_FLIGHT,
        seconds: float | None = None,
        patience: float = 0.0,
    ) -> None:
        """Prepare a client; it connects with the first call.

        Args:
            upstream: where it is.
            in_flight: how many calls may be in flight at once.
            seconds: the total time of a call, `READ_SECONDS` unless given.
            patience: how long a further call waits while none is answered, in seconds.
        """
        self.name = upstream.name
        self._seconds = seconds
        self._patience = patience
        hosts = (upstream.host, *upstream.further_hosts)
        is_only = len(hosts) == 1
        self.addresses = [Address(upstream.name, h, upstream.port, is_only) for h in hosts]
        self._bulkhead = Bulkhead(upstream.name, in_flight, patience)
        self._durations: dict[str, Histogram] = {}

    @property
    def seconds(self) -> float:
        """The total time of a call, unless its caller gives it less."""
        return READ_SECONDS if self._seconds is None else self._seconds

    def call(self, call: Call, seconds: float | None = None) -> Answer:
        """Call the upstream; GET and HEAD once more if the connection is closed without an answer.

        Args:
            call: the request.
            seconds: its total time, the client's `seconds` unless given.

        Raises:
            UnavailableError: it can't be reached, or is not called (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
        """
        limit, outcome = self.seconds if seconds is None else seconds, "error"
        until = time.monotonic() + limit
        asked: float | None = None
        try:
            with self._bulkhead.permit(limit) as waited:
                asked = time.perf_counter()
                answer = self._answer(call, until, limit - waited)
            outcome = f"{answer.status // 100}xx"
            return answer
        except (UnavailableError, UpstreamError) as error:
            outcome = error.cause
            raise
        finally:
            self._observe(outcome, 0.0 if asked is None else time.perf_counter() - asked)

    def _observe(self, outcome: str, seconds: float) -> None:
        duration = self._durations.get(outcome)
        if duration is None:
            duration = self._durations[outcome] = UPSTREAM.labels(self.name, outcome)
        duration.observe(seconds)

    def _answer(self, call: Call, until: float, given: float) -> Answer:
        # with an upstream that answers nobody, callers wait for the patience and no longer
        shows_failure = given >= self.seconds - self._patience
        if len(self.addresses) == 1:
            return self.addresses[0].call(call, until, lambda: shows_failure)
        return self._answer_of_any(call, until, shows_failure)

    def _answer_of_any(self, call: Call, until: float, shows_failure: bool) -> Answer:
        """Ask one address after the other until one answers."""
        found: Answer | UnavailableError | UpstreamError | None = None
        left = sorted(self.addresses, key=lambda address: address.rank)
        while left:
            address = left.pop(0)
            try:
                end = self._end(call, until, left)
                shows = partial(_shows_failure, shows_failure, end < until, tuple(left))
                answer = address.call(call, end, shows)
                if answer.status == CONFLICT and isinstance(found, UpstreamError):
                    # the key of a POST is in use: the address before this one is still at it
                    break
                if answer.status != NOT_AVAILABLE or not left or not call.may_be_repeated:
                    return answer
                # a machine that has lost its database, say; another one may have it
                address.avoid()
                found = answer
            except (UnavailableError, UpstreamError) as error:
                # what may have reached a machine is not hidden by what has surely not
                if found is None or not isinstance(error, UnavailableError):
                    found = error
                if not _may_go_on(call, error):
                    break
        if isinstance(found, Answer):
            return found
        assert found is not None
        raise found

    def _end(self, call: Call, until: float, others: Sequence[Address]) -> float:
        """Return until when an address may take, so that there is time for another one.

        All the time is for the last one that may answer: it may be slow.
        """
        if not call.may_be_repeated or not any(other.is_promising for other in others):
            return until
        now = time.monotonic()
        return now + min(FIRST_SECONDS, (until - now) / 2)


def _shows_failure(by_caller: bool, is_shortened: bool, others: Sequence[Address]) -> bool:
    """Return whether a time-out shows that an address is unavailable.

    After less than all the time it does if another one is better. All may be slow together.
    """
    return by_caller and (not is_shortened or any(other.is_promising for other in others))


def _may_go_on(call: Call, error: UnavailableError | UpstreamError) -> bool:
    if isinstance(error, InvalidCallError):
        return False
    return isinstance(error, UnavailableError) or call.may_be_repeated
