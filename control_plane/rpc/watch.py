"""Watches what the control plane does: RPCs, transactions, and how the installation stands.

RPCs are counted on the event loop and transactions on the writer's thread, each in series of its
own that the other never touches; a reading may be a value behind, never wrong.
"""

from __future__ import annotations

from collections import Counter as Sums
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeVar

from control_plane import limits
from control_plane.clock import Clock
from control_plane.store.engine import Store, Tx
from control_plane.store.standing import Standing, standing
from protos.telemetry.instruments import Histogram, Kind, Metric, Reading, gauge
from protos.telemetry.limits import READ_MS
from protos.telemetry.traces import (
    Draw,
    Sampler,
    Span,
    SpanKind,
    Started,
    child,
    read_traceparent,
    start,
)

T = TypeVar("T")
Offer = Callable[[Span], None]
METHOD: Final = "rpc.method"
CODE: Final = "rpc.response.status_code"
_SECONDS_US: Final = (
    *(100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000, 10_000_000),
)

RPC = Metric(
    "rpc.server.call.duration",
    Kind.HISTOGRAM,
    "s",
    "How long unary RPCs took, by method and status.",
    (METHOD, CODE),
    _SECONDS_US,
    1_000_000,
)
TRANSACTION = Metric(
    "bursar.transaction.duration",
    Kind.HISTOGRAM,
    "s",
    "How long one COMMIT took, with all the work that shared it.",
    (),
    _SECONDS_US,
    1_000_000,
)
GROUP = Metric(
    "bursar.transaction.group_size",
    Kind.HISTOGRAM,
    "{function}",
    "How much work shared one COMMIT.",
    (),
    tuple(2**power for power in range(9)),
)
SIDECARS = Metric(
    "bursar.sidecars",
    Kind.GAUGE,
    "{sidecar}",
    "Sidecars by state; SILENT are active ones that did not speak for 30 s.",
    ("bursar.state",),
)
BOOKED = Metric(
    "bursar.ledger.booked_seq",
    Kind.GAUGE,
    "{record}",
    "The last record of each sidecar's journal that the ledger has.",
    ("bursar.sidecar_id",),
)
POSITION = Metric("bursar.ledger.position", Kind.GAUGE, "{call}", "Where the ledger of calls ends.")
ALARMS = Metric(
    "bursar.alarms", Kind.GAUGE, "{alarm}", "Alarms that are kept, by kind.", ("bursar.kind",)
)

_current: ContextVar[Started | None] = ContextVar("span", default=None)


class Watch:
    """An observer whose counters can be read."""

    def __init__(self, clock: Clock, draw: Draw) -> None:
        """Count from now on; record nothing until `record` says where to."""
        self._clock = clock
        self._draw = draw
        self._sampler: Sampler | None = None
        self._offer: Offer = _drop
        self._rpcs = Histogram(RPC)
        self._transactions = Histogram(TRANSACTION)
        self._groups = Histogram(GROUP)
        self._transaction, self._group = self._transactions.at(), self._groups.at()

    def record(self, sampler: Sampler, offer: Offer) -> None:
        """Record the spans that the sampler wants from now on."""
        self._sampler, self._offer = sampler, offer

    def begin(self, traceparent: str) -> Started | None:
        """An RPC came, under this trace if it is not empty: the span to record, or None."""
        if self._sampler is None:
            return None
        parent = read_traceparent(traceparent) if traceparent else None
        started = start(self._sampler, parent, self._draw)
        # Each RPC has a context of its own, so what it writes to the database is found below it.
        _current.set(started)
        return started

    def ended(self, method: str, code: str, took_us: int, started: Started | None) -> None:
        """A unary RPC ended."""
        self._rpcs.at(method, code).note(took_us)
        if started is None:
            return
        now = self._clock.unix_ms()
        self._offer(
            Span(
                name=method,
                kind=SpanKind.SERVER,
                started=started,
                begun_unix_ms=now - took_us // 1_000,
                ended_unix_ms=now,
                attributes={"rpc.system.name": "grpc", METHOD: method, CODE: code},
                failed=code in ("UNKNOWN", "DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL"),
            )
        )

    @contextmanager
    def commit(self, count: int) -> Generator[None, None, None]:
        """Surrounds a group of work that is committed together, on the writer's thread."""
        began_ns = self._clock.monotonic_ns()
        yield
        if count:
            self._transaction.note((self._clock.monotonic_ns() - began_ns) // 1_000)
            self._group.note(count)

    def wrote(self, future: Future[T]) -> Future[T]:
        """Record how long a piece of work waited for its COMMIT, where its RPC is recorded."""
        above = _current.get()
        if above is not None:
            began_unix_ms = self._clock.unix_ms()
            future.add_done_callback(lambda done: self._tell_write(above, began_unix_ms, done))
        return future

    def _tell_write(self, above: Started, began_unix_ms: int, done: Future[T]) -> None:
        failed = done.cancelled() or done.exception() is not None
        self._offer(
            Span(
                name="transaction",
                kind=SpanKind.INTERNAL,
                started=child(above.context, self._draw),
                begun_unix_ms=began_unix_ms,
                ended_unix_ms=self._clock.unix_ms(),
                failed=failed,
            )
        )

    def read(self) -> list[Reading]:
        """What was counted."""
        return [each.read() for each in (self._rpcs, self._transactions, self._groups)]


class WatchedStore:
    """A store whose writes are recorded below the RPCs that they belong to."""

    def __init__(self, store: Store, watch: Watch) -> None:
        """Stand before a store."""
        self._store = store
        self._watch = watch

    def write(self, fn: Callable[[Tx], T]) -> Future[T]:
        """Run in a writing transaction; the future resolves after its COMMIT is durable."""
        return self._watch.wrote(self._store.write(fn))

    def read(self, fn: Callable[[Tx], T]) -> Future[T]:
        """Run on a consistent snapshot; limited in time."""
        return self._store.read(fn)

    def backup(self, target: Path) -> Future[int]:
        """Copy the whole database to a new file."""
        return self._store.backup(target)

    def close(self) -> None:
        """Finish what was accepted, then close."""
        self._store.close()


def read_standing(store: Store, now_unix_ms: int) -> list[Reading]:
    """How the installation stands; waits for the database, so on no event loop."""
    return standing_readings(store.read(standing).result(READ_MS / 1_000), now_unix_ms)


def standing_readings(found: Standing, now_unix_ms: int) -> list[Reading]:
    """How the installation stands, as metrics."""
    states: Sums[tuple[str, ...]] = Sums()
    for each in found.sidecars:
        silent = now_unix_ms - each.last_seen_unix_ms > limits.SILENT_AFTER_MS
        states[("SILENT" if silent and each.state == "ACTIVE" else each.state,)] += 1
    return [
        gauge(SIDECARS, states),
        gauge(BOOKED, {(each.sidecar_id,): each.booked_seq for each in found.sidecars}),
        gauge(POSITION, {(): found.ledger_position}),
        gauge(ALARMS, {(kind,): count for kind, count in found.alarms.items()}),
    ]


def _drop(_: Span) -> None:
    """Nobody collects."""
