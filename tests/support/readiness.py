"""Whether a stack is ready."""

import re

import requests

from tools.stack.layout import PROCESSES
from tools.stack.stack import Stack

LOCK_MOVIES = "LOCK TABLE movies IN ACCESS EXCLUSIVE MODE"


def ready(stack: Stack) -> bool:
    """Whether every process is ready, and the gateway calls all services."""
    return all(stack.is_ready(process) for process in PROCESSES) and _passes_on(stack)


def _passes_on(stack: Stack) -> bool:
    """Whether all circuits are closed; a request to each service lets them close."""
    headers = {"Authorization": f"Bearer {stack.variables['API_TOKEN']}"}
    for name in ("movies", "customers", "orders", "billing"):
        requests.get(f"{stack.url}/api/{name}?limit=1", headers=headers, timeout=20)
    metrics = requests.get(f"{stack.url}/metrics", timeout=20).text
    return not re.search(r"^upstream_circuit_state\{.*\} [12]", metrics, re.MULTILINE)
