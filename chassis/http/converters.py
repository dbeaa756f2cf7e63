"""URL converters that Flask lacks."""

import re

from werkzeug.routing import BaseConverter, Map, PathConverter


class AnyPath(PathConverter):
    """Like `path`, but it also matches line feeds."""

    regex = "(?s:[^/].*?)"


class Other(BaseConverter):
    """A path segment that is none of `names`, which have their own routes.

    So a name of an own route never matches this route: a wrong method for it gets 405.
    """

    def __init__(self, url_map: Map, *names: str) -> None:
        super().__init__(url_map)
        self.regex = rf"(?!(?:{'|'.join(map(re.escape, names))})\Z)[^/]+"
