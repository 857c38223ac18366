"""One line an event, to standard output: for people, or as JSON for programs."""

import json
import logging
import sys
from datetime import UTC, datetime

log = logging.getLogger("greenai.agent")


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\n", " ")
        return f"{_at(record)} {record.levelname.lower():7} {message}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"at": _at(record), "level": record.levelname.lower(), "message": record.getMessage()})


def log_to_stdout(*, as_json: bool) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json() if as_json else _Line())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
