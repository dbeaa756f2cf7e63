"""The platform as its user sees it: localhost:8080, the management UI, `vagrant ssh`."""

import json
import re
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import requests

from tests.deployment.vagrant import Vagrant, on_each
from tests.support.at_work import at_work
from tools.stack.layout import TOPOLOGY
from tools.stack.waiting import wait_for, wait_until

GOOD = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
URL = "http://localhost:8080"
MANAGEMENT = "http://localhost:15672"
PROCESSES = {m.name: tuple(process.name for process in m.role.processes) for m in TOPOLOGY.machines}
DATABASES = {m.name: m.role.database.default for m in TOPOLOGY.machines if m.role.database}
READ = (
    "/api/movies",
    "/api/products",
    "/api/billing",
    "/api/customers",
    "/api/orders",
    "/api/events",
)
SECONDS, POLL = 120.0, 1.0
# what a process of the gateway could not reach lately, it does not ask for a few seconds
OPEN_CIRCUIT = re.compile(r"^upstream_circuit_state\{.*\} [12]", re.MULTILINE)
Order = dict[str, Any]
Status = dict[str, Any]


class Platform:
    """The running machines; `accepted` are the ids of all bills answered with 202."""

    def __init__(self, vagrant: Vagrant, variables: dict[str, str]) -> None:
        self.vagrant = vagrant
        self.ssh, self.look = vagrant.ssh, vagrant.look
        self.variables = variables
        self.accepted: list[str] = []
        self._stock: tuple[int, int] | None = None

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
        return self.look(machine, f"sudo -u postgres {psql}").split()

    def recorded(self) -> Counter[str]:
        """How often each message id is in `orders`."""
        return Counter(self.query("billing-vm", "SELECT message_id FROM orders"))

    def wait_until_all_are_recorded(self) -> None:
        """Wait for every accepted bill to be recorded, then see that each is there once."""
        wanted = set(self.accepted)
        wait_until(
            lambda: wanted <= set(self.recorded()), SECONDS, "every 202 to be recorded", POLL
        )
        assert set(self.recorded().values()) <= {1}

    @property
    def token(self) -> dict[str, str]:
        """The header that lets a request in to orders."""
        return {"Authorization": f"Bearer {self.variables['API_TOKEN']}"}

    def post_order(self, customer: int, product: int, quantity: int = 1) -> requests.Response:
        """Order a product."""
        items = [{"product_id": product, "quantity": quantity}]
        body = {"customer_id": customer, "items": items}
        return requests.post(f"{URL}/api/orders", json=body, headers=self.token, timeout=20)

    def place_order(self, quantity: int = 1, stock: int = 10) -> Order:
        """Order a new product, of which there is so much, for a new customer; it has to succeed."""
        answer = self.post_order(made_customer(), create_product(stock), quantity)
        assert answer.status_code == 201, answer.text
        order: Order = answer.json()
        return order

    def order(self, order: Order) -> Order:
        """An order as it is now."""
        url = f"{URL}/api/orders/{order['id']}"
        answer = requests.get(url, headers=self.token, timeout=20)
        found: Order = answer.json()
        return found

    def wait_for_order(self, order: Order, status: str = "completed") -> None:
        """Wait until an order is in a state."""
        what = f"the order {order['order_id']} to be {status}"
        wait_until(lambda: self.order(order).get("status") == status, SECONDS, what, 0.2)

    def mails(self, order: Order) -> list[str]:
        """Of an order, the steps at which its customer was written to."""
        lines = self.look("orders-vm", "crud-master orders mail list").splitlines()
        names = (line.split()[0] for line in lines if order["order_id"] in line)
        return sorted(name.rpartition(".")[2] for name in names)

    def wait_for_mails(self, order: Order, *steps: str) -> None:
        """Wait until a customer was written to at these steps of an order, and at no other."""
        wait_until(lambda: self.mails(order) == sorted(steps), SECONDS, f"mails at {steps}", POLL)

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
        answer = self.look(machine, "pm2 jlist")
        entries: list[dict[str, Any]] = json.loads(answer[answer.index("[") :])
        return entries

    @contextmanager
    def without(self, *machines: str) -> Iterator[None]:
        """Have machines halted for a block, and wait until all is well afterwards."""
        self.vagrant.run("halt", *machines)
        try:
            yield
        finally:
            self.vagrant.run("up", *machines)
        self.wait_until_whole()

    def wait_for_status(self, condition: Callable[[Status], bool], what: str) -> Status:
        """Wait until the gateway says so of the platform, and return all that it said then.

        Each of the gateway's processes has looked for itself: the next answer may be another one's.
        """
        return wait_for(status, condition, SECONDS, what, POLL)

    def wait_until_whole(self) -> None:
        """Wait until all is up, long enough for machines that have just been started."""
        wait_until(self._is_whole, 2 * SECONDS, "the platform to be whole", POLL)

    def _is_whole(self) -> bool:
        """Whether all processes of all machines are up and requests go through all of them."""
        # PM2's answer costs a second of CPU on each machine
        return self.answers() and all(on_each(self._runs).values())

    def _runs(self, machine: str) -> bool:
        done = self.vagrant.try_look(machine, "pm2 jlist")
        if done.returncode or "[" not in done.stdout:
            return False
        entries = json.loads(done.stdout[done.stdout.index("[") :])
        online = {e["name"] for e in entries if e["pm2_env"]["status"] == "online"}
        return online == set(PROCESSES[machine])

    def answers(self) -> bool:
        """Whether reading works through the gateway, at all services, in all of its processes."""
        answered = all(_status(f"{URL}{path}", self.token) == 200 for path in READ)
        return answered and not OPEN_CIRCUIT.search(requests.get(f"{URL}/metrics", timeout=10).text)

    @contextmanager
    def requests_running(self) -> Iterator[Counter[str]]:
        """Read and post again and again until the block ends; counts what came back."""
        counts: Counter[str] = Counter()
        jobs = [self._read_movies, self._read_bills, self._post, self._create_customer]
        jobs.append(self._place_order)
        with at_work(*[partial(_repeat, job, counts) for job in jobs]):
            yield counts

    def _read_movies(self) -> int:
        return requests.get(f"{URL}/api/movies", timeout=20).status_code

    def _read_bills(self) -> int:
        return requests.get(f"{URL}/api/billing?limit=1", timeout=20).status_code

    def _create_customer(self) -> int:
        return create_customer().status_code

    def _place_order(self) -> int:
        if self._stock is None:
            self._stock = create_customer().json()["id"], create_product(1_000_000)
        return self.post_order(*self._stock).status_code

    def _post(self) -> int:
        return self.post_bill().status_code


def status() -> Status:
    """What the gateway says of the platform now."""
    answer = requests.get(f"{URL}/api/status", timeout=20)
    assert answer.status_code == 200
    shown: Status = answer.json()
    return shown


def create_customer() -> requests.Response:
    """Ask for a customer whose email nobody has."""
    body = {"name": "Benjamin", "email": f"{uuid4().hex}@kawa.fr", "company": "Kawa Corp"}
    return requests.post(f"{URL}/api/customers", json=body, timeout=20)


def made_customer() -> int:
    """Create a customer; returns its id."""
    answer = create_customer()
    assert answer.status_code == 201, answer.text
    made: int = answer.json()["id"]
    return made


def create_product(stock: int) -> int:
    """Create a product of which there is so much; returns its id."""
    body = {"name": f"product {uuid4().hex}", "price": 9.99, "stock": stock}
    answer = requests.post(f"{URL}/api/products", json=body, timeout=20)
    assert answer.status_code == 201, answer.text
    made: int = answer.json()["id"]
    return made


def _repeat(job: Any, counts: Counter[str], stop: threading.Event) -> None:
    # a pause: five machines on the same cores have to be provisioned meanwhile
    while not stop.wait(0.25):
        try:
            counts[f"{job.__name__} {job()}"] += 1
        except requests.RequestException as error:
            counts[f"{job.__name__} {type(error).__name__} at {time.strftime('%X')}"] += 1


def _status(url: str, headers: dict[str, str]) -> int:
    try:
        return requests.get(url, headers=headers, timeout=10).status_code
    except requests.RequestException:
        return 0
