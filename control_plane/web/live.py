"""Keeps open tabs up to date: one stream of events for each, that says only that something changed.

A tab then reads its own page again and takes over what differs, so every page is live and none has
a second way to be made. An event carries a number that only rises; what was missed while a stream
was down is made up for by the first event of the next.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from control_plane import limits
from control_plane.store.engine import Tx
from control_plane.usecases import overview, sessions
from control_plane.web import browser
from control_plane.web.deps import DeskDeps
from protos.values.errors import LimitExceededError, UnauthenticatedError

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Live:
    """The streams of all tabs."""

    def __init__(self, deps: DeskDeps) -> None:
        self._deps = deps
        self._open = 0

    async def stream(self, request: Request) -> Response:
        """Begin the stream of one tab."""
        text = browser.session_of(request, secure=self._deps.secure)
        now = self._deps.clock.unix_ms()
        await self._deps.read(lambda tx: sessions.authenticate(tx, text, now))
        if self._open >= limits.BROWSER_STREAMS_MAX:
            raise LimitExceededError(
                f"{limits.BROWSER_STREAMS_MAX} tabs are kept up to date already: close some",
                limit=str(limits.BROWSER_STREAMS_MAX),
            )
        return StreamingResponse(self._events(text), 200, _HEADERS, "text/event-stream")

    async def _events(self, text: str) -> AsyncIterator[str]:
        self._open += 1
        try:
            seen = ""
            while not self._deps.is_closing():
                mark = await self._deps.read(lambda tx: self._mark(tx, text))
                if not mark:
                    return
                yield (
                    ": beat\n\n" if mark == seen else f"id: {mark}\nevent: moved\ndata: {mark}\n\n"
                )
                seen = mark
                await self._deps.wait_change(limits.STREAM_BEAT_MS)
                await asyncio.sleep(limits.STREAM_PAUSE_MS / 1_000)
        finally:
            self._open -= 1

    def _mark(self, tx: Tx, text: str) -> str:
        """How often the database changed; "" when the session is over."""
        try:
            sessions.authenticate(tx, text, self._deps.clock.unix_ms())
        except UnauthenticatedError:
            return ""
        return str(overview.change_no(tx))
