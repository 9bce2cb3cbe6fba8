"""Answers that are read to their end for nobody: their provider bills them to the end all the same.

Rules:
1. A drain belongs to the server, not to the connection whose caller hung up, and outlives it.
2. How many there are is bounded, and each by the longest call; what finds no room, or does not get
   through, is settled at its worst case. A process that dies in a drain leaves an open call like
   any other.
3. When the sidecar ends, drains are given the same grace as calls.
"""

import logging
from collections.abc import Awaitable, Callable

import trio

from sidecar.http import limits

_log = logging.getLogger(__name__)
ReadOn = Callable[[], Awaitable[None]]
"""Reads an answer to its end and settles its call, also when it is cancelled."""


class Drains:
    """The answers that are being read on."""

    def __init__(self, ended: Callable[[], None]) -> None:
        """Begin with none; `ended` is told each time that one has ended."""
        self._ended = ended
        self._nursery: trio.Nursery | None = None
        self._scopes: set[trio.CancelScope] = set()
        self.running = 0
        """How many there are."""

    def begin(self, nursery: trio.Nursery) -> None:
        """Take drains from now on; they run in this nursery."""
        self._nursery = nursery

    def take(self, read_on: ReadOn) -> bool:
        """Take over an answer; False when there is no room for it."""
        if self._nursery is None or self.running >= limits.DRAINS_MAX_CALLS:
            return False
        self.running += 1
        # Made here, so that a drain which has not started yet can be broken off, too.
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._nursery.start_soon(self._drain, read_on, scope)
        return True

    def cancel(self) -> None:
        """Break off all drains, and take no more."""
        self._nursery = None
        for scope in self._scopes:
            scope.cancel()

    async def _drain(self, read_on: ReadOn, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await read_on()
        except Exception:  # noqa: BLE001 - one answer's mistake must not end the server
            _log.exception("a drain ended by a mistake of the sidecar")
        finally:
            self._scopes.discard(scope)
            self.running -= 1
            self._ended()
