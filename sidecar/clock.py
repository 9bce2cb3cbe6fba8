"""The one place where a sidecar reads a clock."""

import time
from typing import Protocol

from sidecar.core.instants import Now
from sidecar.core.timekeeper import Timekeeper

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Reads both clocks."""

    def now(self) -> Now:
        """One instant, now."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now(self) -> Now:
        """One instant, now."""
        return Now(time.time_ns() // 1_000_000, time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000)


class KeptClock:
    """The machine's clocks as the timekeeper takes them: all parts of a sidecar go by one."""

    __slots__ = ("_clock", "keeper")

    def __init__(self, clock: Clock) -> None:
        """Begin to watch the machine's clocks."""
        self._clock = clock
        self.keeper = Timekeeper()

    def now(self) -> Now:
        """One instant, now."""
        return self.keeper.read(self._clock.now())
