"""The folder in which somebody stops billing-consumer by hand, and no bill is lost."""

from collections.abc import Iterator

from tools.postman.javascript import Script, keep, kept, patient, status, test
from tools.postman.requests import BASE, Item, raw_json, tests

STOPPED, STARTED = "1. billing-consumer is stopped", "2. billing-consumer runs again"
QUEUED = "it is in the queue"
ABOUT = """What happens to bills while nobody records them, in two parts.

1. Stop the consumer: `./stack pm2 stop billing-consumer`; with the machines, `vagrant ssh
   billing-vm` and there `pm2 stop billing-consumer`. Then run the first folder. Bills are taken
   (202) and wait in the queue; `/api/billing` does not have them yet. `./stack status` shows how
   many wait.
2. Start it: `./stack pm2 start billing-consumer`, or `pm2 start billing-consumer` on billing-vm.
   Then run the second folder. It asks until each bill is there, for at most a minute, and
   sees that each was recorded once.

Run each folder with the collection runner, or send its requests one after the other.
"""
BILL = {"user_id": "drill", "number_of_items": 3, "total_amount": 99.97}
BOTH = ("drill.first", "drill.second")
LIST = "/api/billing?user_id=drill"


def drill() -> Item:
    """Return the folder, with one folder for each of its two parts."""
    parts = [
        {"name": STOPPED, "item": [*_posts(), *_waiting()]},
        {"name": STARTED, "item": [*_arrivals(), _once()]},
    ]
    return {"name": "Drill", "description": ABOUT, "item": parts}


def _posts() -> Iterator[Item]:
    for variable in BOTH:
        name = f"Post the {_word(variable)} bill"
        queued = 'pm.expect(pm.response.json().stored_in).to.eql("queue");'
        lines = [*status(202), *test(QUEUED, queued), keep(variable, "id")]
        yield _request(name, "POST", "/api/billing", "Taken, though nobody records it.", lines)


def _waiting() -> Iterator[Item]:
    for variable in BOTH:
        name, path = f"The {_word(variable)} bill waits", f"/api/billing/{{{{{variable}}}}}"
        lines = test(
            "404, as billing-consumer is stopped (if this is 200: pm2 stop billing-consumer)",
            "pm.response.to.have.status(404);",
        )
        yield _request(name, "GET", path, "In the queue, not in billing_db.", lines)
    neither = f"pm.expect(ids).to.not.include.members([{kept(BOTH[0])}, {kept(BOTH[1])}]);"
    lines = [*status(200), IDS, *test("neither is listed", neither)]
    yield _request("The list lags", "GET", LIST, "It has what is recorded.", lines)


def _arrivals() -> Iterator[Item]:
    for variable in BOTH:
        name, path = f"The {_word(variable)} bill arrives", f"/api/billing/{{{{{variable}}}}}"
        amount = test("its amount", "pm.expect(pm.response.json().total_amount).to.eql(99.97);")
        about = "Asks again until it is recorded."
        yield _request(name, "GET", path, about, patient([*status(200), *amount]))


def _once() -> Item:
    found = "ids.filter((id) => id === {}).length"
    each = [f"pm.expect({found.format(kept(variable))}).to.eql(1);" for variable in BOTH]
    lines = [*status(200), IDS, *test("each is listed once", *each)]
    return _request("The list has caught up", "GET", LIST, "No bill is lost or duplicated.", lines)


IDS = "const ids = pm.response.json().map((bill) => bill.id);"


def _word(variable: str) -> str:
    return variable.rpartition(".")[2]


def _request(name: str, method: str, path: str, about: str, lines: Script) -> Item:
    place, _, query = path.partition("?")
    url: Item = {"raw": BASE + path, "host": [BASE], "path": place.split("/")[1:]}
    if query:
        key, _, value = query.partition("=")
        url["query"] = [{"key": key, "value": value}]
    request: Item = {"method": method, "description": about, "url": url}
    if method == "POST":
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        request["body"] = raw_json(BILL)
    return {"name": name, "event": [tests(lines)], "request": request}
