"""Postman's own programs run the collection, and what they make of openapi.yaml, on a stack."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests

from tests.support import openapi
from tests.support.readiness import ready
from tests.support.stack import newman
from tests.support.stack.bills_client import connect
from tests.support.stack.newman import Answer
from tools.postman.collection import FILE, in_order
from tools.postman.drill import QUEUED, STARTED, STOPPED
from tools.stack.stack import Stack
from tools.stack.waiting import wait_for, wait_until

OPERATIONS = {operation.id: operation for operation in openapi.operations()}
COLLECTION = json.loads(FILE.read_text())
FOLDERS = [folder["name"] for folder in COLLECTION["item"] if folder["name"] != "Drill"]
CONSUMER = "billing-consumer"
# they read what billing-consumer has recorded, some time after the bill was posted
LATE = ("listBills", "getBill")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """The collection, where a report can stand beside it."""
    return Path(shutil.copy(FILE, tmp_path))


@pytest.fixture
def whole(stack: Stack) -> Iterator[None]:
    """Whatever a test stops, runs again at its end."""
    yield
    stack.process_manager.call("start", CONSUMER)
    wait_until(lambda: ready(stack), 60, "the stack to be whole again")


def where(stack: Stack) -> dict[str, object]:
    """The variables of the collection that are another stack's."""
    return {"base_url": stack.url, "token": stack.variables["API_TOKEN"]}


def good(answers: list[Answer]) -> list[Answer]:
    """Fail unless every request was tested, and every test has passed."""
    faults = [f"{answer.name}: {fault}" for answer in answers for fault in answer.failed]
    assert not faults, "\n".join(faults)
    assert answers
    return answers


@pytest.mark.usefixtures("whole")
def test_the_collection_passes_its_own_tests_twice_in_a_row(stack: Stack, collection: Path) -> None:
    for _time in ("first", "second"):
        answers = good(newman.run(collection, FOLDERS, **where(stack)))
        assert {answer.name for answer in answers} == {o.summary for o in OPERATIONS.values()}
        # a bill that is not recorded yet is requested again, without a test
        assert {answer.name for answer in answers if answer.tests} == {a.name for a in answers}
    drill(stack, collection)


def drill(stack: Stack, collection: Path) -> None:
    """Do what the description of the drill says."""
    stack.process_manager.call("stop", CONSUMER)

    def are_queued(answers: list[Answer]) -> bool:
        # a bill that is confirmed late is in the outbox, too
        return not any(fault.startswith(QUEUED) for a in answers for fault in a.failed)

    run = partial(newman.run, collection, [STOPPED], **where(stack))
    waiting = good(wait_for(run, are_queued, 60, "two bills to be in the queue"))
    assert [answer.status for answer in waiting] == [202, 202, 404, 404, 200]
    first, second = (json.loads(answer.body)["id"] for answer in waiting[:2])
    stack.process_manager.call("start", CONSUMER)
    bills = {"drill__first": first, "drill__second": second}
    arrived = good(newman.run(collection, [STARTED], **where(stack), **bills))
    assert [answer.status for answer in arrived if answer.tests] == [200, 200, 200]


def test_the_drill_says_that_the_consumer_runs(stack: Stack, collection: Path) -> None:
    def arrived() -> bool:
        answers = newman.run(collection, [STOPPED], **where(stack))
        return any("billing-consumer is stopped" in fault for a in answers for fault in a.failed)

    wait_until(arrived, 60, "a bill to be recorded before it is requested")


def empty(stack: Stack) -> None:
    """Reset all tables to a new stack's state, ids included; messages in flight stay."""
    for service in stack.postgres:
        with closing(connect(stack, service)) as connection, connection:
            cursor = connection.cursor()
            kept = "('alembic_version', 'outbox', 'tokens')"
            names = "string_agg(format('%I', tablename), ', ')"
            of = f"FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN {kept}"
            cursor.execute(f"SELECT {names} {of}")
            (tables,) = cursor.fetchone() or ("",)
            cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY")
    # the gateway does not learn of this
    stack.redis.flush()


def store_event(stack: Stack, uid: UUID) -> None:
    """Store the event that the document has as an example: its uid is the gateway's choice."""
    with closing(connect(stack, "gateway")) as connection, connection:
        names = "uid, solution, model, action, data, event_timestamp, delivered_at"
        values = "%s, 'ecommerce', 'order', 'create', '{}', now(), now()"
        statement = f"INSERT INTO events ({names}) VALUES ({values})"
        connection.cursor().execute(statement, (str(uid),))


def example(operation: openapi.Operation, name: str) -> str:
    """The example of a parameter."""
    found = next(p for p in operation.parameters if p["name"] == name)
    return str(found["example"])


@pytest.fixture
def imported(stack: Stack, tmp_path: Path) -> Any:
    """What Postman makes of openapi.yaml, and a stack as new, to which its examples fit."""
    empty(stack)
    store_event(stack, UUID(example(OPERATIONS["getEvent"], "uid")))
    post_bill(stack)
    return newman.convert(openapi.FILE, tmp_path / "imported.json")


def post_bill(stack: Stack) -> None:
    """Post the example of a bill with the example of a key, which give the example of an id."""
    operation = OPERATIONS["postBill"]
    body = next(iter(openapi.examples(operation.bodies["application/json"]).values()))
    named = {p["name"]: openapi.examples(p) for p in operation.parameters}
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": next(iter(named["Idempotency-Key"].values())),
    }
    data = json.dumps(body, indent=2).encode()
    answer = requests.post(f"{stack.url}/api/billing", data=data, headers=headers, timeout=10)
    assert answer.status_code == 202, answer.text


def by_place(items: list[Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """Each request of a collection by its method and path."""
    for item in items:
        if "request" not in item:
            yield from by_place(item["item"])
            continue
        request = item["request"]
        yield (request["method"].lower(), "/".join(["", *request["url"]["path"]])), item


def place(operation: openapi.Operation) -> tuple[str, str]:
    """Method and path of an operation, as Postman writes them."""
    return operation.method, operation.path.replace("{", ":").replace("}", "")


def test_an_import_of_the_document_is_a_collection_that_runs(
    stack: Stack, imported: Any, tmp_path: Path
) -> None:
    items = dict(by_place(imported["item"]))
    # not in the order of the document, which is a reader's: there, the deletion of all movies
    # comes before the change of one
    ordered = in_order(OPERATIONS.values())
    early = [operation for operation in ordered if operation.id not in LATE]
    late = [operation for operation in ordered if operation.id in LATE]
    run_in_order(stack, imported, early, items, tmp_path)
    bill = f"{stack.url}/api/billing/{example(OPERATIONS['getBill'], 'id')}"
    wait_until(lambda: requests.get(bill, timeout=10).ok, 30, "the bill to be recorded")
    run_in_order(stack, imported, late, items, tmp_path)
    assert len(items) == len(OPERATIONS)


def run_in_order(
    stack: Stack, imported: Any, operations: list[openapi.Operation], items: Any, directory: Path
) -> None:
    """Run the requests of some operations; each is to answer as its first example says."""
    chosen = [items[place(operation)] for operation in operations]
    file = directory / "chosen.json"
    file.write_text(json.dumps(imported | {"item": chosen}))
    token = stack.variables["API_TOKEN"]
    answers = newman.run(file, baseUrl=stack.url, bearerToken=token)
    for operation, item, answer in zip(operations, chosen, answers, strict=True):
        expect(operation, item["response"], answer)


def expect(operation: openapi.Operation, shown: list[Any], answer: Answer) -> None:
    """Fail unless an answer has the status and the shape of its example."""
    assert answer.status == min(example["code"] for example in shown), answer
    schema = operation.content[answer.media_type]["schema"]
    is_json = answer.media_type.endswith("json")
    body = json.loads(answer.body) if is_json else answer.body.decode()
    openapi.validator(schema).validate(body)
