"""What a sidecar says of itself: one line an event, on standard error, never a secret.

2026-11-23T11:58:02Z INFO registered epoch=1 generation=1
"""

import json
import logging
import sys
from typing import TextIO

from protos.values.keys import redact
from sidecar.clock import Clock
from sidecar.core.refusals import rfc3339

Field = str | int | bool | None
_LINE_CHARACTERS_MAX = 4_000


class Log:
    """Writes events: a name, and fields."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        """Write to standard error unless told otherwise."""
        self._clock = clock
        self._stream = stream if stream is not None else sys.stderr

    def info(self, event: str, **fields: Field) -> None:
        """Something happened as it should."""
        self._write("INFO", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        """Something is not as it should be, and the sidecar copes."""
        self._write("WARNING", event, fields)

    def alarm(self, event: str, **fields: Field) -> None:
        """A person should look at this."""
        self._write("ALARM", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Field]) -> None:
        words = [rfc3339(self._clock.now().unix_ms), level, event]
        words += [f"{name}={_plain(value)}" for name, value in fields.items()]
        line = redact(" ".join(words).replace("\n", "\\n"))[:_LINE_CHARACTERS_MAX]
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads it; calls go on


def _plain(value: Field) -> str:
    if isinstance(value, str):
        shown = value if value.isalnum() else json.dumps(value, ensure_ascii=False)
        # Else a name could end the line (U+2028, U+0085) or steer a terminal (C1).
        return shown if shown.isprintable() else json.dumps(value)
    return json.dumps(value)


class _Handler(logging.Handler):
    """Brings what modules and libraries log to the same stream, in the same form."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        write = self._log.alarm if record.levelno >= logging.ERROR else self._log.warning
        write("log", module=record.name, message=self.format(record))


def take_over_logging(log: Log) -> None:
    """Let the standard library's logging go to the same place."""
    logging.getLogger().handlers[:] = [_Handler(log)]
