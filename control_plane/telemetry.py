"""What the control plane tells about itself: one line per event, to stderr, without secrets.

2026-11-23T11:58:02.113Z INFO started address=127.0.0.1:7240 database="SQLite 3.40.1"
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from protos.values.keys import redact

LINE_CHARACTERS_MAX = 4_000
"""Longest line; the rest is cut, tracebacks included."""

log = logging.getLogger("bursar.control_plane")
"""Where every module of this room writes to, by `log.info("event", extra={"fields": {...}})`."""


class LineFormatter(logging.Formatter):
    """Time, level, event and fields on one line; whatever looks like a secret is struck out."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = getattr(record, "fields", {})
        words = [at.replace("+00:00", "Z"), record.levelname, record.getMessage()]
        words += [f"{name}={_plain(value)}" for name, value in fields.items()]
        if record.exc_info:
            words.append(f"trace={json.dumps(self.formatException(record.exc_info))}")
        line = redact(" ".join(words)).replace("\n", "\\n")
        return line if len(line) <= LINE_CHARACTERS_MAX else line[:LINE_CHARACTERS_MAX] + "…"


def start_logging(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Write events to a stream; libraries only when they warn."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    log.setLevel(level)


def event(name: str, level: int = logging.INFO, **fields: object) -> None:
    """Tell an event."""
    log.log(level, name, extra={"fields": fields})


def _plain(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not any(letter in text for letter in ' "=')
    return text if is_plain else json.dumps(text)
