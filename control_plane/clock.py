"""The one place of this room that reads a clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def unix_ms(self) -> int:
        """Milliseconds since 1970 (UTC), by the wall clock: for people and for windows."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that only rise: for measuring how long something takes."""
        ...


class SystemClock:
    """The machine's clocks."""

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()
