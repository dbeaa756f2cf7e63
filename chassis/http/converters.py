"""URL converters that Flask lacks."""

import re

from werkzeug.routing import BaseConverter, Map, PathConverter


class AnyPath(PathConverter):
    """Like `path`, but it also matches line feeds."""

    regex = "(?s:[^/].*?)"


class Other(BaseConverter):
    """A path segment that is none of `names`, which have their own routes.

    So a method that the route of such a name lacks gets 405, and does not match this route.
    """

    def __init__(self, url_map: Map, *names: str) -> None:
        super().__init__(url_map)
        self.regex = rf"(?!(?:{'|'.join(map(re.escape, names))})\Z)[^/]+"
