"""Text from outside as a terminal may see it: what would steer it, or turn text round, is spelled.

A terminal obeys ESC and the other control characters of C0 and C1 (ECMA-48); bidirectional controls
and line separators (Unicode Standard Annex 9) show a text as something else than it is; a lone
surrogate has no UTF-8. Each is shown as `\\uXXXX`, which is also how JSON spells it.
"""

import re

# DEL and C1; marks of direction; line and paragraph separators, embeddings, overrides; isolates;
# surrogates. Joiners stay: Persian, Hindi and emoji need them.
_OTHERS = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(rf"[\x00-\x09\x0b-\x1f{_OTHERS}]")


def escaped(text: str) -> str:
    """Return `text` with all that a terminal would obey spelled out; newlines stay."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escaped_line(text: str) -> str:
    """Return `text` as one line: newlines are spelled out, too."""
    return escaped(text).replace("\n", "\\u000a")
