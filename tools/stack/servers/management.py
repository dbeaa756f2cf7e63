"""RabbitMQ's management API. https://www.rabbitmq.com/docs/management"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests

from tools.stack.errors import StackError


def login(credentials: tuple[str, str]) -> tuple[str, str]:
    """User and password as `requests` has to get them: it sends Latin-1, RabbitMQ reads UTF-8."""
    user, password = (text.encode().decode("latin-1") for text in credentials)
    return user, password


class Management:
    """The management API at `url`, as the services' user."""

    def __init__(self, url: str, credentials: tuple[str, str], vhost: str) -> None:
        self._url = url
        self._vhost = quote(vhost, safe="")
        self._session = requests.Session()
        self._session.auth = login(credentials)

    def depths(self) -> Mapping[str, int]:
        """The number of messages in each queue, from statistics that are up to 5 s old."""
        try:
            queues = self._call("GET", f"queues/{self._vhost}?columns=name,messages")
        except StackError:
            return {}
        return {queue["name"]: int(queue.get("messages", 0)) for queue in queues}

    def close_connections(self) -> int:
        """Close every AMQP connection of the user; returns how many there were.

        Raises StackError.
        """
        names = [found["name"] for found in self._call("GET", "connections?columns=name")]
        for name in names:
            self._call("DELETE", f"connections/{quote(name, safe='')}")
        return len(names)

    def purge(self, queue: str) -> None:
        """Delete the messages that wait in a queue. Raises StackError."""
        self._call("DELETE", f"queues/{self._vhost}/{quote(queue, safe='')}/contents")

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange and all its bindings. Raises StackError."""
        self._call("DELETE", f"exchanges/{self._vhost}/{quote(exchange, safe='')}")

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body)
        try:
            answer = self._session.request(method, f"{self._url}/api/{path}", data=data, timeout=10)
            # a connection that closes at the same moment is a 404, or even a 500
            if method == "DELETE" and not answer.ok:
                return None
            answer.raise_for_status()
            return answer.json() if answer.content else None
        except (requests.RequestException, ValueError) as error:
            raise StackError(f"RabbitMQ's management API does not answer: {error}.") from None
