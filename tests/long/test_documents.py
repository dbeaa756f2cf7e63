"""The drills by hand do what docs/drills.md says: each is run, and its answers are compared."""

from tests.support.checkout import started
from tests.support.reader import Reader


def test_the_drills_by_hand_answer_as_they_show() -> None:
    with started() as checkout:
        Reader(checkout, "docs/drills.md", ["By hand"]).go()
