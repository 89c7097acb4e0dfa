"""The events of a worker as log lines: text, or JSON with the same fields."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final, Literal

from continuum_upstash.errors import escape_unprintable
from continuum_upstash.observe import logger

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FIELDS: Final = "continuum_fields"


def log_event(
    level: Literal["info", "warning", "error"],
    event: str,
    message: str,
    *,
    error: BaseException | None = None,
    **fields: Any,
) -> None:
    """Log a line of the logger ``continuum_upstash``.

    Args:
        level: of the line.
        event: a word for machines.
        message: a sentence for people.
        error: its traceback is logged, too.
        fields: of the JSON.
    """
    extra = {_FIELDS: {"event": event, **fields}}
    logger.log(_LEVELS[level], "%s", escape_unprintable(message), extra=extra, exc_info=error)


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, event, message, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {"event": "log"}),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values, default=str)
