"""A database that an earlier version wrote is taken over with all that it holds."""

import pytest

from control_plane.core.usage import UsageQuestion
from control_plane.store import spans
from control_plane.store.engine import Tx
from control_plane.store.sqlite import open_inline
from control_plane.usecases import calls
from control_plane.usecases.housekeeping import keep_house
from tests.control_plane.desk import Desk
from tests.control_plane.leasing_world import CENT, DAY_MS, USD, World
from tests.control_plane.usecases.test_calls import book, call
from tests.control_plane.usecases.test_rate_cards import booked


def test_leases_that_a_revocation_or_a_fence_left_active_become_orphans(world: World) -> None:
    """Else nothing would ever end them, and no window that they are of could close."""
    ref = world.budget("b", USD)
    for name in ("revoked", "fenced", "lost"):
        one = world.sidecar(name)
        one.wants = False
        one.wait(3 * CENT, ref)
        one.sync()
        if name == "lost":
            one.register(lost=True)
    # As it was before: revoked or fenced, and nothing else; orphaned without a word.
    world.do(lambda tx: tx.run("UPDATE sidecar SET revoked_unix_ms = 7 WHERE id = 'revoked'"))
    world.do(lambda tx: tx.run("UPDATE sidecar SET state = 'FENCED' WHERE id = 'fenced'"))
    world.do(lambda tx: tx.run("UPDATE lease SET orphaned_unix_ms = 0, orphan_cause = ''"))
    world.do(lambda tx: tx.run("DELETE FROM _sqlite_migrations WHERE name LIKE 'm0006%'"))
    held = world.number("SELECT SUM(granted_nano_usd - returned_nano_usd) FROM lease")
    world.store.close()
    world.store = open_inline(world.folder, world.clock)
    rows = world.store.read(lambda tx: tx.rows("SELECT * FROM lease")).result()
    assert {row["sidecar_id"]: row["orphan_cause"] for row in rows} == {
        name: name for name in ("revoked", "fenced", "lost")
    }
    assert world.period(ref)["orphan_hold_nano_usd"] == held
    world.check()
    world.pass_ms(40 * DAY_MS)
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    assert world.period(ref)["state"] == "CLOSED"
    world.check()


def test_what_was_held_for_calls_is_summed_from_the_ledger(world: World) -> None:
    ref, sidecar = world.budget("b", 10 * USD), world.sidecar("a")
    booked(world, sidecar, ref, CENT, workflow="leads")
    booked(world, sidecar, ref, 2 * CENT, workflow="leads")
    booked(world, sidecar, ref, CENT, workflow="news")
    booked(world, sidecar, ref, CENT, workflow="news", estimated=True)
    booked(world, sidecar, ref, CENT, workflow="lost", outcome="broken")

    def sums() -> dict[str, tuple[int, int]]:
        rows = world.store.read(lambda tx: tx.rows("SELECT * FROM rollup")).result()
        return {r["workflow"]: (r["held_nano_usd"], r["held_cost_nano_usd"]) for r in rows}

    before = sums()
    assert before == {"leads": (10 * CENT, 3 * CENT), "news": (5 * CENT, CENT), "lost": (0, 0)}
    for table in ("rollup", "rollup_day", "rollup_day_total"):
        for column in ("held_nano_usd", "held_cost_nano_usd"):
            drop = f"ALTER TABLE {table} DROP COLUMN {column}"
            world.do(lambda tx, drop=drop: tx.run(drop))  # type: ignore[misc]  # run at once
    world.do(lambda tx: tx.run("DELETE FROM _sqlite_migrations WHERE name LIKE 'm0017%'"))
    world.store.close()
    world.store = open_inline(world.folder, world.clock)
    assert sums() == before
    assert world.number("SELECT count(*) FROM rollup_zone") == 0


def test_spans_of_an_earlier_version_are_made_some_projects_at_a_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "SPAN_PROJECTS_MAX", 2)
    made = [desk.project(f"c{number}")[0] for number in range(5)]
    for number, project in enumerate(made):
        book(desk, call(number, project_id=project.project_id, workflow="w", cost_nano_usd=7))
    tables = (*spans.TABLES, "task_span", "task_latency")
    before = [desk.read(lambda tx, of=table: _rows(tx, of)) for table in tables]  # type: ignore[misc]  # run at once
    assert all(before)

    def as_it_was(tx: Tx) -> None:
        for table in tables:
            tx.run(f"DROP TABLE {table}")
        tx.run("ALTER TABLE rollup_zone DROP COLUMN spans")
        tx.run("DELETE FROM _sqlite_migrations WHERE name >= 'm0028'")

    desk.do_alone(as_it_was)
    desk.store.close()
    desk.store = open_inline(desk.folder, desk.clock)
    question = UsageQuestion(("project", "model"))
    for left in (5, 3, 1, 0):
        assert desk.read(lambda tx: _count(tx, "rollup_zone WHERE spans = 0")) == left
        answer = desk.read(lambda tx: calls.query_usage(tx, question, desk.now))
        assert answer.total.cost_nano_usd == 5 * 7
        desk.do_alone(lambda tx: keep_house(tx, desk.levels, desk.now))
    assert [desk.read(lambda tx, of=table: _rows(tx, of)) for table in tables] == before  # type: ignore[misc]  # run at once


def _rows(tx: Tx, table: str) -> list[tuple[object, ...]]:
    rows = tx.rows(f"SELECT * FROM {table}")  # noqa: S608 - our tables
    return sorted(tuple(map(row.__getitem__, row.keys())) for row in rows)


def _count(tx: Tx, what: str) -> int:
    row = tx.row(f"SELECT count(*) AS n FROM {what}")  # noqa: S608 - our tables
    assert row is not None
    return int(row["n"])
