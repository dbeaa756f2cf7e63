"""How the tests are shared out among processes."""

import os

import pytest

from tests.support.side_by_side import GIB, processes, scope


@pytest.mark.parametrize(
    ("gibibytes", "count"), [(0, 1), (1, 1), (2, 1), (4, 2), (4.5, 3), (5, 4), (5.5, 5), (64, 5)]
)
def test_there_are_as_many_processes_as_memory_and_cores_allow(
    monkeypatch: pytest.MonkeyPatch, gibibytes: float, count: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert processes(int(gibibytes * GIB)) == count


@pytest.mark.parametrize(
    ("files", "count"),
    [
        (["tests/unit/test_a.py", "tests/service/test_a.py", "tests/service/test_b.py"], 3),
        (["tests/system/test_openapi.py", "tests/browser/test_page.py"], 1),
        (["tests/system/test_drills.py", "tests/system/test_resilience.py"], 1),
        (["tests/system/test_drills.py", "tests/system/test_openapi.py"], 2),
    ],
)
def test_files_of_one_stack_go_together_and_all_others_alone(files: list[str], count: int) -> None:
    assert len({*map(scope, files)}) == count
