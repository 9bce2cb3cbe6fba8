"""A collector that takes everything and says how many spans and metrics came: GET /counts."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Counts:
    """What came so far, of the sidecar's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls_counted = 0
        self._spans = 0

    def take(self, path: str, body: bytes) -> None:
        """Count one message."""
        if path == "/v1/traces":
            told = ExportTraceServiceRequest.FromString(body)
            names = [
                span.name
                for resource in told.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]
            with self._lock:
                self._spans += sum(name.startswith("POST ") for name in names)
            return
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                if metric.name == "bursar.calls":
                    with self._lock:
                        self._calls_counted = sum(each.as_int for each in metric.sum.data_points)

    def told(self) -> dict[str, int]:
        """The counts."""
        with self._lock:
            return {"spans": self._spans, "calls_counted": self._calls_counted}


def main() -> None:
    """Listen on a port of the system's choice, and say which."""
    counts = Counts()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(json.dumps(counts.told()).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            counts.take(self.path, body)
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response_only(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"sink on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
