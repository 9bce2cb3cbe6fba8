"""Time: the true one, which the world runs by, and what each host takes it for."""

import heapq
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import trio

from sidecar.core.instants import Now

FIRST_BOOT_MS = 1_000_000
"""What a host's boot clock shows when a run begins."""


class VirtualClock(trio.abc.Clock):
    """Trio's clock in a run: when nobody can go on, it is at once as late as somebody waits for.

    It also wakes who sleeps here, which costs a quarter of what a deadline of trio's own does.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        """So late it is."""
        self._sleepers: list[tuple[float, int, _Sleeper]] = []
        self._count = 0
        self._soon: Any = None

    def start_clock(self) -> None:
        """It begins at zero."""
        scheduler: Any = trio._core._run.GLOBAL_RUN_CONTEXT.runner
        self._soon = scheduler.entry_queue
        # Nobody listens, and trio asks a mapping written in Python five times a turn.
        scheduler.instruments = {}
        # Nothing is read from sockets either: the kernel need not be asked, nor told to wake us.
        scheduler.io_manager = _NoSockets(scheduler.io_manager)
        scheduler.entry_queue.wakeup = _Bell(scheduler.entry_queue.wakeup)
        _CLOCKS[:] = [self]

    def current_time(self) -> float:
        return self.now_s

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Trio asks when no task can run: go on to the next instant at which one can."""
        if self._soon.size():
            return 0.0  # A callback of an RPC waits to be run: that comes first.
        while self._sleepers and self._sleepers[0][2].task is None:
            heapq.heappop(self._sleepers)
        next_s = min(deadline, self._sleepers[0][0] if self._sleepers else math.inf)
        assert next_s < math.inf, "all wait, and for nothing that time brings"
        self.now_s = max(self.now_s, next_s)
        while self._sleepers and self._sleepers[0][0] <= self.now_s:
            sleeper = heapq.heappop(self._sleepers)[2]
            if sleeper.task is not None:
                trio.lowlevel.reschedule(sleeper.task)
        return 0.0

    async def sleep_until(self, instant_s: float) -> None:
        if instant_s <= self.now_s:
            await trio.lowlevel.checkpoint()
            return
        self._count += 1
        sleeper = _Sleeper(trio.lowlevel.current_task())
        heapq.heappush(self._sleepers, (instant_s, self._count, sleeper))
        await trio.lowlevel.wait_task_rescheduled(sleeper.abort)


class _NoSockets:
    """What trio asks for news from sockets, where there are none."""

    def __init__(self, ordinary: Any) -> None:
        self.close = ordinary.close

    def get_events(self, _timeout_s: float) -> tuple[()]:
        return ()

    def process_events(self, _events: tuple[()]) -> None:
        """There never are any."""


class _Bell:
    """Wakes the task that runs callbacks: the same thread asked for them, or a signal within it."""

    def __init__(self, ordinary: Any) -> None:
        self._ordinary = ordinary
        self._task: trio.lowlevel.Task | None = None
        self._rang = False

    def wakeup_thread_and_signal_safe(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)
        else:
            self._rang = True

    async def wait_woken(self) -> None:
        if self._rang:
            self._rang = False
            await trio.lowlevel.checkpoint()
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def close(self) -> None:
        self._ordinary.close()


class _Sleeper:
    """A task that sleeps; none when it was cancelled meanwhile."""

    __slots__ = ("task",)

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task: trio.lowlevel.Task | None = task

    def abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


_CLOCKS: list[VirtualClock] = []
"""That of the run: it is asked thousands of times, and trio finds it by three calls."""


async def sleep(seconds: float) -> None:
    """Let so much virtual time pass."""
    [clock] = _CLOCKS
    await clock.sleep_until(clock.now_s + seconds)


async def sleep_until(instant_s: float) -> None:
    """Wait for an instant of the run."""
    [clock] = _CLOCKS
    await clock.sleep_until(instant_s)


def true_ms() -> int:
    """Milliseconds since the run began."""
    return round(_CLOCKS[0].now_s * 1_000)


@dataclass(slots=True)
class TrueClock:
    """The control plane's clock, which is right."""

    start_unix_ms: int

    def unix_ms(self) -> int:
        return self.start_unix_ms + true_ms()

    def monotonic_ns(self) -> int:
        return self.unix_ms() * 1_000_000


class Paused(NamedTuple):
    """A pause of a virtual machine."""

    since_ms: int
    """By the true time, as is its end."""
    until_ms: int
    lasted_ms: int
    """By the machine's own oscillator."""


@dataclass(slots=True)
class HostClock:
    """Both clocks of one host. One oscillator drives them, so they are wrong by the same rate."""

    start_unix_ms: int
    rate_permille: int = 1_000
    wall_offset_ms: int = 0
    """By how much its wall clock was stepped."""
    booted_ms: int = 0
    """When it booted, by its oscillator."""
    boot_base_ms: int = FIRST_BOOT_MS
    unseen_ms: int = 0
    """Pauses of the virtual machine that the boot clock knows nothing of."""
    paused_since_ms: int | None = None
    stepped: bool = False
    """Its wall clock was set, at least once."""
    paused: Paused | None = None
    """The latest pause of the virtual machine that is over."""
    _began_ms: int = 0
    _asked_s: float = -1.0
    _told: Now | None = None
    """What both clocks showed when they were last asked, until somebody touches them."""

    def now(self) -> Now:
        now_s = _CLOCKS[0].now_s
        if self._told is None or self._asked_s != now_s:
            self._asked_s, self._told = now_s, self._read()
        return self._told

    def _read(self) -> Now:
        ran_ms = self._ran_ms
        seen_ms = ran_ms if self.paused_since_ms is None else self.paused_since_ms
        return Now(
            self.start_unix_ms + ran_ms + self.wall_offset_ms,
            self.boot_base_ms + seen_ms - self.booted_ms - self.unseen_ms,
        )

    @property
    def _ran_ms(self) -> int:
        return true_ms() * self.rate_permille // 1_000

    def step(self, by_ms: int) -> None:
        """Somebody sets the wall clock."""
        self.wall_offset_ms += by_ms
        self.stepped = True
        self._told = None

    def correct(self) -> None:
        """The wall clock is set right."""
        self.wall_offset_ms = true_ms() - self._ran_ms
        self._told = None

    def pause(self) -> None:
        """The virtual machine stops, and its boot clock with it."""
        if self.paused_since_ms is None:
            self.paused_since_ms = self._ran_ms
            self._began_ms = true_ms()
            self._told = None

    def resume(self) -> None:
        """It goes on."""
        if self.paused_since_ms is not None:
            lasted_ms = self._ran_ms - self.paused_since_ms
            self.unseen_ms += lasted_ms
            self.paused_since_ms = None
            self.paused = Paused(self._began_ms, true_ms(), lasted_ms)
            self._told = None

    def reboot(self) -> None:
        """The host boots: its boot clock begins anew."""
        self.resume()
        self.booted_ms = self._ran_ms
        self.boot_base_ms = 5_000
        self.unseen_ms = 0
        self._told = None
