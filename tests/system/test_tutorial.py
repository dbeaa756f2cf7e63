"""What the documents show is what happens: their blocks are run, and the answers compared."""

from collections.abc import Iterator

import pytest

from tests.support.checkout import Checkout
from tests.support.reader import PATIENT, Reader

# what of the other documents can be run on any stack, beside others, within seconds
SECTIONS = {
    "README.md": ["Six calls", "A drill of sixty seconds"],
    "docs/api.md": ["Errors"],
    "docs/messages.md": ["A queue of your own"],
    "docs/monitoring.md": ["`/api/status`"],
    "docs/security.md": ["Tokens"],
}


@pytest.fixture(scope="session")
def newcomer(checkout: Checkout) -> Iterator[Checkout]:
    """The copy of the checkout, whose stack is new; other tests share it until it ends as shown."""
    yield checkout
    checkout.stack("down", "--purge", seconds=120)


def test_the_tutorial_answers_as_it_shows(newcomer: Checkout) -> None:
    reader = Reader(newcomer, "docs/tutorial.md", prelude=PATIENT)
    # all but those that define something
    assert all(step.answer for step in reader.steps if "curl" in step.command.split("=")[0])
    reader.go()


@pytest.mark.parametrize("name", SECTIONS)
def test_the_commands_of_a_document_answer_as_it_shows(newcomer: Checkout, name: str) -> None:
    reader = Reader(newcomer, name, SECTIONS[name])
    assert reader.steps
    reader.go()
