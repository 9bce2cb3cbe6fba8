"""The control plane's stub, with the spans of its RPCs: the trace goes on to the other side.

Only unary calls: what wraps a stream must not hide that it can be cancelled. A span is offered on
one of gRPC's threads, as the future of its call resolves.
"""

from collections.abc import Callable
from typing import Any

import grpc

from protos.telemetry.traces import Span, SpanKind, Started
from sidecar.runtime.joining import Stub

_SERVICE = "bursar.sidecar.v1.SidecarService"
Begin = Callable[[], Started | None]
Offer = Callable[[Span], None]


class _TracedUnary:
    """One unary method."""

    def __init__(self, name: str, method: Any, around: "TracedStub") -> None:
        self._name = f"{_SERVICE}/{name}"
        self._method = method
        self._around = around

    def future(self, request: Any, *, timeout: float | None, metadata: Any) -> Any:
        """Call, and record it if it is to be recorded."""
        started = self._around.begin()
        if started is None:
            return self._method.future(request, timeout=timeout, metadata=metadata)
        began_unix_ms = self._around.unix_ms()
        traced = (*(metadata or ()), ("traceparent", started.context.traceparent))
        call = self._method.future(request, timeout=timeout, metadata=traced)
        call.add_done_callback(lambda done: self._tell(started, began_unix_ms, done))
        return call

    def _tell(self, started: Started, began_unix_ms: int, done: Any) -> None:
        code = done.code()
        self._around.offer(
            Span(
                name=self._name,
                kind=SpanKind.CLIENT,
                started=started,
                begun_unix_ms=began_unix_ms,
                ended_unix_ms=self._around.unix_ms(),
                attributes={
                    "rpc.system.name": "grpc",
                    "rpc.method": self._name,
                    "rpc.response.status_code": code.name,
                },
                failed=code is not grpc.StatusCode.OK,
            )
        )


class TracedStub:
    """Stands before a stub, and has its methods."""

    def __init__(self, stub: Stub, begin: Begin, offer: Offer, unix_ms: Callable[[], int]) -> None:
        """Record the spans that `begin` begins. All three may be called on other threads."""
        self.begin = begin
        self.offer = offer
        self.unix_ms = unix_ms
        self.Join = stub.Join
        self.Watch = stub.Watch
        self.Register: Any = _TracedUnary("Register", stub.Register, self)
        self.Sync: Any = _TracedUnary("Sync", stub.Sync, self)
        self.Drain: Any = _TracedUnary("Drain", stub.Drain, self)
