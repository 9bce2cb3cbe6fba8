"""What of a process is seen from outside: metrics for scrapers, traces and metrics for collectors.

All of it runs on threads of its own, beside the event loop, and its libraries are loaded only where
somebody asked for them. Nothing rests on it: what fails is told in the log, and work goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from protos.telemetry.instruments import Read, Reading
from protos.telemetry.settings import Settings
from protos.telemetry.traces import Span
from protos.values.listening import Listening

if TYPE_CHECKING:
    from protos.telemetry.export import Exporter, Say
    from protos.telemetry.prometheus import Scraped


class Outlook:
    """Shows one process to those who asked to see it."""

    def __init__(self, metrics: Listening | None, settings: Settings | None, version: str) -> None:
        """Take where scrapers come, and where telemetry is sent; None for nowhere."""
        self._where = metrics
        self._settings = settings and replace(
            settings, resource={"service.version": version, **settings.resource}
        )
        self._scraped: Scraped | None = None
        self._exporter: Exporter | None = None
        self.metrics_url = ""
        """Where scrapers find the metrics; "" for nowhere."""

    def open(self, read: Read, now_unix_ns: Callable[[], int], say: Say) -> None:
        """Begin to show. Raises OSError when the scrapers' address cannot be listened on.

        `read` is called on other threads than the one that opens.
        """

        def whole() -> list[Reading]:
            return [*read(), *(self._exporter.readings() if self._exporter is not None else ())]

        if self._where is not None:
            from protos.telemetry.prometheus import Scraped  # noqa: PLC0415 - not for everybody

            self._scraped = Scraped(self._where, whole)
            self.metrics_url = f"http://{self._scraped.address}/metrics"
        if self._settings is not None:
            from protos.telemetry.export import Exporter  # noqa: PLC0415 - not for everybody

            self._exporter = Exporter(self._settings, whole, now_unix_ns, say)

    def offer(self, span: Span) -> None:
        """Send a span, if spans are sent; from any thread, at once."""
        if self._exporter is not None:
            self._exporter.offer(span)

    def close(self) -> None:
        """Send what there is and end. Blocks for a moment at most, so not for an event loop."""
        if self._exporter is not None:
            self._exporter.close()
        if self._scraped is not None:
            self._scraped.close()
