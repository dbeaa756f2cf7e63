"""Checks whether a user can log in to RabbitMQ: exit status 0 if so, 1 if not.

    python3 provisioning/rabbitmq/login.py

with RABBITMQ_USER, RABBITMQ_PASSWORD and RABBITMQ_MANAGEMENT_PORT in the environment. Uses the
standard library alone, as it runs by the system's Python.
"""

import base64
import os
import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener


def ask(path: str, user: str, password: str, port: int) -> str:
    """Return the answer of the management API of this machine.

    Raises urllib.error.HTTPError when it refuses, OSError when it does not answer.
    """
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    url = f"http://127.0.0.1:{port}{path}"
    request = Request(url, headers={"Authorization": f"Basic {credentials}"})
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def logs_in(user: str, password: str, port: int) -> bool:
    """Return whether the user can log in. Raises OSError if the management API does not answer."""
    try:
        ask("/api/whoami", user, password, port)
    except HTTPError as error:
        if error.code == 401:
            return False
        raise
    return True


if __name__ == "__main__":
    names = ("RABBITMQ_USER", "RABBITMQ_PASSWORD", "RABBITMQ_MANAGEMENT_PORT")
    user, password, port = (os.environ[name] for name in names)
    sys.exit(0 if logs_in(user, password, int(port)) else 1)
