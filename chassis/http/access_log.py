"""Requests that come every second, as somebody watches: too many for the log."""

from flask import g

from chassis.http import caller


def this_request() -> None:
    """Do not log that the current request was answered."""
    g.quiet = True


def if_watched() -> None:
    """Do not log it if it is the gateway's own, as it watches the platform."""
    if caller.caller() == caller.WATCH:
        this_request()
