"""A WSGI application with a large answer, which granian's workers load."""

import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chassis.http import unread_answers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SIZE = int(os.environ["ANSWER_BYTES"])
logging.basicConfig(level=logging.INFO)
unread_answers.close_unread(float(os.environ["UNREAD_SECONDS"]))


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer with many bytes, on `/live` with none."""
    size = 0 if environ["PATH_INFO"] == "/live" else SIZE
    start_response("200 OK", [("Content-Length", str(size))])
    return [bytes(size)]
