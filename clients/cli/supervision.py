"""Keeps children alive, and ends them in order.

One thread decides; signals and ended children reach it through a queue. A child that ends by itself
is started again after a pause that doubles, on the port that it had; one that keeps crashing ends
everything, with its last words. Children are ended last come, first gone: whoever depends on
another ends before it.
"""

import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from clients.cli import clock
from clients.cli.children import Child, Plan
from clients.cli.limits import (
    CRASH_WINDOW_MS,
    CRASHES_MAX_TIMES,
    READY_MS,
    READY_POLL_MS,
    RESTART_FIRST_MS,
    RESTART_MAX_MS,
    SIGNAL_LOOK_MS,
)
from protos.values.errors import BursarError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAsked(Exception):  # noqa: N818 - no error: somebody asked
    """A signal asked to end."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A child's life ended."""

    child: Child
    life: int
    code: int


@dataclass(slots=True)
class _Record:
    """What is remembered of a child."""

    child: Child
    crashes_ms: list[int] = field(default_factory=list)
    restart_ms: int | None = None


class Supervisor:
    """Starts children, waits for them, restarts them, ends them."""

    def __init__(self, say: Callable[[str], None], keep: tuple[int, ...] = ()) -> None:
        """Take where to tell people what happens, and descriptors that children keep open."""
        self._say = say
        self._keep = keep
        self._events: queue.SimpleQueue[_Ended | signal.Signals] = queue.SimpleQueue()
        self._records: list[_Record] = []
        self._stopping = False

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to end."""

        def note(number: int, _frame: FrameType | None) -> None:
            self._events.put(signal.Signals(number))  # SimpleQueue.put may be called in a handler

        before = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def children(self) -> tuple[Child, ...]:
        """All children, in the order in which they came."""
        return tuple(record.child for record in self._records)

    def start(self, plan: Plan) -> dict[str, Any]:
        """Start a child and wait until it is ready. Raises BursarError when it never is."""

        def tell(who: Child, life: int, code: int) -> None:
            self._events.put(_Ended(who, life, code))

        child = Child(plan, tell, self._keep)
        self._records.append(_Record(child))
        child.start()
        ends_ms = clock.monotonic_ms() + READY_MS
        while clock.monotonic_ms() < ends_ms:
            told = child.ready()
            if told is not None:
                return told
            event = self._next(READY_POLL_MS)
            if isinstance(event, signal.Signals):
                raise StopAsked
            if isinstance(event, _Ended):
                if event.child is child:
                    raise BursarError(
                        f"{child.name} ended before it was ready"
                        f" ({_how(event.code)}).\n{last_words(child)}"
                    )
                self._crashed(event)
        raise BursarError(
            f"{child.name} was not ready within {READY_MS // 1000} s.\n{last_words(child)}"
        )

    def check(self) -> None:
        """Go on unless a signal came meanwhile. Raises StopAsked."""
        event = self._next(0)
        if isinstance(event, signal.Signals):
            raise StopAsked
        if isinstance(event, _Ended):
            self._crashed(event)

    def watch(self) -> None:
        """Keep the children alive until a signal comes. Raises BursarError when one cannot be."""
        while True:
            due = [one.restart_ms for one in self._records if one.restart_ms is not None]
            # Never for ever: a signal that comes just before the wait, or to another thread, is
            # noted and wakes nobody.
            wait_ms = min([SIGNAL_LOOK_MS, *(max(0, at - clock.monotonic_ms()) for at in due)])
            event = self._next(wait_ms)
            if isinstance(event, signal.Signals):
                return
            if isinstance(event, _Ended):
                self._crashed(event)
            for record in self._records:
                if record.restart_ms is not None and record.restart_ms <= clock.monotonic_ms():
                    record.restart_ms = None
                    record.child.start()

    def stop(self) -> None:
        """End all children, the last started first; a second signal ends them at once."""
        self._stopping = True
        for record in reversed(self._records):
            record.child.signal(signal.SIGTERM)
            self._await_end(record.child)
            record.child.close()

    def _await_end(self, child: Child) -> None:
        ends_ms = clock.monotonic_ms() + child.plan.stop_ms
        while not child.wait(READY_POLL_MS):
            event = self._next(0)
            impatient = isinstance(event, signal.Signals)
            if impatient or clock.monotonic_ms() >= ends_ms:
                late = "at once, as asked" if impatient else "because it did not end in time"
                self._say(f"{child.name} is killed, {late}; its journal keeps what it did.")
                child.signal(signal.SIGKILL)
                child.wait(child.plan.stop_ms)
                return

    def _next(self, wait_ms: int) -> _Ended | signal.Signals | None:
        try:
            if wait_ms == 0:
                return self._events.get_nowait()
            return self._events.get(timeout=wait_ms / 1000)
        except queue.Empty:
            return None

    def _crashed(self, event: _Ended) -> None:
        """Plan the next life of a child that ended by itself. Raises BursarError after too many."""
        if self._stopping or event.life != event.child.life:
            return
        record = next(one for one in self._records if one.child is event.child)
        now_ms = clock.monotonic_ms()
        recent = [at for at in record.crashes_ms if now_ms - at < CRASH_WINDOW_MS]
        record.crashes_ms = [*recent, now_ms]
        if len(record.crashes_ms) >= CRASHES_MAX_TIMES:
            raise BursarError(
                f"{event.child.name} ended {CRASHES_MAX_TIMES} times within"
                f" {CRASH_WINDOW_MS // 1000} s, the last time with {_how(event.code)}."
                f"\n{last_words(event.child)}"
            )
        pause_ms = min(RESTART_FIRST_MS * 2 ** len(recent), RESTART_MAX_MS)
        record.restart_ms = now_ms + pause_ms
        self._say(
            f"{event.child.name} ended with {_how(event.code)};"
            f" it is started again in {pause_ms} ms. Its log: {event.child.plan.log}"
        )


def last_words(child: Child) -> str:
    """The end of a child's log, and where the rest is."""
    lines = "\n".join(f"  {line}" for line in child.log.last) or "  (it said nothing)"
    return f"Its last words:\n{lines}\nThe whole log: {child.plan.log}"


def _how(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
