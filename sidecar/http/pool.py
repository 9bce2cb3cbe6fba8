"""The plan of a connection pool: which connection a call takes, and which are let go.

Last in, first out: the connection that was used last is the least likely to have been closed by the
other side, and those below it grow old and are closed. Pure: connections are opaque, time is an
argument, and whoever asks carries the plan out.
"""

from collections import deque
from typing import Generic, TypeVar

from sidecar.http import limits

T = TypeVar("T")


class PoolPlan(Generic[T]):
    """Counts the connections to one provider and keeps those that are idle."""

    __slots__ = ("_idle", "open_connections")

    def __init__(self) -> None:
        """Begin without connections."""
        self._idle: deque[tuple[T, int]] = deque()
        self.open_connections = 0
        """Idle or in use."""

    def reuse(self, now_ms: int) -> T | None:
        """The idle connection that was used last, unless it is too old; None when there is none."""
        if not self._idle:
            return None
        connection, since_ms = self._idle[-1]
        if now_ms - since_ms >= limits.UPSTREAM_IDLE_MS:
            return None
        self._idle.pop()
        return connection

    @property
    def may_open(self) -> bool:
        """Whether one more connection may be opened."""
        return self.open_connections < limits.UPSTREAM_MAX_CONNECTIONS

    def opened(self) -> None:
        """Count a connection before it is opened, so that the bound holds while it is."""
        assert self.may_open
        self.open_connections += 1

    def gone(self) -> None:
        """Count a connection out: closed, or never opened."""
        assert self.open_connections > 0
        self.open_connections -= 1

    def keep(self, connection: T, now_ms: int) -> bool:
        """Keep a connection for the next call; False when enough are kept and it must be closed."""
        if len(self._idle) >= limits.UPSTREAM_IDLE_MAX_CONNECTIONS:
            return False
        self._idle.append((connection, now_ms))
        return True

    def expired(self, now_ms: int) -> list[T]:
        """Take out the connections that were idle for too long; they must be closed."""
        old: list[T] = []
        while self._idle and now_ms - self._idle[0][1] >= limits.UPSTREAM_IDLE_MS:
            old.append(self._idle.popleft()[0])
        return old

    def drained(self) -> list[T]:
        """Take out every idle connection; they must be closed."""
        every = [connection for connection, _ in self._idle]
        self._idle.clear()
        return every
