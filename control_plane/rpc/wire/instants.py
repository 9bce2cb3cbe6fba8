"""Times and lengths of time on the wire and as whole milliseconds."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.core import fields
from control_plane.core.windows import INSTANT_MAX_UNIX_MS

DURATION_MAX_S = 10 * 366 * 86_400
"""No length of time here is longer than ten years."""
_NANOS = 1_000_000_000
_NANOS_PER_MS = 1_000_000


def instant_to_wire(unix_ms: int) -> Timestamp:
    """An instant."""
    seconds, rest = divmod(unix_ms, 1_000)
    return Timestamp(seconds=seconds, nanos=rest * _NANOS_PER_MS)


def instant_or_none_to_wire(unix_ms: int | None) -> Timestamp | None:
    """An instant that may be absent."""
    return None if unix_ms is None else instant_to_wire(unix_ms)


def instant_from_wire(message: Message, field: str) -> int | None:
    """The instant in a field, rounded down to the millisecond; None when it is absent."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    if not 0 <= stamp.nanos < _NANOS:
        raise fields.invalid(field, "nanos must be from 0 to 999999999")
    unix_ms = stamp.seconds * 1_000 + stamp.nanos // _NANOS_PER_MS
    return fields.check_between(unix_ms, 0, INSTANT_MAX_UNIX_MS - 1, field)


def duration_from_wire(message: Message, field: str) -> int | None:
    """The milliseconds in a field, rounded up; None when it is absent."""
    if not message.HasField(field):
        return None
    length: Duration = getattr(message, field)
    if not (0 <= length.seconds <= DURATION_MAX_S and 0 <= length.nanos < _NANOS):
        raise fields.invalid(field, "must not be negative, nor longer than ten years")
    return length.seconds * 1_000 + -(-length.nanos // _NANOS_PER_MS)


def duration_to_wire(length_ms: int) -> Duration:
    """A length of time."""
    seconds, rest = divmod(length_ms, 1_000)
    return Duration(seconds=seconds, nanos=rest * _NANOS_PER_MS)
