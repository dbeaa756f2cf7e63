"""Rows of text in aligned columns, for the output of commands."""

from collections.abc import Callable, Sequence


def plain(cell: str, _row: int) -> str:
    """Return a cell unchanged."""
    return cell


def aligned(
    rows: Sequence[Sequence[str]],
    indent: str = "",
    paint: Callable[[str, int], str] = plain,
) -> str:
    """Return `rows` in columns as wide as their widest cell; rows may differ in length.

    Args:
        rows: the cells, top to bottom.
        indent: the prefix of each line.
        paint: given a cell and its row number, adds characters without width, such as colours.
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
