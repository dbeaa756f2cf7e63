"""Where a checkout's stack has its data, and how they are removed."""

from pathlib import Path

import pytest

from tools.stack.errors import StackError
from tools.stack.servers import data_directories


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which no server can live, so that its data lie elsewhere."""
    monkeypatch.setattr(data_directories, "_is_usable", lambda home: False)
    monkeypatch.setattr(
        data_directories, "_elsewhere", lambda checkout: tmp_path / "elsewhere" / "data"
    )
    (tmp_path / "checkout" / ".stack").mkdir(parents=True)
    return tmp_path / "checkout"


def test_a_link_leads_to_data_in_another_directory(checkout: Path, tmp_path: Path) -> None:
    home = data_directories.of_checkout(checkout)
    assert home == data_directories.of_checkout(checkout) == tmp_path / "elsewhere" / "data"
    assert (checkout / ".stack" / "data").resolve() == home


def test_a_purge_removes_the_data_and_the_link_to_them(checkout: Path) -> None:
    home = data_directories.of_checkout(checkout)
    data_directories.purge(home, checkout)
    assert not home.exists()
    assert not (checkout / ".stack" / "data").is_symlink()


def test_a_purge_of_other_data_leaves_the_link(checkout: Path, tmp_path: Path) -> None:
    data_directories.of_checkout(checkout)
    (tmp_path / "other").mkdir()
    data_directories.purge(tmp_path / "other", checkout)
    assert (checkout / ".stack" / "data").is_dir()


def test_a_link_to_nothing_is_replaced(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".stack" / "data").symlink_to(tmp_path / "gone")
    home = data_directories.of_checkout(checkout)
    assert (checkout / ".stack" / "data").resolve() == home


def test_unusable_data_are_named(checkout: Path) -> None:
    (checkout / ".stack" / "data").mkdir()
    with pytest.raises(StackError, match=r"\.stack/data any more: move it to "):
        data_directories.of_checkout(checkout)
