"""Rows of text in columns, for whoever reads a command's output."""

from collections.abc import Callable, Sequence


def plain(cell: str, _row: int) -> str:
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
        paint: given a cell and the number of its row, adds what takes no room, such as colours.
    """
    columns = max((len(row) for row in rows), default=0)
    widths = [max(len(row[i]) for row in rows if len(row) > i) for i in range(columns)]
    lines = ("  ".join(_cells(row, n, widths, paint)) for n, row in enumerate(rows))
    return "\n".join((indent + line).rstrip() for line in lines)


def _cells(
    row: Sequence[str], number: int, widths: Sequence[int], paint: Callable[[str, int], str]
) -> list[str]:
    return [
        paint(cell, number) + " " * (width - len(cell))
        for cell, width in zip(row, widths, strict=False)
    ]
