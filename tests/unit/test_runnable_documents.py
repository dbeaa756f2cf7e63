"""How the tests read documents that can be run."""

from tests.support.documents import Step, match, steps

TEXT = """\
Words.

```sh
# a comment
one \\
    more
# its answer
two   # a remark

three
```

```
no shell
```

```sh
four
# a
# b
```
"""


def test_a_step_ends_at_its_answer_at_an_empty_line_and_with_its_block() -> None:
    assert list(steps(TEXT)) == [
        Step(5, "one \\\n    more", ["its answer"]),
        Step(8, "two   # a remark", []),
        Step(10, "three", []),
        Step(18, "four", ["a", "b"]),
    ]


ONE, OTHER, THIRD = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")


def test_an_identity_that_is_shown_again_comes_again() -> None:
    known = match([f'{{"id":"{ONE}"}}'], [f'{{"id":"{THIRD}"}}'], {})
    assert known == {ONE: THIRD}
    assert match([f"{ONE} {OTHER}"], [f"{THIRD} {ONE}"], known) == {ONE: THIRD, OTHER: ONE}
    assert match([ONE], [OTHER], known) is None
    assert match([OTHER], [THIRD], known) is None
    assert match([f"{OTHER} {OTHER}"], [f"{ONE} {OTHER}"], known) is None


def test_times_vary_and_all_else_does_not() -> None:
    shown = ['{"at":"2026-11-22T03:57:07.290416Z","total":9.50}']
    assert match(shown, ['{"at":"2027-01-01T00:00:00Z","total":9.50}'], {}) == {}
    assert match(shown, ['{"at":"2027-01-01T00:00:00Z","total":9.5}'], {}) is None
    assert match(shown, ['{"at":"now","total":9.50}'], {}) is None


def test_an_ellipsis_stands_for_anything() -> None:
    assert match(['{"a":…,"c":3}'], ['{"a":1,"b":2,"c":3}'], {}) == {}
    assert match(['{"a":…,"c":3}'], ['{"a":1,"c":4}'], {}) is None


def test_lines_come_in_the_order_in_which_they_are_shown() -> None:
    assert match(["a", "c"], ["a", "b", "c"], {}) == {}
    assert match(["c", "a"], ["a", "b", "c"], {}) is None
