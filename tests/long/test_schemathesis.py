"""schemathesis finds nothing, with many requests, which are others each time."""

from tests.support import schemathesis
from tools.stack.stack import Stack


def test_schemathesis_finds_nothing_in_many_requests(stack: Stack) -> None:
    schemathesis.run(stack, "--max-examples", "50")
