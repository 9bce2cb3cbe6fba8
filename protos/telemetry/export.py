"""Sends spans and metrics to a collector, by OTLP over HTTP, from one thread of its own.

Rules:

1. Whoever offers a span never waits: what finds no room is dropped, and counted.
2. A collector that is gone costs nothing but the spans that were for it. They are not kept for
   later; the counters are totals, so the next message that arrives makes up for those that did not.
3. A process that ends waits for its collector a moment at most.
4. What the exporter's libraries have to say is told once when it begins to fail, and once when it
   works again; else a collector that is gone would fill the log.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from protos.telemetry import otlp
from protos.telemetry.instruments import Counter, Kind, Metric, Read, Reading
from protos.telemetry.limits import (
    BATCH_SPANS_MAX,
    LAST_WORDS_MS,
    QUEUED_SPANS_MAX,
    SPANS_EVERY_MS,
)
from protos.telemetry.settings import Settings
from protos.telemetry.traces import Span

SPANS = Metric(
    "bursar.telemetry.spans",
    Kind.COUNTER,
    "{span}",
    "Spans of this process, by what became of them: sent, dropped for want of room, or failed.",
    ("bursar.outcome",),
)
Say = Callable[[bool, str], None]
"""Told whether the collector takes what it is sent, and of which signal, when that changes."""


class Exporter:
    """Sends what it is offered, and what it reads, until it is closed."""

    def __init__(
        self, settings: Settings, read: Read, now_unix_ns: Callable[[], int], say: Say
    ) -> None:
        """Begin to send. `read` is called on the exporter's thread; it may raise."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._read = read
        self._now_unix_ns = now_unix_ns
        self._say = say
        self._begun_unix_ns = now_unix_ns()
        self._resource = otlp.resource_of(settings.resource)
        self._spans = (
            OTLPSpanExporter(endpoint=settings.traces_url) if settings.traces_url else None
        )
        self._metrics = (
            OTLPMetricExporter(endpoint=settings.metrics_url) if settings.metrics_url else None
        )
        self._ticks_per_reading = max(1, settings.metrics_every_ms // SPANS_EVERY_MS)
        self._queue: deque[Span] = deque()
        self._outcomes = Counter(SPANS)
        # Made now and each raised by one thread only, so that any thread may read them.
        self._sent = self._outcomes.at("sent")
        self._failed = self._outcomes.at("failed")
        self._dropped = self._outcomes.at("dropped")
        self._wake = threading.Event()
        self._ending = False
        self._failing: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def offer(self, span: Span) -> None:
        """Take a span, to be sent soon; from any thread, at once."""
        if self._spans is None:
            return
        if len(self._queue) >= QUEUED_SPANS_MAX:
            self._dropped.value += 1
            return
        self._queue.append(span)
        if len(self._queue) == BATCH_SPANS_MAX:
            self._wake.set()

    def readings(self) -> list[Reading]:
        """What became of the spans so far."""
        return [self._outcomes.read()]

    def close(self) -> None:
        """Send what there is, within a moment, and end. Blocks for that long at most."""
        self._ending = True
        self._wake.set()
        self._thread.join(LAST_WORDS_MS / 1_000)
        # The thread may be waiting for an answer; it is the process's last and goes with it.
        for exporter in (self._spans, self._metrics):
            if exporter is not None:
                exporter.shutdown()

    # --- On the exporter's thread ----------------------------------------------------------------

    def _run(self) -> None:
        ticks = 0
        while not self._ending:
            self._wake.wait(SPANS_EVERY_MS / 1_000)
            # A full batch wakes it early; that only makes the next reading come a little sooner.
            self._wake.clear()
            ticks += 1
            self._send_spans()
            if ticks >= self._ticks_per_reading or self._ending:
                ticks = 0
                self._send_metrics()

    def _send_spans(self) -> None:
        while self._queue and self._spans is not None:
            count = min(len(self._queue), BATCH_SPANS_MAX)
            batch = [self._queue.popleft() for _ in range(count)]
            try:
                readable = [otlp.readable_span(span, self._resource) for span in batch]
                sent = self._spans.export(readable) is SpanExportResult.SUCCESS
            except Exception:  # noqa: BLE001 - whatever a library does, the thread goes on
                sent = False
            (self._sent if sent else self._failed).value += count
            self._tell("traces", sent)

    def _send_metrics(self) -> None:
        if self._metrics is None:
            return
        try:
            readings = self._read()
        except Exception:  # noqa: BLE001 - a process that ends cannot be read any more
            return
        data = otlp.metrics_data(readings, self._resource, self._begun_unix_ns, self._now_unix_ns())
        try:
            sent = self._metrics.export(data) is MetricExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - whatever a library does, the thread goes on
            sent = False
        self._tell("metrics", sent)

    def _tell(self, signal: str, sent: bool) -> None:  # noqa: FBT001 - what became of it
        if sent is (signal in self._failing):
            (self._failing.discard if sent else self._failing.add)(signal)
            self._say(sent, signal)
