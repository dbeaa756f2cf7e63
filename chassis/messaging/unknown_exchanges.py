"""Exchanges that do not exist: a message to one makes the broker close the channel.

All messages in flight on that channel fail with it, so nothing more is sent there for a while.
Source: https://www.rabbitmq.com/docs/publishers#unroutable.
"""

import re
import time
from collections.abc import Iterable

from chassis.errors import BrokerUnavailableError

# NOT_FOUND - no exchange 'x' in vhost 'y'; ACCESS_REFUSED - access to exchange 'x' in vhost 'y'.
# A refusal of a single topic names no exchange like this: other topics pass.
_NAMED = re.compile(r"- (?:no|access to) exchange '([^']+)'")
_AVOIDED_SECONDS = 30.0


class UnknownExchanges:
    """The exchanges to avoid for now, according to the reasons of closed channels."""

    def __init__(self, declared: Iterable[str]) -> None:
        """Begin with none.

        Args:
            declared: the exchanges that each new connection declares, which never are unknown.
        """
        self._declared = frozenset(declared)
        self._until: dict[str, float] = {}

    def note(self, reason: str) -> None:
        """Avoid the exchange that `reason` names, if any."""
        named = _NAMED.search(reason)
        if named and named[1] not in self._declared:
            self._until[named[1]] = time.monotonic() + _AVOIDED_SECONDS

    def check(self, exchange: str) -> None:
        """Refuse an exchange to avoid.

        Raises:
            BrokerUnavailableError: it did not exist a moment ago.
        """
        if self._until.get(exchange, 0.0) > time.monotonic():
            raise BrokerUnavailableError(f"RabbitMQ has no exchange {exchange!r}, or refuses it")
