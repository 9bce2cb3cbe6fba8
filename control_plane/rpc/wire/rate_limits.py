"""Rate limits on the wire."""

from typing import Final

from control_plane.core import fields
from control_plane.core.rate_limits import MINUTE_MS, SECOND_MS, Measure, RateLimit
from control_plane.rpc.wire.instants import instant_to_wire
from protos.bursar.admin import v1

_MEASURES: Final = {
    Measure.REQUESTS: v1.RateMeasure.RATE_MEASURE_REQUESTS,
    Measure.TOKENS: v1.RateMeasure.RATE_MEASURE_TOKENS,
    Measure.CALLS: v1.RateMeasure.RATE_MEASURE_CALLS,
}
_MEASURES_FROM_WIRE: Final = {number: measure for measure, number in _MEASURES.items()}
_WINDOWS: Final = {
    0: v1.RateWindow.RATE_WINDOW_UNSPECIFIED,
    SECOND_MS: v1.RateWindow.RATE_WINDOW_SECOND,
    MINUTE_MS: v1.RateWindow.RATE_WINDOW_MINUTE,
}
_WINDOWS_FROM_WIRE: Final = {number: window_ms for window_ms, number in _WINDOWS.items()}


def rate_limit_to_wire(limit: RateLimit) -> v1.RateLimit:
    """A rate limit."""
    return v1.RateLimit(
        rate_limit_id=limit.rate_limit_id,
        project_id=limit.project_id,
        key_id=limit.key_id,
        provider=limit.provider,
        model=limit.model,
        measure=_MEASURES[limit.measure],
        window=_WINDOWS[limit.window_ms],
        amount=limit.amount,
        update_time=instant_to_wire(limit.updated_unix_ms),
    )


def rate_limit_from_wire(message: v1.RateLimit) -> RateLimit:
    """A rate limit that is asked for. Raises InvalidArgumentError."""
    measure = _MEASURES_FROM_WIRE.get(message.measure)
    if measure is None:
        raise fields.invalid("rate_limit.measure", "requests, tokens or calls is required")
    window_ms = _WINDOWS_FROM_WIRE.get(message.window)
    if window_ms is None:
        raise fields.invalid("rate_limit.window", "a second or a minute is required")
    return RateLimit(
        rate_limit_id="",
        measure=measure,
        window_ms=window_ms,
        amount=message.amount,
        project_id=message.project_id,
        key_id=message.key_id,
        provider=message.provider,
        model=message.model,
    )
