"""Reads databases, the Maildir, queues and processes of one machine, for the checker."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from provisioning.rabbitmq.definitions import DEAD_LETTERS, consumed_queues
from tools.drills.targets.platform import Row, as_json
from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.layout import PROCESSES
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.status import queue_depths


class StackSource:
    """Reads a stack on this machine."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def is_healthy(self) -> bool:
        """Whether all processes are ready."""
        with ThreadPoolExecutor(len(PROCESSES)) as pool:
            return all(pool.map(self.stack.is_ready, PROCESSES))

    def orphans(self) -> list[str]:
        """Processes that PM2 started and that are no longer its children."""
        pm2 = self.stack.process_manager
        started = pm2.pids()
        children = processes.family(pm2.daemon() or 0)
        orphans = [pid for pid in started if pid not in children]
        return [f"{processes.environment(pid).get('name')} ({pid})" for pid in orphans]

    def rows(self, service: str, select: str) -> list[Row]:
        """The rows of a SELECT in a service's database. Raises StackError."""
        rows: list[Row] = self._value(service, as_json(select))
        return rows

    def mails(self) -> Counter[str]:
        """The names of the mails in the Maildir, read or unread."""
        maildir = Path(self.stack.variables["STATE_DIR"]) / "mail"
        files = (file for box in ("new", "cur") for file in maildir.glob(f"{box}/*"))
        return Counter(file.name.partition(":")[0] for file in files)

    def depths(self) -> Mapping[str, int]:
        """The number of messages in each consumed queue and in its dead-letter queue."""
        if not self.stack.rabbitmq.running():
            return {}
        consumed = consumed_queues(self.stack.rabbitmq.queue)
        names = [name + end for name in consumed for end in ("", DEAD_LETTERS)]
        depths = queue_depths(self.stack.rabbitmq, names).items()
        return {name: int(depth) for name, depth in depths if depth.isdecimal()}

    def execute(self, service: str, statement: str, database: str | None = None) -> None:
        """Run a statement in a service's database, or in `database`. Raises StackError."""
        with self._cursor(service, database) as cursor:
            cursor.execute(statement)

    def _value(self, service: str, statement: str) -> Any:
        with self._cursor(service) as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        value = row[0] if row else None
        return json.loads(value) if isinstance(value, str) else value

    @contextmanager
    def _cursor(
        self, service: str, database: str | None = None
    ) -> Iterator["psycopg2.extensions.cursor"]:
        """A cursor whose changes are committed at the end of the block."""
        try:
            with closing(connect(self.stack, service, database)) as connection, connection:
                yield connection.cursor()
        except psycopg2.Error as error:
            raise StackError(f"The database of {service} does not answer: {error}") from None
