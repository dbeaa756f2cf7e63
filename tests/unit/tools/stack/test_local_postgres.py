"""How a PostgreSQL gets its data, without a server that runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stack.errors import StackError
from tools.stack.servers import data_directories, postgres
from tools.stack.servers.postgres import Postgres


@pytest.fixture
def pair() -> Iterator[tuple[Postgres, Postgres]]:
    """A server with initialized data (three files), and one without."""
    with data_directories.private_home() as home:
        first, second = (Postgres(home / name, host="127.0.0.1", port=1) for name in "ab")
        first._make_directories()
        for name in ("PG_VERSION", "base", "global"):
            (first._data / name).write_text("")
        yield first, second


def test_an_interrupted_copy_leaves_no_data(
    pair: tuple[Postgres, Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    programs = first.home / "programs"
    programs.mkdir(mode=0o755)
    first.home.chmod(0o755)
    interrupted(programs / "cp")
    with monkeypatch.context() as patched:
        patched.setitem(postgres.ENVIRONMENT, "PATH", f"{programs}:/usr/bin:/bin")
        with pytest.raises(StackError, match="cp failed"):
            second.initialize_like(first)
    assert not second.has_data()
    second.initialize_like(first)
    assert names(second._data) == names(first._data)
    assert not (second.home / "new").exists()


def test_foreign_files_in_the_place_of_data_are_left_alone(
    pair: tuple[Postgres, Postgres],
) -> None:
    first, second = pair
    second._make_directories()
    (second._data / "mine").write_text("")
    with pytest.raises(StackError, match="is not empty"):
        second.initialize_like(first)
    assert names(second._data) == ["mine"]


def interrupted(program: Path) -> None:
    """Put there a cp that fails after its first file."""
    program.write_text('#!/bin/sh\nfor place; do :; done\ntouch "$place/PG_VERSION"\nexit 1\n')
    program.chmod(0o755)


def names(directory: Path) -> list[str]:
    """The names of a directory's files, sorted."""
    return sorted(path.name for path in directory.iterdir())
