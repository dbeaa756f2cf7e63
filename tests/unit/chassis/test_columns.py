"""Rows of text in columns."""

from chassis.columns import aligned


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() -> None:
    rows = [("name", "state"), ("gateway", ""), ("x", "up", "more"), ()]
    assert aligned(rows, indent="  ").split("\n") == [
        "  name     state",
        "  gateway",
        "  x        up     more",
        "",
    ]
    assert aligned([]) == ""


def test_colours_take_no_column_width() -> None:
    painted = aligned(
        [("a", "b"), ("cc", "d")], paint=lambda cell, row: f"<{cell}>" if row else cell
    )
    assert painted.split("\n") == ["a   b", "<cc>  <d>"]
