"""Rows of text in columns, for whoever reads a command's output."""

from collections.abc import Callable, Sequence


def plain(cell: str, _column: int) -> str:
    """A cell as it is."""
    return cell


def aligned(
    rows: Sequence[Sequence[str]],
    indent: str = "",
    paint: Callable[[str, int], str] = plain,
) -> str:
    """`rows` in columns as wide as their widest cell; a row may have fewer cells than another.

    Args:
        rows: the cells, top to bottom.
        indent: what each line begins with.
        paint: given a cell and its column, adds what takes no room, such as colours.
    """
    columns = max((len(row) for row in rows), default=0)
    widths = [max(len(row[i]) for row in rows if len(row) > i) for i in range(columns)]
    return "\n".join((indent + _line(row, widths, paint)).rstrip() for row in rows)


def _line(row: Sequence[str], widths: Sequence[int], paint: Callable[[str, int], str]) -> str:
    filled = max((i + 1 for i, cell in enumerate(row) if cell), default=0)
    gaps = [" " * (width - len(cell)) for cell, width in zip(row, widths, strict=False)]
    painted = [paint(cell, i) for i, cell in enumerate(row[:filled])]
    cells = [cell + gap for cell, gap in zip(painted[:-1], gaps, strict=False)]
    return "  ".join([*cells, *painted[-1:]])
