"""The platform as its user sees it: localhost:8080, the management UI, `vagrant ssh`."""

import json
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import requests

from local.waiting import wait_until
from tests.deployment.vagrant import MACHINES, Vagrant

GOOD = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
URL = "http://localhost:8080"
MANAGEMENT = "http://localhost:15672"
PROCESSES = {
    "gateway-vm": ("gateway", "gateway-relay"),
    "inventory-vm": ("inventory-api",),
    "billing-vm": ("billing-api", "billing-consumer"),
    "customers-vm": ("customers-api", "customers-relay"),
}
DATABASES = {
    "gateway-vm": "gateway_db",
    "inventory-vm": "movies_db",
    "billing-vm": "billing_db",
    "customers-vm": "customers_db",
}
READ = ("/api/movies", "/api/billing", "/api/customers", "/api/events")


class Platform:
    """The running machines; `accepted` are the ids of all bills answered with 202."""

    def __init__(self, vagrant: Vagrant, variables: dict[str, str]) -> None:
        self.vagrant = vagrant
        self.ssh = vagrant.ssh
        self.variables = variables
        self.accepted: list[str] = []

    def post_bill(self, body: object = GOOD) -> requests.Response:
        """Post a bill and remember it if it was accepted."""
        answer = requests.post(f"{URL}/api/billing", json=body, timeout=20)
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
        return answer

    def post_bills(self, count: int) -> list[requests.Response]:
        """Post some bills, all of which must be accepted."""
        answers = [self.post_bill() for _ in range(count)]
        assert [answer.status_code for answer in answers] == [202] * count
        return answers

    def query(self, machine: str, statement: str) -> list[str]:
        """Ask a machine's database, as its `postgres`; a line a row."""
        psql = f"psql -XAtd {DATABASES[machine]} -c {shlex.quote(statement)}"
        return self.ssh(machine, f"sudo -u postgres {psql}").split()

    def recorded(self) -> Counter[str]:
        """How often each message id is in `orders`."""
        return Counter(self.query("billing-vm", "SELECT message_id FROM orders"))

    def wait_until_all_are_recorded(self, seconds: float = 60) -> None:
        """Wait for every accepted bill to be recorded, then see that each is there once."""
        wanted = set(self.accepted)
        wait_until(lambda: wanted <= set(self.recorded()), seconds, "every 202 to be recorded")
        assert set(self.recorded().values()) <= {1}

    def waiting(self, queue: str = "billing_queue") -> int:
        """How many messages are ready in a queue, by the management API's own count."""
        return int(self.manage("GET", f"queues/billing_vhost/{queue}")["messages_ready"])

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API and return what it says."""
        user, password = self.variables["RABBITMQ_USER"], self.variables["RABBITMQ_PASSWORD"]
        answer = requests.request(
            method, f"{MANAGEMENT}/api/{path}", json=body, auth=(user, password), timeout=10
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    @contextmanager
    def customer_events(self, queue: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
        """Bind a durable queue to customer_events; what is called takes the events out of it."""
        address = f"queues/billing_vhost/{queue}"
        quorum = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
        self.manage("PUT", address, quorum)
        self.manage("POST", f"bindings/billing_vhost/e/customer_events/q/{queue}", {})
        taken: list[dict[str, Any]] = []

        def take() -> list[dict[str, Any]]:
            wanted = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}
            taken.extend(
                json.loads(m["payload"]) for m in self.manage("POST", f"{address}/get", wanted)
            )
            return taken

        try:
            yield take
        finally:
            self.manage("DELETE", address)

    def states(self, machine: str) -> dict[str, str]:
        """The state of each of a machine's PM2 processes."""
        return {entry["name"]: entry["pm2_env"]["status"] for entry in self.processes(machine)}

    def processes(self, machine: str) -> list[dict[str, Any]]:
        """What `pm2 jlist` says on a machine."""
        answer = self.ssh(machine, "pm2 jlist")
        entries: list[dict[str, Any]] = json.loads(answer[answer.index("[") :])
        return entries

    def is_whole(self) -> bool:
        """Whether all processes of all machines are up and requests go through all of them."""
        return all(self._runs(machine) for machine in MACHINES) and self.answers()

    def _runs(self, machine: str) -> bool:
        done = self.vagrant.try_ssh(machine, "pm2 jlist")
        if done.returncode or "[" not in done.stdout:
            return False
        entries = json.loads(done.stdout[done.stdout.index("[") :])
        online = {e["name"] for e in entries if e["pm2_env"]["status"] == "online"}
        return online == set(PROCESSES[machine])

    def answers(self) -> bool:
        """Whether reading works through the gateway, at all services."""
        return all(_status(f"{URL}{path}") == 200 for path in READ)

    @contextmanager
    def requests_running(self) -> Iterator[Counter[str]]:
        """Read and post without a pause until the block ends; counts what came back."""
        counts: Counter[str] = Counter()
        stop = threading.Event()
        jobs = (self._read_movies, self._read_bills, self._post, self._create_customer)
        threads = [threading.Thread(target=_repeat, args=(job, counts, stop)) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _read_movies(self) -> int:
        return requests.get(f"{URL}/api/movies", timeout=20).status_code

    def _read_bills(self) -> int:
        return requests.get(f"{URL}/api/billing?limit=1", timeout=20).status_code

    def _create_customer(self) -> int:
        return create_customer().status_code

    def _post(self) -> int:
        return self.post_bill().status_code


def create_customer() -> requests.Response:
    """Create a customer whose email nobody has."""
    body = {"name": "Benjamin", "email": f"{uuid4().hex}@kawa.fr", "company": "Kawa Corp"}
    return requests.post(f"{URL}/api/customers", json=body, timeout=20)


def _repeat(job: Any, counts: Counter[str], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            counts[f"{job.__name__} {job()}"] += 1
        except requests.RequestException as error:
            counts[f"{job.__name__} {type(error).__name__} at {time.strftime('%X')}"] += 1


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=10).status_code
    except requests.RequestException:
        return 0
