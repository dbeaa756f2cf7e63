"""inventory's `/api/movies`."""

import json
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from inventory import models
from tests.support.answers import JSON, NO_IDS, NO_JSON, NO_OBJECT, content, fields, problem, walked
from tests.support.examples import examples
from tests.support.movies_api import MOVIES, SIGNS, create

INVALID = [
    ('{"title": ""}', "title"),
    ('{"title": " \\t\\u00a0"}', "title"),
    ('{"title": null}', "title"),
    ('{"title": true}', "title"),
    ('{"title": 5}', "title"),
    ('{"title": 1.5}', "title"),
    ('{"title": ["A"]}', "title"),
    ('{"title": {"en": "A"}}', "title"),
    ('{"title": "a\\u0000b"}', "title"),
    ('{"title": "\\ud800"}', "title"),
    (json.dumps({"title": "x" * 256}), "title"),
    (json.dumps({"title": 10**500}), "title"),
    ('{"title": 1E+1000000}', "title"),
    ('{"title": "A", "description": true}', "description"),
    ('{"title": "A", "description": 5}', "description"),
    ('{"title": "A", "description": ["text"]}', "description"),
    ('{"title": "A", "description": "a\\u0000b"}', "description"),
    ('{"title": "A", "description": "\\udfff"}', "description"),
    (json.dumps({"title": "A", "description": "x" * 10_001}), "description"),
    ('{"title": "A", "year": 1999}', "year"),
    ('{"title": "A", "id": 5}', "id"),
    ('{"title": "A", "Title": "B"}', "Title"),
]


def titles(inventory: FlaskClient, searched: str) -> list[str]:
    """The titles that a search finds."""
    response = inventory.get(f"{MOVIES}?title={quote(searched, safe='')}")
    assert response.status_code == 200
    return [movie["title"] for movie in content(response)]


def write(inventory: FlaskClient, method: str, data: bytes, content_type: str) -> TestResponse:
    """Create a movie with `data`, or change one that is there."""
    path = MOVIES if method == "POST" else f"{MOVIES}/{create(inventory, 'Before')['id']}"
    return inventory.open(path, method=method, data=data, content_type=content_type)


def test_a_created_movie_can_be_read_where_its_location_says(inventory: FlaskClient) -> None:
    created = inventory.post("/api/movies", json={"title": "The Matrix"})
    assert created.status_code == 201
    movie = inventory.get(created.headers["Location"]).json
    assert movie == {"id": 1, "title": "The Matrix", "description": None}


def test_creating_answers_with_the_movie(inventory: FlaskClient) -> None:
    given = {"title": "The Matrix", "description": "Un hacker apprend la vérité. 😀"}
    response = inventory.post(MOVIES, json=given)
    assert response.json == {"id": 1, **given}
    assert response.content_type == JSON
    assert response.headers["Location"] == "/api/movies/1"


def test_an_empty_table_is_an_empty_array(inventory: FlaskClient) -> None:
    response = inventory.get(MOVIES)
    assert (response.status_code, response.content_type, response.json) == (200, JSON, [])


def test_movies_are_listed_in_the_order_of_their_ids(inventory: FlaskClient) -> None:
    movies = [create(inventory, title) for title in ("C", "A", "B")]
    inventory.put(f"{MOVIES}/1", json={"title": "D"})
    assert inventory.get(MOVIES).json == [{**movies[0], "title": "D"}, *movies[1:]]


def test_a_title_is_trimmed_and_may_have_255_characters(inventory: FlaskClient) -> None:
    assert create(inventory, f"  {'é' * 255}\n")["title"] == "é" * 255


def test_a_description_may_have_ten_thousand_characters(inventory: FlaskClient) -> None:
    description = "😀" * 10_000
    assert create(inventory, "A", description)["description"] == description


def test_a_description_is_kept_as_it_was_given(inventory: FlaskClient) -> None:
    assert create(inventory, "A", "  one\n\ntwo\n")["description"] == "  one\n\ntwo\n"


def test_fields_missing_from_a_change_stay(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix", "A hacker.")
    changed = inventory.put(f"{MOVIES}/1", json={"title": "The Matrix Reloaded"})
    assert changed.status_code == 200
    assert changed.json == {"id": 1, "title": "The Matrix Reloaded", "description": "A hacker."}
    changed = inventory.put(f"{MOVIES}/1", json={"description": "Again."})
    assert changed.json == {"id": 1, "title": "The Matrix Reloaded", "description": "Again."}
    assert inventory.get(f"{MOVIES}/1").json == changed.json


def test_title_and_description_can_be_changed_together(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix", "A hacker.")
    given = {"title": "Tron", "description": "A programmer."}
    assert inventory.put(f"{MOVIES}/1", json=given).json == {"id": 1, **given}


def test_a_description_can_be_set_to_null(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix", "A hacker.")
    changed = inventory.put(f"{MOVIES}/1", json={"description": None})
    assert changed.json == {"id": 1, "title": "The Matrix", "description": None}


def test_a_change_touches_no_other_movie(inventory: FlaskClient) -> None:
    other = create(inventory, "Other")
    movie = create(inventory, "The Matrix")
    inventory.put(f"{MOVIES}/{movie['id']}", json={"title": "Tron"})
    assert inventory.get(f"{MOVIES}/{other['id']}").json == other


def test_deleting_answers_with_what_was_deleted(inventory: FlaskClient) -> None:
    movie, other = create(inventory, "The Matrix", "A hacker."), create(inventory, "Other")
    deleted = inventory.delete(f"{MOVIES}/{movie['id']}")
    assert (deleted.status_code, deleted.json) == (200, movie)
    assert inventory.get(MOVIES).json == [other]
    problem(inventory.delete(f"{MOVIES}/{movie['id']}"), 404)


def test_deleting_the_collection_empties_it_and_says_how_many(inventory: FlaskClient) -> None:
    for number in range(3):
        create(inventory, f"Movie {number}")
    for expected in (3, 0):
        response = inventory.delete(MOVIES)
        assert (response.status_code, response.json) == (200, {"deleted": expected})
    assert inventory.get(MOVIES).json == []


def test_a_filter_on_a_deletion_is_refused_instead_of_ignored(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix")
    assert fields(inventory.delete(f"{MOVIES}?title=Tron")) == ["title"]
    assert titles(inventory, "") == ["The Matrix"]


def test_an_id_is_never_reused(inventory: FlaskClient) -> None:
    first = create(inventory, "A")
    inventory.delete(MOVIES)
    assert create(inventory, "B")["id"] > first["id"]


def test_every_route_answers_with_a_trailing_slash_too(inventory: FlaskClient) -> None:
    created = inventory.post(f"{MOVIES}/", json={"title": "The Matrix"})
    assert (created.status_code, created.headers["Location"]) == (201, f"{MOVIES}/1")
    assert inventory.get(f"{MOVIES}/").json == [created.json]
    assert inventory.get(f"{MOVIES}/1/").json == created.json
    changed = inventory.put(f"{MOVIES}/1/", json={"title": "Tron"})
    assert inventory.delete(f"{MOVIES}/1/").json == changed.json
    assert inventory.delete(f"{MOVIES}/").json == {"deleted": 0}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "methods", "allowed"),
    [
        (MOVIES, ["PUT", "PATCH", "TRACE", "BREW"], "GET HEAD OPTIONS POST DELETE"),
        (f"{MOVIES}/1", ["POST", "PATCH", "BREW"], "GET HEAD OPTIONS PUT DELETE"),
    ],
)
def test_a_method_that_does_not_exist_is_a_405_with_allow(
    inventory: FlaskClient, path: str, methods: list[str], allowed: str, slash: str
) -> None:
    for method in methods:
        response = inventory.open(path + slash, method=method, json={"title": "A"})
        problem(response, 405)
        assert set(response.headers["Allow"].split(", ")) == set(allowed.split())


def test_options_names_the_methods_that_exist(inventory: FlaskClient) -> None:
    response = inventory.options(f"{MOVIES}/1")
    assert response.status_code == 200
    expected = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
    assert set(response.headers["Allow"].split(", ")) == expected


def test_head_answers_as_get_without_the_body(inventory: FlaskClient) -> None:
    movie = create(inventory, "The Matrix")
    for path in (MOVIES, f"{MOVIES}/{movie['id']}"):
        get, head = inventory.get(path), inventory.head(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == str(len(get.data))
        assert head.content_type == get.content_type
    assert inventory.head(f"{MOVIES}/999").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NO_JSON)
def test_a_body_that_is_not_json_is_a_400(inventory: FlaskClient, method: str, body: str) -> None:
    problem(write(inventory, method, NO_JSON[body], JSON), 400)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NO_OBJECT)
def test_json_that_is_no_object_is_a_422(inventory: FlaskClient, method: str, body: str) -> None:
    assert fields(write(inventory, method, body.encode(), JSON)) == [""]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "multipart/form-data"])
def test_another_content_type_is_a_415(inventory: FlaskClient, method: str, kind: str) -> None:
    problem(write(inventory, method, b'{"title": "A"}', kind), 415)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "field"), INVALID, ids=[f"{b:.40}" for b, _ in INVALID])
def test_errors_of_a_movie_are_named_by_field(
    inventory: FlaskClient, method: str, body: str, field: str
) -> None:
    assert fields(write(inventory, method, body.encode(), JSON)) == [field]
    assert titles(inventory, "") == (["Before"] if method == "PUT" else [])


def test_a_number_that_no_decimal_holds_is_refused(inventory: FlaskClient) -> None:
    body = b'{"title": "A", "description": 1E+99999999999999999999}'
    problem(inventory.post(MOVIES, data=body, content_type=JSON), 400, 422)


def test_all_errors_are_reported_at_once(inventory: FlaskClient) -> None:
    response = inventory.post(MOVIES, json={"description": 5, "year": 1999})
    assert sorted(fields(response)) == ["description", "title", "year"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_over_one_mebibyte_is_a_413(inventory: FlaskClient, method: str) -> None:
    body = b'{"title": "' + b"x" * 1024 * 1024 + b'"}'
    problem(write(inventory, method, body, JSON), 413)


def test_a_change_of_nothing_is_refused(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix")
    assert fields(inventory.put(f"{MOVIES}/1", json={})) == [""]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("key", NO_IDS)
def test_an_id_that_is_no_positive_64_bit_integer_is_refused(
    inventory: FlaskClient, method: str, key: str
) -> None:
    response = inventory.open(f"{MOVIES}/{NO_IDS[key]}", method=method, json={"title": "A"})
    problem(response, 404, 422)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("key", [1, 2**31, 2**63 - 1])
def test_a_movie_that_does_not_exist_is_a_404(
    inventory: FlaskClient, method: str, key: int
) -> None:
    response = inventory.open(f"{MOVIES}/{key}", method=method, json={"title": "A"})
    assert str(key) in problem(response, 404)["detail"]


def test_a_path_below_a_movie_is_a_404(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix")
    for path in ("/api/movies/1/actors", "/api/movies//1", "/api/moviesque", "/api"):
        problem(inventory.get(path), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=abc", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("limit=%EF%BC%95", "limit"),
        ("after=0", "after"),
        ("after=abc", "after"),
        ("after=9223372036854775808", "after"),
        ("title=%00", "title"),
        (f"title={'x' * 256}", "title"),
        ("title=a&title=b", "title"),
        ("limit=1&limit=1", "limit"),
        ("year=1999", "year"),
        ("Title=a", "Title"),
    ],
)
def test_a_query_parameter_that_is_wrong_unknown_or_repeated_is_named(
    inventory: FlaskClient, query: str, field: str
) -> None:
    assert fields(inventory.get(f"{MOVIES}?{query}")) == [field]


@pytest.mark.parametrize("title", ["%", "%zz", "+", "%2B", "%C3%A9", ""])
def test_any_text_may_be_searched_for(inventory: FlaskClient, title: str) -> None:
    assert inventory.get(f"{MOVIES}?title={title}").status_code == 200


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("title=%FF", "title"),
        ("title=%E9", "title"),
        ("limit=1&title=%ED%A0%80", "title"),
        ("title=%F0%9F&limit=1", "title"),
        ("%E9=1", "\\xe9"),
    ],
)
def test_a_query_that_is_not_in_utf_8_is_refused(
    inventory: FlaskClient, query: str, name: str
) -> None:
    detail = problem(inventory.get(f"{MOVIES}?{query}"), 400)["detail"]
    assert detail == f"The query parameter {name} is not encoded in UTF-8."


def test_a_list_can_be_walked_to_its_end_over_the_links(
    inventory: FlaskClient, movies_db: Database
) -> None:
    with movies_db.autocommit() as connection:
        connection.execute(insert(models.movies), [{"title": f"Éa & {n}"} for n in range(25)])
        connection.execute(insert(models.movies), [{"title": "another"}])
    found, sizes = [], []
    for response in walked(inventory, f"{MOVIES}/?title=%C3%A9A%20%26&limit=10"):
        found += [movie["title"] for movie in content(response)]
        sizes.append(len(content(response)))
    assert found == [f"Éa & {n}" for n in range(25)]
    assert sizes == [10, 10, 5]


def test_a_page_has_a_hundred_movies_by_default(
    inventory: FlaskClient, movies_db: Database
) -> None:
    with movies_db.autocommit() as connection:
        connection.execute(insert(models.movies), [{"title": f"{n}"} for n in range(1001)])
    assert len(content(inventory.get(MOVIES))) == 100
    response = inventory.get(f"{MOVIES}?limit=1000")
    assert len(content(response)) == 1000
    assert response.headers["Link"].endswith('; rel="next"')


def test_a_walk_neither_skips_nor_repeats_when_movies_come_and_go(inventory: FlaskClient) -> None:
    movies = [create(inventory, f"{n}") for n in range(6)]
    first = content(inventory.get(f"{MOVIES}?limit=3"))
    inventory.delete(f"{MOVIES}/{movies[0]['id']}")
    inventory.delete(f"{MOVIES}/{movies[2]['id']}")
    create(inventory, "new")
    rest = content(inventory.get(f"{MOVIES}?after={first[-1]['id']}"))
    assert [movie["title"] for movie in rest] == ["3", "4", "5", "new"]


def test_after_the_greatest_id_there_is_nothing(inventory: FlaskClient) -> None:
    create(inventory, "The Matrix")
    assert inventory.get(f"{MOVIES}?after={2**63 - 1}").json == []


@pytest.mark.parametrize("searched", ["matrix", "MATRIX", "the m", "x", "e Matri", "The Matrix"])
def test_a_search_finds_a_part_of_the_title_in_any_case(
    inventory: FlaskClient, searched: str
) -> None:
    create(inventory, "The Matrix")
    create(inventory, "Tron")
    assert titles(inventory, searched) == ["The Matrix"]


@pytest.mark.parametrize("searched", ["École", "éCOLE", "ÉCOLE", "école"])
def test_a_search_knows_the_case_of_other_letters_than_english(
    inventory: FlaskClient, searched: str
) -> None:
    create(inventory, "L'École")
    create(inventory, "L'Ecole")
    assert titles(inventory, searched) == ["L'École"]


@pytest.mark.parametrize("special", ["%", "_", "\\", "/", "%_", "\\%", "/%", "'", '"', "''"])
def test_no_character_is_special_in_a_search(inventory: FlaskClient, special: str) -> None:
    create(inventory, f"before {special} after")
    create(inventory, "before x after")
    assert titles(inventory, f"e {special} a") == [f"before {special} after"]
    assert titles(inventory, special) == [f"before {special} after"]


def test_white_space_in_a_search_counts(inventory: FlaskClient) -> None:
    create(inventory, "Matrix")
    create(inventory, "The Matrix")
    assert titles(inventory, " matrix") == ["The Matrix"]


def test_a_description_is_not_searched(inventory: FlaskClient) -> None:
    create(inventory, "Tron", "like The Matrix")
    assert titles(inventory, "matrix") == []


@examples(20)
@given(stored=st.lists(SIGNS.filter(str.strip), min_size=1, max_size=8), searched=SIGNS)
def test_a_search_finds_exactly_the_titles_that_contain_the_text(
    inventory: FlaskClient, movies_db: Database, stored: list[str], searched: str
) -> None:
    with movies_db.autocommit() as connection:
        connection.execute(text("DELETE FROM movies"))
        connection.execute(insert(models.movies), [{"title": title} for title in stored])
    expected = [title for title in stored if searched.lower() in title.lower()]
    assert titles(inventory, searched) == expected


def test_connections_closed_by_the_database_fail_no_request(
    inventory: FlaskClient, movies_db: Database
) -> None:
    create(inventory, "The Matrix")
    with movies_db.autocommit() as connection:
        cut = connection.execute(
            text(
                "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).scalar()
    assert cut
    assert inventory.get(MOVIES).status_code == 200
    assert inventory.post(MOVIES, json={"title": "Tron"}).status_code == 201
