"""How the tests are shared out among processes."""

import os

import pytest

from tests.support.side_by_side import GIB, LONGEST, STACK_USED, next_of, processes, scope
from tools.stack.layout import CHECKOUT


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


def test_what_takes_longest_is_begun_first_and_the_rest_in_its_order() -> None:
    waiting = ["tests/unit/test_b.py", "tests/unit/test_a.py", LONGEST[-1], LONGEST[3], STACK_USED]
    order: list[str] = []
    while waiting:
        order.append(next_of(waiting))
        waiting.remove(order[-1])
    rest = ["tests/unit/test_b.py", "tests/unit/test_a.py"]
    assert order == [STACK_USED, LONGEST[3], LONGEST[-1], *rest]


def test_the_files_that_take_longest_are_there() -> None:
    files = [scope for scope in LONGEST if scope.endswith(".py")]
    assert [file for file in files if not (CHECKOUT / file).is_file()] == []
