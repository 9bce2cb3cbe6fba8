"""Readings and spans as the OpenTelemetry SDK has them, whose exporters put them on the wire."""

from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from protos.telemetry import traces
from protos.telemetry.instruments import Distribution, Kind, Labels, Metric, Reading
from protos.telemetry.limits import SPAN_TEXT_CHARACTERS_MAX
from protos.telemetry.traces import Span, TraceContext
from protos.values.keys import redact

_SCOPE = InstrumentationScope("bursar")
_KINDS = {
    traces.SpanKind.SERVER: SpanKind.SERVER,
    traces.SpanKind.CLIENT: SpanKind.CLIENT,
    traces.SpanKind.INTERNAL: SpanKind.INTERNAL,
}
_NS = 1_000_000


def resource_of(attributes: Mapping[str, str]) -> Resource:
    """What is said of the process."""
    return Resource(dict(attributes))


def metrics_data(
    readings: Iterable[Reading], resource: Resource, begun_unix_ns: int, now_unix_ns: int
) -> MetricsData:
    """All metrics of a process, as sums since it began."""
    told = [_metric(each, begun_unix_ns, now_unix_ns) for each in readings if each.points]
    scope = ScopeMetrics(scope=_SCOPE, metrics=told, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(reading: Reading, begun: int, now: int) -> SdkMetric:
    metric = reading.metric
    data: Sum | Gauge | Histogram
    if metric.kind is Kind.HISTOGRAM:
        data = Histogram(
            [
                _distribution(metric, labels, point, (begun, now))
                for labels, point in reading.points.items()
                if isinstance(point, Distribution)
            ],
            AggregationTemporality.CUMULATIVE,
        )
    else:
        points = [
            NumberDataPoint(
                attributes=_attributes(metric, labels),
                start_time_unix_nano=begun,
                time_unix_nano=now,
                value=point if metric.divisor == 1 else point / metric.divisor,
            )
            for labels, point in reading.points.items()
            if isinstance(point, int)
        ]
        if metric.kind is Kind.COUNTER:
            data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        else:
            data = Gauge(points)
    return SdkMetric(name=metric.name, description=metric.says, unit=metric.unit, data=data)


def _distribution(
    metric: Metric, labels: Labels, point: Distribution, times: tuple[int, int]
) -> HistogramDataPoint:
    divided = metric.divisor != 1
    return HistogramDataPoint(
        attributes=_attributes(metric, labels),
        start_time_unix_nano=times[0],
        time_unix_nano=times[1],
        count=sum(point.counts),
        sum=point.total / metric.divisor if divided else point.total,
        bucket_counts=point.counts,
        explicit_bounds=[bound / metric.divisor if divided else bound for bound in metric.bounds],
        min=None,  # type: ignore[arg-type]  # not kept; the wire form may leave it out
        max=None,  # type: ignore[arg-type]  # not kept; the wire form may leave it out
    )


def _attributes(metric: Metric, labels: Labels) -> dict[str, str]:
    """Labels by name; an empty one says nothing."""
    return {name: text for name, text in zip(metric.labels, labels, strict=True) if text}


def readable_span(span: Span, resource: Resource) -> ReadableSpan:
    """A span as the exporter takes it; its texts cut, and what looks like a secret struck out."""
    started = span.started
    return ReadableSpan(
        name=_told(span.name),
        context=_context(started.context, remote=False),
        parent=_context(started.parent, remote=True) if started.parent else None,
        resource=resource,
        attributes={name: _clean(value) for name, value in span.attributes.items()},
        events=[Event(each.name, timestamp=each.unix_ms * _NS) for each in span.moments],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.begun_unix_ms * _NS,
        end_time=span.ended_unix_ms * _NS,
        instrumentation_scope=_SCOPE,
    )


def _clean(value: traces.Value) -> str | int | bool | Sequence[str]:
    if isinstance(value, str):
        return _told(value)
    if isinstance(value, tuple):
        return [_told(each) for each in value]
    return value


def _told(text: str) -> str:
    return redact(text)[:SPAN_TEXT_CHARACTERS_MAX]


def _context(context: TraceContext, *, remote: bool) -> SpanContext:
    return SpanContext(
        trace_id=context.trace_id,
        span_id=context.span_id,
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([context.state]) if context.state else TraceState(),
    )
