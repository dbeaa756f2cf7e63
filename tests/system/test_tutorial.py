"""What the documents show is what happens: their blocks are run, and the answers compared."""

from collections.abc import Iterator

import pytest

from tests.support.checkout import Checkout, started
from tests.support.reader import PATIENT, Reader

# what of the other documents can be run on any stack, beside others, within seconds
SECTIONS = {
    "README.md": ["Six calls", "A drill of sixty seconds"],
    "docs/api.md": ["Errors"],
    "docs/messages.md": ["A queue of your own"],
    "docs/monitoring.md": ["`/api/status`"],
    "docs/security.md": ["Tokens"],
}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A stack that has just been started for the first time."""
    with started() as checkout:
        yield checkout


def test_the_tutorial_answers_as_it_shows(checkout: Checkout) -> None:
    reader = Reader(checkout, "docs/tutorial.md", prelude=PATIENT)
    # all but those that define something
    assert all(step.answer for step in reader.steps if "curl" in step.command.split("=")[0])
    reader.go()


@pytest.mark.parametrize("name", SECTIONS)
def test_the_commands_of_a_document_answer_as_it_shows(checkout: Checkout, name: str) -> None:
    reader = Reader(checkout, name, SECTIONS[name])
    assert reader.steps
    reader.go()
