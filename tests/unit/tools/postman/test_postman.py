"""postman_collection.json is what openapi.yaml gives, and the generator says what it lacks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support import openapi
from tools.postman.__main__ import postman
from tools.postman.collection import FILE, collection, in_order, text
from tools.postman.document import operations, raw

COLLECTION = json.loads(FILE.read_text())
OPERATIONS = {operation.id: operation for operation in operations()}
GUID = "12345678-1234-1234-1234-123456789012"


def requests_of(items: list[Any]) -> Iterator[Any]:
    """All requests of a collection."""
    for item in items:
        yield from requests_of(item["item"]) if "item" in item else [item]


REQUESTS = list(requests_of(COLLECTION["item"]))


def named(name: str) -> Any:
    """One request of the collection."""
    return next(item for item in REQUESTS if item["name"] == OPERATIONS[name].summary)


def script(item: Any) -> str:
    """What runs after the answer."""
    return "\n".join(item["event"][0]["script"]["exec"])


def test_the_collection_is_made_from_the_document_as_it_is() -> None:
    assert FILE.read_text() == text(raw(), operations()), "./stack postman makes it anew"


def test_every_operation_is_a_request_in_the_folder_of_its_tag() -> None:
    folders = {folder["name"]: folder for folder in COLLECTION["item"]}
    for operation in OPERATIONS.values():
        names = [item["name"] for item in folders[operation.tag]["item"]]
        assert names.count(operation.summary) == 1


def test_every_request_has_a_name_of_its_own_a_description_and_a_test() -> None:
    assert len({item["name"] for item in REQUESTS}) == len(REQUESTS)
    for item in REQUESTS:
        assert item["request"]["description"]
        assert "pm.test(" in script(item)


def test_a_token_goes_with_all_requests() -> None:
    assert COLLECTION["auth"]["bearer"][0]["value"] == "{{token}}"
    assert not [item for item in REQUESTS if "auth" in item["request"]]
    values = {variable["key"]: variable["value"] for variable in COLLECTION["variable"]}
    assert values["base_url"] == raw()["servers"][0]["url"]
    assert values["token"] == "local-development-token"


@pytest.mark.parametrize("name", [o.id for o in OPERATIONS.values() if o.bodies])
def test_every_body_fits_its_schema_whatever_is_filled_in(name: str) -> None:
    written = named(name)["request"]["body"]["raw"].replace("{{$guid}}", GUID)
    schema = OPERATIONS[name].bodies["application/json"]["schema"]
    openapi.validator(schema).validate(json.loads(written))


def test_the_created_resource_is_read_changed_and_deleted() -> None:
    assert 'pm.collectionVariables.set("movie.id"' in script(named("createMovie"))
    for name in ("getMovie", "changeMovie", "deleteMovie"):
        (variable,) = named(name)["request"]["url"]["variable"]
        assert (variable["key"], variable["value"]) == ("id", "{{movie.id}}")
        assert 'pm.variables.get("movie.id")' in script(named(name))


def test_a_new_path_below_a_known_thing_needs_no_link_of_its_own() -> None:
    details = replace(OPERATIONS["getOrder"], id="new", path="/api/orders/{id}/new", summary="New")
    made = collection(raw(), [*OPERATIONS.values(), details])
    found = next(item for item in requests_of(made["item"]) if item["name"] == "New")
    assert found["request"]["url"]["variable"][0]["value"] == "{{order.id}}"


def test_unique_values_differ_in_each_run() -> None:
    body = json.loads(named("createCustomer")["request"]["body"]["raw"])
    assert body["email"] == "ben-{{$guid}}@kawa.fr"
    headers = {header["key"]: header for header in named("postBill")["request"]["header"]}
    assert headers["Idempotency-Key"]["value"].endswith("-{{$guid}}")


def test_a_bill_is_asked_for_until_it_is_recorded() -> None:
    assert "pm.execution.setNextRequest" in script(named("getBill"))
    assert "setNextRequest" not in script(named("getMovie"))


def test_in_each_folder_things_are_made_before_they_are_used_and_deleted_last() -> None:
    names = [operation.id for operation in in_order(OPERATIONS.values())]
    movies = [name for name in names if OPERATIONS[name].tag == "movies"]
    assert movies == [
        *("createMovie", "listMovies", "getMovie"),
        *("changeMovie", "deleteMovie", "clearMovies"),
    ]
    assert names.index("adjustStock") < names.index("deleteProduct")


def test_the_same_document_gives_the_same_collection() -> None:
    assert text(raw(), operations()) == text(raw(), operations())
    assert "_postman_id" not in FILE.read_text()


def lacking(**changes: Any) -> str:
    """What is said of a document with an operation that lacks something."""
    odd = replace(OPERATIONS["createMovie"], id="odd", **changes)
    with pytest.raises(LookupError) as raised:
        collection(raw(), [*OPERATIONS.values(), odd])
    return str(raised.value.args[0])


def test_a_missing_part_of_the_document_is_reported_in_one_sentence() -> None:
    body = {"application/json": {"schema": {"type": "object"}}}
    nameless = [{"name": "key", "in": "path", "description": "A key.", "schema": {}}]
    assert lacking(bodies=body) == "odd needs an example of its body in openapi.yaml."
    assert lacking(responses={}) == "odd needs a response 2xx in openapi.yaml."
    assert lacking(tag="oddities") == "openapi.yaml needs the tags oddities."
    assert lacking(path="/odd/{key}", parameters=nameless) == (
        "odd needs an example of key in openapi.yaml, "
        "or a link to it from the operation that makes the thing."
    )


def test_the_command_writes_the_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "postman_collection.json"
    monkeypatch.setattr("tools.postman.__main__.FILE", file)
    done = CliRunner().invoke(postman)
    assert done.exit_code == 0
    assert file.read_text() == FILE.read_text()
    assert done.stdout == "postman_collection.json is generated from openapi.yaml.\n"


def test_the_command_says_what_the_document_lacks_and_writes_nothing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "postman_collection.json"
    odd = replace(OPERATIONS["createMovie"], responses={})
    monkeypatch.setattr("tools.postman.__main__.FILE", file)
    monkeypatch.setattr("tools.postman.__main__.operations", lambda: [odd])
    done = CliRunner().invoke(postman)
    assert done.exit_code == 1
    assert not file.exists()
    assert done.stderr == "createMovie needs a response 2xx in openapi.yaml.\n"
