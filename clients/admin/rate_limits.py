"""Rate limits: how much of something may be used in a second or a minute, over all sidecars."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from clients.admin.instants import instant_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1

Measure = Literal["unknown", "requests", "tokens", "calls"]
RateWindow = Literal["", "second", "minute"]

_MEASURE_FROM_WIRE: Mapping[int, Measure] = {
    v1.RateMeasure.RATE_MEASURE_UNSPECIFIED: "unknown",
    v1.RateMeasure.RATE_MEASURE_REQUESTS: "requests",
    v1.RateMeasure.RATE_MEASURE_TOKENS: "tokens",
    v1.RateMeasure.RATE_MEASURE_CALLS: "calls",
}
_WINDOW_FROM_WIRE: Mapping[int, RateWindow] = {
    v1.RateWindow.RATE_WINDOW_UNSPECIFIED: "",
    v1.RateWindow.RATE_WINDOW_SECOND: "second",
    v1.RateWindow.RATE_WINDOW_MINUTE: "minute",
}
_MEASURE_TO_WIRE: "Mapping[Measure, v1.RateMeasure.ValueType]" = {
    "unknown": v1.RateMeasure.RATE_MEASURE_UNSPECIFIED,
    "requests": v1.RateMeasure.RATE_MEASURE_REQUESTS,
    "tokens": v1.RateMeasure.RATE_MEASURE_TOKENS,
    "calls": v1.RateMeasure.RATE_MEASURE_CALLS,
}
_WINDOW_TO_WIRE: "Mapping[RateWindow, v1.RateWindow.ValueType]" = {
    "": v1.RateWindow.RATE_WINDOW_UNSPECIFIED,
    "second": v1.RateWindow.RATE_WINDOW_SECOND,
    "minute": v1.RateWindow.RATE_WINDOW_MINUTE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A rate limit. A call is counted by every limit that matches it."""

    rate_limit_id: str
    """Made by the control plane, such as rlm_01jd…."""
    measure: Measure
    """What it counts: requests, tokens, or calls in flight."""
    window: RateWindow
    """Its window; "" for calls in flight."""
    amount: int
    """At most so much in any window."""
    project_id: str
    """Only this client's calls; "" for everybody's, who share it fairly."""
    key_id: str
    """Only calls with this key, when not ""."""
    provider: str
    """Only calls to this provider, when not ""."""
    model: str
    """Only calls of this model, when not ""."""
    update_time: datetime
    """When it was last changed."""


class RateLimits:
    """Sets and lists rate limits."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.RateLimitServiceStub(wire.channel)

    def set(
        self,
        measure: Measure,
        amount: int,
        *,
        window: RateWindow = "",
        project_id: str = "",
        key_id: str = "",
        provider: str = "",
        model: str = "",
        request_id: str = "",
    ) -> RateLimit:
        """Make a limit, or give the one that counts the same a new amount."""
        request = v1.SetRateLimitRequest(
            request_id=request_id or self._wire.request_id(),
            rate_limit=v1.RateLimit(
                measure=_MEASURE_TO_WIRE[measure],
                window=_WINDOW_TO_WIRE[window],
                amount=amount,
                project_id=project_id,
                key_id=key_id,
                provider=provider,
                model=model,
            ),
        )
        return rate_limit_from_wire(self._wire.ask(self._stub.SetRateLimit, request))

    def list(self) -> Iterator[RateLimit]:
        """Yield rate limits, those that were made first before others."""

        def fetch(token: str) -> v1.ListRateLimitsResponse:
            request = v1.ListRateLimitsRequest(page_size=PAGE_ITEMS, page_token=token)
            return self._wire.ask(self._stub.ListRateLimits, request)

        return self._wire.pages(fetch, lambda page: map(rate_limit_from_wire, page.rate_limits))

    def delete(self, rate_limit_id: str, *, request_id: str = "") -> None:
        """Take a limit away; calls pass without it within a second."""
        request = v1.DeleteRateLimitRequest(
            request_id=request_id or self._wire.request_id(), rate_limit_id=rate_limit_id
        )
        self._wire.ask(self._stub.DeleteRateLimit, request)


def rate_limit_from_wire(wire: v1.RateLimit) -> RateLimit:
    """Read a rate limit."""
    return RateLimit(
        rate_limit_id=wire.rate_limit_id,
        measure=_MEASURE_FROM_WIRE[wire.measure],
        window=_WINDOW_FROM_WIRE[wire.window],
        amount=wire.amount,
        project_id=wire.project_id,
        key_id=wire.key_id,
        provider=wire.provider,
        model=wire.model,
        update_time=instant_from_wire(wire.update_time),
    )
