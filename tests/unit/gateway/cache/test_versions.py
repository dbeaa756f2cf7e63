"""The versions of what is cached, shared by the processes of a machine."""

import os
from pathlib import Path

import pytest

from gateway.cache import preparation, resources, setup, versions
from gateway.cache.settings import CacheSettings
from gateway.cache.versions import Versions
from tests.support.servers import Logged

MOVIE = resources.read("/api/movies/1")
assert MOVIE is not None


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the file of the versions."""
    versions.prepare(tmp_path)
    return tmp_path


@pytest.fixture
def one(directory: Path) -> Versions:
    """The versions of a process, while events are followed."""
    shared = Versions(directory)
    shared.follow()
    return shared


def current(shared: Versions) -> bytes | None:
    """The versions of a movie."""
    assert MOVIE is not None
    return shared.current(MOVIE)


def test_processes_share_their_versions(one: Versions, directory: Path) -> None:
    other = Versions(directory)
    before = current(one)
    assert before is not None
    assert current(other) == before
    other.change(resources.written("PUT", "/api/movies/1"))
    assert current(one) not in (None, before)
    assert current(one) == current(other)


def test_a_later_write_keeps_closed_what_an_earlier_one_reopens(one: Versions) -> None:
    slots = resources.written("PUT", "/api/movies/1")
    first = one.close(slots)
    second = one.close(slots)
    one.reopen(slots, first)
    assert current(one) is None
    one.reopen(slots, second)
    assert current(one) is not None


def test_a_closing_that_nobody_ends_expires_with_new_versions(
    one: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = current(one)
    monkeypatch.setattr(versions, "CLOSED_SECONDS", -1.0)
    one.close(resources.written("PUT", "/api/movies/1"))
    assert current(one) not in (None, before)


def test_a_process_moves_to_the_file_that_replaces_its_own(one: Versions, directory: Path) -> None:
    [file] = directory.glob("*.versions")
    file.unlink()
    versions.prepare(directory)
    other = Versions(directory)
    other.follow()
    before = current(other)
    one.change(resources.written("PUT", "/api/movies/1"))
    assert current(other) not in (None, before)


def test_a_process_that_only_reads_moves_as_well(one: Versions, directory: Path) -> None:
    [file] = directory.glob("*.versions")
    file.unlink()
    one.unfollow()
    versions.prepare(directory)
    other = Versions(directory)
    other.follow()
    assert current(one) == current(other)
    assert one.is_followed()


def test_a_file_that_exists_is_kept(one: Versions, directory: Path) -> None:
    before = current(one)
    versions.prepare(directory)
    assert current(Versions(directory)) == before


def test_files_of_earlier_boots_are_removed(directory: Path) -> None:
    earlier = directory / "earlier.versions"
    earlier.touch()
    versions.prepare(directory)
    assert not earlier.exists()
    [file] = directory.glob("*.versions")
    assert os.stat(file).st_blocks * 512 >= file.stat().st_size


def test_a_new_worker_invalidates_everything(one: Versions, directory: Path) -> None:
    before = current(one)
    settings = CacheSettings(redis_socket=directory / "redis.sock")
    assert setup.create(settings, directory) is not None
    assert current(one) not in (None, before)


def test_after_a_gap_in_following_everything_is_invalidated(one: Versions) -> None:
    before = current(one)
    one.follow()
    assert current(one) == before
    one.unfollow()
    one.follow()
    assert current(one) not in (None, before)


def test_without_the_file_nothing_is_cached_and_nothing_fails(tmp_path: Path) -> None:
    shared = Versions(tmp_path / "nowhere")
    slots = resources.written("PUT", "/api/movies/1")
    shared.reopen(slots, shared.close(slots))
    shared.change(slots)
    shared.follow()
    assert current(shared) is None
    assert not shared.is_followed()


def test_a_file_that_cannot_be_made_is_logged(tmp_path: Path, logged: Logged) -> None:
    (tmp_path / "file").touch()
    preparation.prepare(CacheSettings(redis_socket=tmp_path / "s"), tmp_path / "file" / "cache")
    [line] = logged()
    assert line["message"] == "nothing is cached"


@pytest.mark.parametrize(
    "settings", [{"cache": "off", "redis_socket": "/run/redis.sock"}, {"redis_socket": None}]
)
def test_the_cache_can_be_off(settings: dict[str, str | None], directory: Path) -> None:
    assert setup.create(CacheSettings.model_validate(settings), directory) is None


def test_what_a_path_does_not_say_clearly_changes_everything_of_its_kind() -> None:
    movies, products = resources.MOVIES, resources.PRODUCTS
    everything = movies.everything, products.everything
    assert resources.written("PUT", "/api/movies/01") == everything
    assert resources.written("PUT", "/api/movies//1") == everything
    assert resources.written("PUT", "/api/products") == (products.everything,)
    assert resources.written("POST", "/api/produits/7/stock") == (
        products.lists,
        products.item(7),
    )
    assert resources.written("POST", "/api/movies/") == (movies.lists,)
