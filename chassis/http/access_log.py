"""Keeps frequent monitoring requests out of the log."""

from flask import g

from chassis.http import caller
from chassis.http.request import caller_name


def skip_request() -> None:
    """Do not log the current request."""
    g.quiet = True


def skip_if_watched() -> None:
    """Do not log the current request if it is one of the gateway's status checks."""
    if caller_name() == caller.WATCH:
        skip_request()
