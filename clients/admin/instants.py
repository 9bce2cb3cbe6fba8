"""Instants on the wire and as datetimes; all in UTC."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_from_wire(wire: Timestamp) -> datetime:
    """Read an instant that is always there; cut to microseconds."""
    return _EPOCH + timedelta(seconds=wire.seconds, microseconds=wire.nanos // 1000)


def instant_or_none_from_wire(wire: Timestamp) -> datetime | None:
    """Read an instant that may be absent."""
    return instant_from_wire(wire) if wire.seconds or wire.nanos else None


def instant_to_wire(instant: datetime | None) -> Timestamp | None:
    """Write an instant; None leaves the field absent. Raises ValueError for one without a zone."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone: add one, such as datetime.UTC")
    since = instant - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def duration_to_wire(duration: timedelta | None) -> Duration | None:
    """Write a length of time; None leaves the field absent."""
    if duration is None:
        return None
    return Duration(
        seconds=duration.days * 86_400 + duration.seconds, nanos=duration.microseconds * 1000
    )
