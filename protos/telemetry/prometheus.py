"""Metrics for Prometheus: GET /metrics on an address of its own, served by threads of its own.

Metrics name clients and what they spend, so they are not for every holder of a key: they stand on
another port than calls do, are off unless asked for, and are told by the same rules about where one
may listen. A scrape costs the event loop the copying of some numbers, and nothing else.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from protos.telemetry.instruments import Distribution, Kind, Metric, Read, Reading
from protos.telemetry.limits import SCRAPE_MS, SCRAPES_MAX
from protos.values.listening import Listening, host_of_authority, join_host_port

_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


def family_name(metric: Metric) -> str:
    """What Prometheus calls a metric, before it adds `_total` or `_bucket`."""
    return _plain(metric.name) + _SUFFIXES.get(metric.unit, "")


def _plain(name: str) -> str:
    return name.replace(".", "_")


def families(readings: list[Reading]) -> Iterator[Family]:
    """Readings in the terms of Prometheus."""
    for reading in readings:
        metric = reading.metric
        name, says = family_name(metric), metric.says
        labels = [_plain(label) for label in metric.labels]
        family: Any
        if metric.kind is Kind.HISTOGRAM:
            family = HistogramMetricFamily(name, says, labels=labels)
            for values, point in reading.points.items():
                assert isinstance(point, Distribution)
                family.add_metric(
                    values, _buckets(metric, point), sum_value=point.total / metric.divisor
                )
        else:
            made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family = made(name, says, labels=labels)
            for values, point in reading.points.items():
                assert isinstance(point, int)
                family.add_metric(values, _scaled(point, metric))
        yield family


def _scaled(value: int, metric: Metric) -> float:
    return value if metric.divisor == 1 else value / metric.divisor


def _buckets(metric: Metric, point: Distribution) -> list[tuple[str, float]]:
    below, told = 0, []
    names = [str(_scaled(bound, metric)) for bound in metric.bounds]
    for name, count in zip([*names, "+Inf"], point.counts, strict=True):
        below += count
        told.append((name, float(below)))
    return told


class _Collected(Collector):
    """One scrape's families."""

    def __init__(self, readings: list[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Family]:
        return families(self._readings)


def render(readings: list[Reading], accept: str = "") -> tuple[bytes, str]:
    """The exposition in the format that is asked for, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Collected(readings)), content_type


class _Handler(BaseHTTPRequestHandler):
    """Answers one scraper."""

    timeout = SCRAPE_MS / 1_000
    server: "_Server"

    def do_GET(self) -> None:
        if host_of_authority(self.headers.get("host", "")) not in self.server.hosts:
            self._answer(421, b"this server does not go by that name\n")
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(404, b"metrics are at /metrics\n")
        elif not self.server.room.acquire(blocking=False):
            self._answer(503, b"too many scrapes at once\n")
        else:
            try:
                body, content_type = self._render()
            except Exception:  # noqa: BLE001 - a process that ends cannot be read any more
                self._answer(503, b"the counters cannot be read now\n")
            else:
                self._answer(200, body, content_type)
            finally:
                self.server.room.release()

    def _render(self) -> tuple[bytes, str]:
        return render(self.server.read(), self.headers.get("accept", ""))

    def _answer(self, status: int, body: bytes, content_type: str = "text/plain") -> None:
        self.send_response_only(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: scrapes come all the time."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = SCRAPES_MAX

    def __init__(self, where: Listening, read: Read) -> None:
        self.address_family = AF_INET6 if ":" in where.host else AF_INET
        self.hosts = where.hosts
        self.read = read
        self.room = threading.BoundedSemaphore(SCRAPES_MAX)
        super().__init__((where.host, where.port), _Handler)

    def handle_error(self, *_: Any) -> None:
        """A scraper that went away is nobody's trouble."""


class Scraped:
    """A running endpoint for scrapers."""

    def __init__(self, where: Listening, read: Read) -> None:
        """Listen and serve, until `close`. Raises OSError."""
        assert not where.tls
        self._server = _Server(where, read)
        self.address = join_host_port(where.host, self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take no more scrapes."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
