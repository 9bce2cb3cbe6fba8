"""Keeps open tabs up to date: one stream of events for each, that says only that something changed.

A tab then reads its own page again and takes over what differs, so every page is live and none has
a second way to be made. An event carries a number that only rises; what was missed while a stream
was down is made up for by the first event of the next.
"""

import asyncio
from collections import Counter
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
        self._open: Counter[str] = Counter()

    async def stream(self, request: Request) -> Response:
        """Begin the stream of one tab."""
        text = browser.session_of(request, secure=self._deps.secure)
        now = self._deps.clock.unix_ms()
        principal = await self._deps.read(lambda tx: sessions.authenticate(tx, text, now))
        who = principal.principal_id
        if self._is_full(who):
            count = self._open[who]
            raise LimitExceededError(
                f"{count} of your tabs are kept up to date already: close some",
                limit=str(limits.PRINCIPAL_STREAMS_MAX),
            )
        return StreamingResponse(self._events(text, who), 200, _HEADERS, "text/event-stream")

    def _is_full(self, who: str) -> bool:
        return (
            self._open[who] >= limits.PRINCIPAL_STREAMS_MAX
            or self._open.total() >= limits.BROWSER_STREAMS_MAX
        )

    async def _events(self, text: str, who: str) -> AsyncIterator[str]:
        if self._is_full(who):  # Others began between the answer's head and now.
            return
        self._open[who] += 1
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
            self._open[who] -= 1
            self._open += Counter()  # Whoever has none any more is forgotten.

    def _mark(self, tx: Tx, text: str) -> str:
        """How often the database changed; "" when the session is over."""
        try:
            sessions.authenticate(tx, text, self._deps.clock.unix_ms())
        except UnauthenticatedError:
            return ""
        return str(overview.change_no(tx))
