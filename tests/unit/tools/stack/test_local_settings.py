"""Variables that a service does not take end a start before anything is started."""

from pathlib import Path

import pytest

from tools.stack.console import silent
from tools.stack.errors import StackError
from tools.stack.lifecycle import Startup
from tools.stack.stack import Stack


def test_an_invalid_value_ends_a_start(tmp_path: Path) -> None:
    stack = Stack.private(tmp_path, API_TOKEN="two words")
    with pytest.raises(StackError, match=r"^API_TOKEN: must be 8 to 512 visible") as raised:
        Startup(stack, silent).run()
    assert "two words" not in str(raised.value)
    assert not stack.env_file.exists()
    assert stack.pids() == []
