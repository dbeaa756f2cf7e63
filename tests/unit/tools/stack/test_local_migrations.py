"""What ./stack up says when a database can't be migrated."""

from pathlib import Path

import pytest

from tools.stack.errors import StackError
from tools.stack.migrations import migrations
from tools.stack.stack import Stack


def test_a_database_that_does_not_answer_is_named_with_its_address(tmp_path: Path) -> None:
    stack = Stack.private(tmp_path)
    place = f"127.0.0.1:{stack.postgres['inventory'].port}"
    with migrations(stack.variables) as migrating:
        with pytest.raises(StackError, match=rf"^The migration of inventory's .* at {place} \("):
            migrating.run("inventory")
        # the process has ended
        with pytest.raises(StackError, match=r"^The migration of billing's database failed: "):
            migrating.run("billing")


def test_a_value_that_a_service_does_not_take_is_named(tmp_path: Path) -> None:
    wrong = Stack.private(tmp_path, API_TOKEN="two words").variables
    with (
        migrations(wrong) as migrating,
        pytest.raises(StackError, match=r"database failed: .*API_TOKEN"),
    ):
        migrating.run("gateway")
