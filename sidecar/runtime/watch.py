"""Watches what becomes of calls: counts each, and records the spans of those that are sampled."""

from collections.abc import Callable, Mapping

from protos.telemetry.instruments import Reading
from protos.telemetry.traces import Draw, Sampler, Span, Started, read_traceparent, start
from protos.values.selectors import Attributes
from sidecar.core.calls import Hold, NewCall, Settlement
from sidecar.core.instants import Now
from sidecar.core.refusals import Refusal
from sidecar.runtime.call_metrics import CallMetrics
from sidecar.runtime.call_spans import AddressOf, span_of_refused, spans_of_ended

Offer = Callable[[Span], None]


class Watch:
    """An observer whose counters can be read."""

    def __init__(self, draw: Draw) -> None:
        """Count from now on; record nothing until `record` says where to."""
        self._draw = draw
        self._metrics = CallMetrics()
        self._sampler: Sampler | None = None
        self._offer: Offer = _drop
        self._address_of: AddressOf = _nowhere

    def record(self, sampler: Sampler, offer: Offer, address_of: AddressOf) -> None:
        """Record the spans that the sampler wants from now on."""
        self._sampler, self._offer, self._address_of = sampler, offer, address_of

    def begin(self, values: Mapping[bytes, bytes]) -> Started | None:
        """A call came with these headers: the span to record of it, or None."""
        if self._sampler is None:
            return None
        header, parent = values.get(b"traceparent"), None
        if header is not None:
            state = values.get(b"tracestate", b"").decode("latin-1")
            parent = read_traceparent(header.decode("latin-1"), state)
        return start(self._sampler, parent, self._draw)

    def begin_rpc(self) -> Started | None:
        """The control plane is asked something: the span to record, or None."""
        return None if self._sampler is None else start(self._sampler, None, self._draw)

    def offer(self, span: Span) -> None:
        """Record a span that was made elsewhere; on any thread."""
        self._offer(span)

    def ended(self, hold: Hold, settlement: Settlement, now: Now) -> None:
        """A call that held money ended."""
        self._metrics.ended(hold, settlement, now)
        if hold.call.trace is not None:
            for span in spans_of_ended(hold, settlement, now, self._draw, self._address_of):
                self._offer(span)

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        """A call was refused."""
        self._metrics.refused(refusal, attributes)

    def turned_away(self, call: NewCall, refusal: Refusal, waited_ms: int, now: Now) -> None:
        """Admission refused a call of which a span is recorded."""
        self._offer(span_of_refused(call, refusal, waited_ms, now))

    def read(self) -> list[Reading]:
        """Everything that was counted."""
        return self._metrics.read()


def _drop(_: Span) -> None:
    """Nobody collects."""


def _nowhere(_: str) -> str:
    return ""
