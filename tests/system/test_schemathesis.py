"""schemathesis finds nothing: it makes requests from openapi.yaml and looks at every answer.

tests/long has it make far more of them, in all of its phases.

By hand, against a stack that runs and as long as you like, see schemathesis.toml.
"""

from tests.support import schemathesis
from tools.stack.stack import Stack


def test_schemathesis_finds_nothing(stack: Stack) -> None:
    # the same requests each time, and few enough for a suite that runs often; examples and what is
    # systematically wrong with a request are in test_openapi.py
    phases = ("--phases", "fuzzing,stateful")
    schemathesis.run(stack, *phases, "--max-examples", "2", "--seed", "1")
