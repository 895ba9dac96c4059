"""The log of a server: one JSON object a line on stderr, whatever happens, tracebacks too."""

from __future__ import annotations

import json
import logging
import sys
from typing import Final

from aeformat.net.server import request_context

LEVELS: Final = ("debug", "info", "warning", "error")
_FIELDS: Final = "fields"  # the attribute of a record that holds further members of its line


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, what the record brings, the request that it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line.  An exception becomes the member "traceback"."""
        line: dict[str, object] = {"time": round(record.created, 3), "level": record.levelname.lower()}
        message = record.getMessage()
        if message:
            line["message"] = message
        request = request_context.current()
        if request is not None:
            line["request_id"] = request.id
        line |= getattr(record, _FIELDS, {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def fields(**members: object) -> dict[str, dict[str, object]]:
    """The argument `extra` of a logging call, for further members of the line."""
    return {_FIELDS: members}


def log_to_stderr(level: str) -> None:
    """Send all of this process's log to stderr, as JSON.  level: of the server's own lines; of others', warning at least."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    own, others = getattr(logging, level.upper()), max(getattr(logging, level.upper()), logging.WARNING)
    for name, least in (("aeformat.server", own), ("uvicorn.error", others), ("asyncio", others), (None, others)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(least)
        logger.propagate = False
    logging.captureWarnings(capture=True)
