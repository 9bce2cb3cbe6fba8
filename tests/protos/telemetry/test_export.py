"""A collector that is slow, gone or broken costs spans, which are counted, and nobody's time."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from protos.telemetry.export import Exporter
from protos.telemetry.instruments import Reading
from protos.telemetry.limits import BATCH_SPANS_MAX, LAST_WORDS_MS, QUEUED_SPANS_MAX
from protos.telemetry.settings import Settings
from protos.telemetry.traces import Sampler, Span, SpanKind, Started, TraceContext
from tests.reserved_port import reserve_port

PATIENCE_S = 60
"""How long a busy machine may take for what otherwise takes no time."""
NOW_NS = 1_800_000_000 * 10**9
SPAN = Span("POST /x", SpanKind.SERVER, Started(TraceContext(1, 2, True), None), 1_000, 2_000)


@dataclass
class Mute:
    """Accepts whoever comes, takes what is sent, and never says a word."""

    listening: socket.socket
    asked: threading.Event = field(default_factory=threading.Event)
    taken: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1/traces"

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.taken.append(connection)
            self.asked.set()


@pytest.fixture
def mute() -> Iterator[Mute]:
    made = Mute(socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=made.accept)
    thread.start()
    yield made
    made.listening.shutdown(socket.SHUT_RDWR)
    made.listening.close()
    thread.join(PATIENCE_S)
    for connection in made.taken:
        connection.close()


@dataclass
class Sent:
    """An exporter and what it said."""

    exporter: Exporter
    said: list[tuple[bool, str]]
    spoke: threading.Event

    def outcomes(self) -> dict[str, int]:
        (reading,) = self.exporter.readings()
        return {
            labels[0]: count for labels, count in reading.points.items() if isinstance(count, int)
        }


def sending_to(traces_url: str, metrics_url: str = "") -> Sent:
    said: list[tuple[bool, str]] = []
    spoke = threading.Event()

    def say(sent: bool, signal: str) -> None:
        said.append((sent, signal))
        spoke.set()

    def read() -> list[Reading]:
        raise RuntimeError("nothing can be read")

    settings = Settings(traces_url, metrics_url, Sampler(1_000_000), 1_000, {"service.name": "x"})
    return Sent(Exporter(settings, read, lambda: NOW_NS, say), said, spoke)


@pytest.mark.slow
def test_whoever_offers_never_waits_and_what_finds_no_room_is_counted(mute: Mute) -> None:
    sent = sending_to(mute.url)
    for _ in range(BATCH_SPANS_MAX):
        sent.exporter.offer(SPAN)
    assert mute.asked.wait(PATIENCE_S), "a full batch is sent at once"
    for _ in range(QUEUED_SPANS_MAX + 10):
        sent.exporter.offer(SPAN)
    assert sent.outcomes() == {"sent": 0, "failed": 0, "dropped": 10}
    ending = threading.Thread(target=sent.exporter.close, daemon=True)
    ending.start()
    ending.join(3 * LAST_WORDS_MS / 1_000)
    assert not ending.is_alive(), "the end of a process waits for a moment at most"


@pytest.mark.slow
def test_a_collector_that_refuses_is_spoken_of_once() -> None:
    with reserve_port() as closed:
        sent = sending_to(f"http://127.0.0.1:{closed.getsockname()[1]}/v1/traces")
        sent.exporter.offer(SPAN)
        sent.exporter.close()
        assert sent.spoke.wait(PATIENCE_S), "its end breaks off what is tried again"
    assert sent.outcomes() == {"sent": 0, "failed": 1, "dropped": 0}
    assert sent.said == [(False, "traces")]


def test_counters_that_cannot_be_read_end_nothing() -> None:
    sent = sending_to("", "http://127.0.0.1:1/v1/metrics")
    sent.exporter.offer(SPAN)
    sent.exporter.close()
    assert sent.outcomes() == {"sent": 0, "failed": 0, "dropped": 0}
    assert sent.said == []
