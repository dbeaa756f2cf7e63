"""What was probably meant by a name that is not known.

Nothing but the standard library: the shell script `stack` runs this file before anything is
installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches

CUTOFF = 0.5
# how much less like than the best another name may be, to be named beside it
MARGIN = 0.1
# what other programs call our commands
ALSO = {
    "start": ("up",),
    "stop": ("down",),
    "restart": ("server", "up"),
    "ps": ("status",),
    "log": ("logs",),
    "tail": ("logs",),
    "sql": ("psql",),
    "tests": ("test",),
    "kill": ("server",),
    "version": ("--version",),
}


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known names that are most like `word`, three at most, the likeliest first."""
    names = list(known)
    meant = [name for name in ALSO.get(word, ()) if name in names]
    if meant:
        return meant
    like = get_close_matches(word, names, n=3, cutoff=CUTOFF)
    best = _likeness(word, like[0]) if like else 0.0
    return [name for name in like if _likeness(word, name) > best - MARGIN]


def _likeness(word: str, name: str) -> float:
    return SequenceMatcher(None, name, word).ratio()


def unknown(kind: str, word: str, known: Sequence[str], more: str = "") -> str:
    """Say that there is no `kind` of this name, which one was probably meant, and what there is.

    Args:
        kind: of thing, such as "process".
        word: the name that is not known.
        known: all names of that kind.
        more: what says which there are, where there are too many to name.
    """
    found = nearest(word, known)
    meant = f" Did you mean {' or '.join(found)}?" if found else ""
    return f"There is no {kind} {word}.{meant} {more or 'There are ' + ', '.join(known) + '.'}"


if __name__ == "__main__":
    sys.stdout.write(unknown(sys.argv[1], sys.argv[2], sys.argv[4:], sys.argv[3]) + "\n")
