"""What is counted and recorded of RPCs and transactions."""

import itertools
from concurrent.futures import Future
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from control_plane.rpc import watch as names
from control_plane.rpc.watch import Watch, WatchedStore, standing_readings
from control_plane.store.sqlite import open_inline
from control_plane.store.standing import SidecarStanding, Standing, standing
from protos.telemetry.instruments import Distribution, Metric
from protos.telemetry.traces import Sampler, Span, SpanKind

README = Path(__file__).parents[3] / "protos" / "telemetry" / "README.md"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SYNC = "bursar.sidecar.v1.SidecarService/Sync"


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def unix_ms(self) -> int:
        return self.ms

    def monotonic_ns(self) -> int:
        return self.ms * 1_000_000


class Seen:
    """A watch that records everything."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.clock = HandClock()
        self.watch = Watch(self.clock, lambda _: next(numbers))
        self.spans: list[Span] = []

    def record(self) -> None:
        self.watch.record(Sampler(1_000_000), self.spans.append)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_nothing_is_recorded_until_somebody_collects(seen: Seen) -> None:
    assert seen.watch.begin(PARENT) is None
    seen.record()
    started = copy_context().run(seen.watch.begin, PARENT)
    assert started is not None
    assert started.context.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736


def test_an_rpc_is_counted_by_method_and_status_and_recorded_under_its_caller(seen: Seen) -> None:
    seen.record()
    started = copy_context().run(seen.watch.begin, PARENT)
    seen.watch.ended(SYNC, "OK", 2_400, started)
    seen.watch.ended(SYNC, "UNAVAILABLE", 100, None)
    (rpcs,) = [each for each in seen.watch.read() if each.metric is names.RPC]
    totals = {
        labels: point.total
        for labels, point in rpcs.points.items()
        if isinstance(point, Distribution)
    }
    assert totals == {
        (SYNC, "OK"): 2_400,
        (SYNC, "UNAVAILABLE"): 100,
    }
    (span,) = seen.spans
    assert (span.name, span.kind, span.failed) == (SYNC, SpanKind.SERVER, False)
    assert span.ended_unix_ms - span.begun_unix_ms == 2


def test_a_write_of_a_recorded_rpc_is_recorded_below_it(seen: Seen, tmp_path: Path) -> None:
    seen.record()
    store = WatchedStore(open_inline(tmp_path, seen.clock), seen.watch)

    def rpc() -> Any:
        started = seen.watch.begin("")
        assert store.write(lambda _: 1).result(0) == 1
        assert store.read(lambda _: 2).result(0) == 2
        failing: Future[Any] = store.write(lambda _: 1 // 0)
        assert isinstance(failing.exception(0), ZeroDivisionError)
        return started

    started = copy_context().run(rpc)
    store.write(lambda _: 1).result(0)  # Of no RPC: housekeeping.
    store.close()
    assert [(span.name, span.failed) for span in seen.spans] == [
        ("transaction", False),
        ("transaction", True),
    ]
    assert all(span.started.parent == started.context for span in seen.spans)


def test_a_group_of_work_is_counted_as_one_commit(seen: Seen) -> None:
    with seen.watch.commit(3):
        seen.clock.ms += 7
    with seen.watch.commit(0):
        seen.clock.ms += 100
    found = {each.metric.name: each.points[()] for each in seen.watch.read() if () in each.points}
    duration, group = found[names.TRANSACTION.name], found[names.GROUP.name]
    assert isinstance(duration, Distribution)
    assert isinstance(group, Distribution)
    assert (sum(duration.counts), duration.total) == (1, 7_000)
    assert group.total == 3


def test_how_the_installation_stands(tmp_path: Path) -> None:
    clock = HandClock()
    store = open_inline(tmp_path, clock)
    assert store.read(standing).result(0) == Standing((), {}, 0)
    store.close()
    now = clock.unix_ms()
    one = SidecarStanding("sc_1", "ACTIVE", now, 7)
    silent = SidecarStanding("sc_2", "ACTIVE", now - 31_000, 9)
    gone = SidecarStanding("sc_3", "REVOKED", 0, 0)
    found = {
        each.metric.name: dict(each.points)
        for each in standing_readings(Standing((one, silent, gone), {"OVERRUN": 2}, 16), now)
    }
    assert found == {
        "bursar.sidecars": {("ACTIVE",): 1, ("SILENT",): 1, ("REVOKED",): 1},
        "bursar.ledger.booked_seq": {("sc_1",): 7, ("sc_2",): 9, ("sc_3",): 0},
        "bursar.ledger.position": {(): 16},
        "bursar.alarms": {("OVERRUN",): 2},
    }


def test_every_metric_is_in_the_readme_with_its_unit() -> None:
    text = README.read_text()
    metrics = [each for each in vars(names).values() if isinstance(each, Metric)]
    assert len(metrics) > 5
    assert not [each.name for each in metrics if f"| `{each.name}` | {each.unit} |" not in text]
