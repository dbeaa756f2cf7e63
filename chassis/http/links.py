"""The Link header of a page, which leads to the next one. Source: RFC 8288."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode


def to_next(path: str, parameters: Mapping[str, Any]) -> str:
    """Return the header that names the next page of the list at `path`."""
    return f'<{quote(path)}?{urlencode(parameters)}>; rel="next"'


def next_target(link: str | None) -> str | None:
    """Return path and query of the next page, read from a header of `to_next`; None without one."""
    target, _, relation = (link or "").partition(">")
    return target.removeprefix("<") if relation == '; rel="next"' else None
