"""Makes the drill's own products and customers over the API before the traffic starts."""

from collections.abc import Mapping

from tools.drills.workload.client import Client
from tools.drills.workload.history import Request, Verdict
from tools.drills.workload.request_generator import Fixtures
from tools.stack.errors import StackError

MARKED, PLENTY, SCARCE = 2_000_000_000, 1_000_000, 25
CUSTOMERS = 3


def make(client: Client, run: str) -> tuple[Fixtures, Mapping[int, int]]:
    """Make the fixtures; returns them, and the initial stock of each product.

    Raises StackError when the platform does not accept them.
    """
    marker = _product(client, run, "marker", "0.01", MARKED)
    plenty = _product(client, run, "plenty", "9.99", PLENTY)
    scarce = _product(client, run, "scarce", "19.99", SCARCE)
    customers = [_customer(client, run, number) for number in range(CUSTOMERS)]
    stock = {marker: MARKED, plenty: PLENTY, scarce: SCARCE}
    return Fixtures(run, marker, plenty, scarce, customers), stock


def _product(client: Client, run: str, what: str, price: str, stock: int) -> int:
    body = {"name": f"drill-{run}-{what}", "price": price, "stock": stock}
    return _make(client, "/api/products", body)


def _customer(client: Client, run: str, number: int) -> int:
    name = f"drill-{run}-own-{number}"
    return _make(client, "/api/customers", {"name": name, "email": f"{name}@kawa.fr"})


def _make(client: Client, path: str, body: object) -> int:
    # "customer" for products, too: both answers have the id in the same member
    answer = client.send(Request("customer", "", "POST", path, body))
    if answer.verdict is not Verdict.ACCEPTED or answer.id is None:
        raise StackError(f"POST {path} was answered with {answer.status}: {answer.detail}")
    return int(answer.id)
