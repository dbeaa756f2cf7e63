"""What is stopped is started again, even if the terminal is gone or the command is told to end."""

import signal
import sys


def exit_in_order() -> None:
    """From now on SIGTERM and SIGHUP end this process as an exception does, with the status 1."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda _number, _frame: sys.exit(1))
