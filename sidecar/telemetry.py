"""What a sidecar says of itself: one JSON object a line on standard error, never a secret."""

import json
import sys
from typing import TextIO

from protos.values.keys import redact
from sidecar.clock import Clock
from sidecar.core.refusals import rfc3339

Field = str | int | bool | None
_VALUE_CHARACTERS_MAX = 2_000


class Log:
    """Writes events; a name, and fields."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        """Write to standard error unless told otherwise."""
        self._clock = clock
        self._stream = stream if stream is not None else sys.stderr

    def info(self, event: str, **fields: Field) -> None:
        """Something happened as it should."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        """Something is not as it should be, and the sidecar copes."""
        self._write("warning", event, fields)

    def alarm(self, event: str, **fields: Field) -> None:
        """A person should look at this."""
        self._write("alarm", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Field]) -> None:
        line: dict[str, Field] = {
            "at": rfc3339(self._clock.now().unix_ms),
            "level": level,
            "event": event,
        }
        for name, value in fields.items():
            if isinstance(value, str):
                line[name] = redact(value)[:_VALUE_CHARACTERS_MAX]
            else:
                line[name] = value
        try:
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads it; calls go on
