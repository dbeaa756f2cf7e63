"""Makes text from outside safe for a terminal: control characters are escaped.

A terminal obeys ESC and the other control characters of C0 and C1 (ECMA-48). Bidirectional controls
and line separators (Unicode Standard Annex 9) make text look different. A lone surrogate has no
UTF-8. Each is shown as `\\uXXXX`, as JSON writes it.
"""

import re

# DEL and C1; marks of direction; line and paragraph separators, embeddings, overrides; isolates;
# surrogates. Joiners stay: Persian, Hindi and emoji need them.
_OTHERS = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(rf"[\x00-\x09\x0b-\x1f{_OTHERS}]")


def escaped(text: str) -> str:
    """Return `text` with such characters escaped; newlines stay."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escaped_line(text: str) -> str:
    """Return `text` as one line: newlines are escaped as well."""
    return escaped(text).replace("\n", "\\u000a")
