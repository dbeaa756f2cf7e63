"""Parts of paths that the framework's own converters do not know."""

import re

from werkzeug.routing import BaseConverter, Map, PathConverter


class AnyPath(PathConverter):
    """`path`, but line feeds are characters like all others."""

    regex = "(?s:[^/].*?)"


class Other(BaseConverter):
    """One part of a path that is none of `names`, which have routes of their own.

    A method that the route of such a name lacks is 405 then, and does not fall to this one.
    """

    def __init__(self, url_map: Map, *names: str) -> None:
        super().__init__(url_map)
        self.regex = rf"(?!(?:{'|'.join(map(re.escape, names))})\Z)[^/]+"
