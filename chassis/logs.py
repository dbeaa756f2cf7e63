"""Logs: one JSON line per thing that happened, on standard output."""

import logging
import sys
from datetime import datetime, timezone
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from chassis import trace

FIELDS = ("timestamp", "level", "process", "message", "request_id", "trace_id")


class Formatter(JsonFormatter):
    """Adds time, level, process and the current trace to each record."""

    def __init__(self, process: str = "") -> None:
        super().__init__("%(message)s", json_ensure_ascii=False)
        self.process = process

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill one line; what the caller passed as `extra` comes last."""
        time = datetime.fromtimestamp(record.created, timezone.utc)
        log_data["timestamp"] = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        log_data["level"] = record.levelname.lower()
        log_data["process"] = self.process
        log_data["message"] = record.message
        current = trace.current()
        if current is not None:
            log_data["request_id"] = current.request_id
            log_data["trace_id"] = current.trace_id
        super().add_fields(log_data, record, message_dict)


def configure(process: str) -> None:
    """Log this process's records, and those of its libraries from warning on, as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter(process))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for noisy in ("pika", "urllib3", "werkzeug", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # pika logs each failed attempt with a traceback; chassis.connection says it in one line
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def granian_config(process: str) -> dict[str, Any]:
    """Return the logging configuration that gives granian's own lines the same fields.

    It names no class of ours, which granian's master would hold on to, and hand on to new workers.
    """
    levels = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    formatter = {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(levelname)s %(message)s",
        "rename_fields": {"levelname": "level"},
        "static_fields": {"process": process},
        "timestamp": True,
        "json_ensure_ascii": False,
    }
    console = {
        "class": "logging.StreamHandler",
        "formatter": "generic",
        "stream": "ext://sys.stdout",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        # no filters at all, but the way to have a function called: level names in lower case
        "filters": {
            name: {"()": "logging.addLevelName", "level": number, "levelName": name}
            for name, number in levels.items()
        },
        "formatters": {"generic": formatter},
        "handlers": {"console": console},
        "loggers": {"_granian": {"handlers": ["console"], "level": "INFO", "propagate": False}},
    }
