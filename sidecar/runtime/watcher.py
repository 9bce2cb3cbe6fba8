"""The stream of directives: opened anew whenever it ends or falls silent.

It only makes things faster: all that it brings comes by Sync or Register too.
"""

from collections.abc import Awaitable, Callable

import grpc
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.limits import RECONNECT_MAX_MS, RECONNECT_MIN_MS, WATCH_SILENT_MS
from sidecar.runtime import grpc_bridge
from sidecar.runtime.grpc_bridge import words_of
from sidecar.runtime.joining import Stub
from sidecar.telemetry import Log

Asked = tuple[wire.WatchRequest, grpc_bridge.Metadata]


class Watcher:
    """Keeps one stream of directives open."""

    def __init__(
        self,
        stub: Stub,
        log: Log,
        *,
        request: Callable[[], Asked],
        follow: Callable[[wire.WatchResponse], Awaitable[None]],
        silent: Callable[[], bool],
    ) -> None:
        """Ask as `request` says each time; hand every directive to `follow`.

        Why a stream ended is logged unless `silent` says that nobody answers anyway.
        """
        self._stub = stub
        self._log = log
        self._request = request
        self._follow = follow
        self._silent = silent
        self._watching = trio.CancelScope()

    def begin_anew(self) -> None:
        """End the stream that is open: it did not bring what it should have."""
        self._watching.cancel()

    async def run(self) -> None:
        """Watch until cancelled."""
        pause_ms = RECONNECT_MIN_MS
        while True:
            with trio.CancelScope() as self._watching:
                try:
                    if await self._watch():
                        pause_ms = RECONNECT_MIN_MS
                except trio.TooSlowError:
                    self._log.warning("watch_silent", after_ms=WATCH_SILENT_MS)
                except grpc.RpcError as error:
                    if not self._silent():
                        self._log.info("watch_ended", cause=words_of(error))
                await trio.sleep(pause_ms / 1_000)
            pause_ms = min(2 * pause_ms, RECONNECT_MAX_MS)

    async def _watch(self) -> bool:
        """Follow one stream to its end; whether it brought anything."""
        request, metadata = self._request()
        brought = False
        async with grpc_bridge.stream(self._stub.Watch, request, metadata=metadata) as messages:
            while True:
                with trio.fail_after(WATCH_SILENT_MS / 1_000):
                    directive = await anext(messages, None)
                if directive is None:
                    return brought
                brought = True
                await self._follow(directive)
