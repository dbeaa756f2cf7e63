"""Whether a stack is ready."""

import re
from concurrent.futures import ThreadPoolExecutor

import requests

from tools.stack.layout import PROCESSES
from tools.stack.stack import Stack

SERVICES = ("movies", "customers", "orders", "billing")
AT_ONCE = 3  # requests for each
LOCK_MOVIES = "LOCK TABLE movies IN ACCESS EXCLUSIVE MODE"


def ready(stack: Stack) -> bool:
    """Whether every process is ready, and the gateway calls all services."""
    return all(stack.is_ready(process) for process in PROCESSES) and _passes_on(stack)


def _passes_on(stack: Stack) -> bool:
    """Whether all circuits are closed; requests to each service let them close."""
    if _circuits_are_closed(stack):
        return True
    headers = {"Authorization": f"Bearer {stack.variables['API_TOKEN']}"}

    def ask(name: str) -> None:
        requests.get(f"{stack.url}/api/{name}?limit=1", headers=headers, timeout=20)

    # several at once, since each worker of the gateway has circuits of its own
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        list(pool.map(ask, SERVICES * AT_ONCE))
    return _circuits_are_closed(stack)


def _circuits_are_closed(stack: Stack) -> bool:
    metrics = requests.get(f"{stack.url}/metrics", timeout=20).text
    return not re.search(r"^upstream_circuit_state\{.*\} [12]", metrics, re.MULTILINE)
