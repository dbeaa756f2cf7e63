"""Requests that come every second, as somebody watches: too many for the log."""

from flask import g

from chassis.http import caller
from chassis.http.request import caller_name


def skip_request() -> None:
    """Do not log that the current request was answered."""
    g.quiet = True


def skip_if_watched() -> None:
    """Do not log it if it is the gateway's own, as it watches the platform."""
    if caller_name() == caller.WATCH:
        skip_request()
