"""Logs: one JSON line for each event, on standard output."""

import logging
import sys
from datetime import datetime, timezone
from functools import cache
from itertools import islice
from typing import Any

import orjson
from prometheus_client import Counter
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonEncoder

from chassis import trace
from chassis.log_output import Output
from chassis.printable import escaped
from chassis.settings import own_name

FIELDS = ("timestamp", "level", "process", "message", "request_id", "trace_id")
_NO_FIELDS = frozenset((*RESERVED_ATTRS, "message"))
DROPPED = Counter("log_lines_dropped_total", "Log lines that were dropped because nobody read them")
_OWN_ATTRIBUTES = len(logging.makeLogRecord({}).__dict__)
_lower = cache(str.lower)
_EXIT_SECONDS = 2.0  # for waiting lines at exit
_ENCODER = JsonEncoder(ensure_ascii=False)


class Formatter(logging.Formatter):
    """Formats a record as one line, with time, level, process and the current trace.

    The format is python-json-logger's, whose formatter creates a new encoder for each line.
    """

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self.process = process
        self._second = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the caller's `extra` comes last."""
        return self.encode(record).decode()

    def encode(self, record: logging.LogRecord) -> bytes:
        """Return the line as UTF-8, without a newline."""
        line = self._line(record)
        try:
            data = orjson.dumps(line, default=_ENCODER.default)
        except TypeError:
            # lone surrogates, integers of more than 64 bits, names that are no text
            return escaped(_ENCODER.encode(line)).encode()
        # orjson has escaped the control characters below DEL
        if data.isascii() and b"\x7f" not in data:
            return data
        return escaped(data.decode()).encode()

    def _line(self, record: logging.LogRecord) -> dict[str, Any]:
        line: dict[str, Any] = {
            "timestamp": self._timestamp(record.created),
            "level": _lower(record.levelname),
            "process": self.process,
            "message": record.getMessage(),
        }
        current = trace.current()
        if current is not None:
            line["request_id"] = current.request_id
            line["trace_id"] = current.trace_id
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        # those of `extra` come behind the record's own
        for name, value in islice(record.__dict__.items(), _OWN_ATTRIBUTES, None):
            if name not in _NO_FIELDS:
                line[name] = value
        return line

    def _timestamp(self, seconds: float) -> str:
        """Return a time in RFC 3339; lines of the same second share its first part."""
        second = int(seconds)
        last, text = self._second
        if second != last:
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second, text
        return f"{text}.{int((seconds - second) * 1_000_000):06d}Z"


class Handler(logging.Handler):
    """Writes records to standard output without blocking (chassis.log_output)."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.formatter: Formatter = Formatter(process)
        self._output = Output(sys.stdout.fileno(), process, DROPPED.inc)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write one line, unless a filter is against it.

        The handler's own lock is left out: it would have threads wait while another one formats.
        """
        if self.filters and not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line: with the next batch, or at once if it is a warning or an error."""
        try:
            line = self.formatter.encode(record) + b"\n"
            self._output.put(line, at_once=record.levelno > logging.INFO)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write waiting lines for a moment; logging calls it at exit."""
        self._output.drain(_EXIT_SECONDS)


def configure(process: str) -> None:
    """Log as JSON lines: our records, and warnings and errors of noisy libraries."""
    handler = Handler(own_name(process))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # in a worker of granian: its lines keep their order among ours
    logging.getLogger("_granian").handlers = [handler]
    for noisy in ("werkzeug", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # pika logs each failed attempt with a traceback; messaging.connection logs one line
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    _collect_only_what_is_logged()


def _collect_only_what_is_logged() -> None:
    """Have records without the place in the code, thread and process, which no line shows.

    Source: https://docs.python.org/3/howto/logging.html#optimization
    """
    for setting in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        setattr(logging, setting, None)


def flush() -> None:
    """Write waiting lines for a moment, before an end at which Python does not do so."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def granian_config(process: str) -> dict[str, Any]:
    """Return the logging configuration that gives granian's own lines the same fields.

    It names no class of ours: granian's master would import it, and new workers would inherit it.
    """
    levels = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    formatter = {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(levelname)s %(message)s",
        "rename_fields": {"levelname": "level"},
        "static_fields": {"process": process},
        "timestamp": True,
        "json_ensure_ascii": True,
    }
    console = {
        "class": "logging.StreamHandler",
        "formatter": "generic",
        "stream": "ext://sys.stdout",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        # not real filters, but a way to call a function: it sets level names in lower case
        "filters": {
            name: {"()": "logging.addLevelName", "level": number, "levelName": name}
            for name, number in levels.items()
        },
        "formatters": {"generic": formatter},
        "handlers": {"console": console},
        "loggers": {"_granian": {"handlers": ["console"], "level": "INFO", "propagate": False}},
    }
