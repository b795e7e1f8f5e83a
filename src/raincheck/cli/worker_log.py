"""How a worker logs: lines for eyes on stderr, or JSON lines on stdout for whoever collects them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from raincheck.core.moments import rfc3339

_FIELDS = ("operation_id", "operation_kind", "operation_attempt")


def set_up(*, as_json: bool) -> None:
    """Log from INFO on.

    An application that configured logging while it was imported keeps its own, unless JSON is asked for.
    """
    if as_json:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonLines())
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def told(event: str, **details: Any) -> dict[str, Any]:
    """Return the ``extra`` of a record that programs wait for: what has happened, by a stable name."""
    return {"raincheck_event": event, "raincheck_details": details}


class JsonLines(logging.Formatter):
    """Makes each record one JSON object, always with the same fields; null where they say nothing."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without line ends in it."""
        line: dict[str, Any] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name, None) for name in _FIELDS},
            "event": getattr(record, "raincheck_event", None),
            "details": getattr(record, "raincheck_details", None),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps(line, default=str)
