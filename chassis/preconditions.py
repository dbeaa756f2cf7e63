"""Preconditions of a request: it is served only if the resource has the state that it names.

Source: RFC 9110, sections 8.8.3 (ETag), 13.1.1 (If-Match), 13.1.2 (If-None-Match) and 13.2.2 (their
order). No resource has a Last-Modified, so conditions on times are ignored, as section 13.1.3 says.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.errors import PreconditionFailedError

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
Check = Callable[[Mapping[Any, Any]], None]
"""Raises an exception unless a row, which is locked, fits the request's preconditions."""

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_EACH = re.compile(_TAG)
_LIST = re.compile(rf"(?:[ \t]*,)*[ \t]*{_TAG}(?:[ \t]*,(?:[ \t]*{_TAG})?)*[ \t]*")


class MalformedTagsError(ValueError):
    """The value is neither `*` nor a list of entity tags."""


@dataclass(frozen=True)
class Tags:
    """The entity tags that a header names; `*` matches any."""

    named: frozenset[str]
    is_any: bool = False

    def match_strongly(self, tag: str) -> bool:
        """Return whether the strong tag `tag`, without quotes, is named; weak tags never match."""
        return self.is_any or f'"{tag}"' in self.named

    def match_weakly(self, tag: str) -> bool:
        """Return whether `tag` is named, as a strong or a weak tag."""
        return self.match_strongly(tag) or f'W/"{tag}"' in self.named


def read_tags(field: str) -> Tags:
    """Read the value of If-Match or If-None-Match.

    Raises:
        MalformedTagsError: it is neither `*` nor a list of entity tags.
    """
    if field.strip(" \t") == "*":
        return Tags(frozenset(), is_any=True)
    if not _LIST.fullmatch(field):
        raise MalformedTagsError
    return Tags(frozenset(_EACH.findall(field)))


@dataclass(frozen=True)
class Preconditions:
    """A request's conditions on the current state of the resource."""

    if_match: Tags | None = None
    if_none_match: Tags | None = None

    def check_match(self, tag: str) -> None:
        """Check If-Match.

        Raises:
            PreconditionFailedError: the resource has changed since the client read it.
        """
        if self.if_match is not None and not self.if_match.match_strongly(tag):
            raise PreconditionFailedError(
                f'If-Match does not name the current ETag, "{tag}": read again, and send the ETag '
                "of that answer. Weak tags (W/…) never match."
            )

    def check_change(self, tag: str) -> None:
        """Check all conditions before an existing resource is changed.

        Raises:
            PreconditionFailedError: one does not hold.
        """
        self.check_match(tag)
        if self.if_none_match is not None and self.if_none_match.match_weakly(tag):
            raise PreconditionFailedError(
                f'If-None-Match excludes the resource as it is; its ETag is "{tag}". '
                "Nothing was changed."
            )
