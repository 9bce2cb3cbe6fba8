"""A sidecar that was let in for some projects can neither take from others nor write for them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pytest

from control_plane.core.calls import Adjust, Overrun, Record, Return, Settle, Void
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.ledger import CHAIN_START, chain_after
from control_plane.core.reports import LeaseReport, RefusalCount, Report, Status, WaitingCall
from control_plane.store.engine import Tx, Value
from tests.control_plane.leasing_world import CENT, NOON, USD, World
from tests.control_plane.virtual_sidecar import call, raw

_OF_PROJECT = "UPDATE budget SET project_id = :project WHERE budget_id = :name"
FOREIGN = PeriodKey("theirs", "", "2026-11-01")
OURS = PeriodKey("ours", "", "2026-11-01")


@pytest.fixture
def scoped(world: World) -> World:
    """Two projects with a budget each, one budget of the agency, and a sidecar for one project."""
    for name, project in (("ours", "prj_1"), ("theirs", "prj_2"), ("agency", "")):
        world.budget(name, USD)
        values: dict[str, Value] = {"name": name, "project": project}
        world.do(partial(_run, sql=_OF_PROJECT, params=values))
    world.sidecar("narrow")
    world.do(lambda tx: tx.run("UPDATE sidecar SET project_ids_json = '[\"prj_1\"]'"))
    world.sidecar("wide")
    return world


def books(world: World) -> list[str]:
    """All that money rests on."""
    tables = ("period", "lease", "call", "charge", "rollup", "refusal", "cursor")
    return [world.do(partial(_shown, table=table)) for table in tables]


def _run(tx: Tx, sql: str, params: Mapping[str, Value]) -> int:
    return tx.run(sql, params)


def _shown(tx: Tx, table: str) -> str:
    rows = tx.rows(f"SELECT * FROM {table}")  # noqa: S608 - our own names
    return repr([{name: row[name] for name in row.keys()} for row in rows])  # noqa: SIM118 - a Row


def level(key: PeriodKey, granted_nano_usd: int) -> LeaseReport:
    return LeaseReport(
        lease=key,
        granted_seen_nano_usd=granted_nano_usd,
        returned_nano_usd=0,
        held_nano_usd=0,
        available_nano_usd=0,
        open_calls=0,
        want_nano_usd=0,
        median_worst_nano_usd=0,
        smallest_worst_nano_usd=0,
        idle_ms=0,
        serial_seen=0,
    )


def settle(project: str, *vector: PeriodKey, counted: tuple[BudgetRef, ...] = ()) -> Settle:
    made = replace(call("c", NOON, CENT, CENT, vector, counted), project_id=project)
    return Settle(1, made, CENT if vector else 0)


FORGED: list[Record] = [
    settle("prj_2"),
    settle("prj_1", FOREIGN),
    settle("prj_1", OURS, FOREIGN),
    settle("prj_1", counted=(BudgetRef("theirs", ""),)),
    Void(1, replace(call("c", NOON, 0, CENT, ()), project_id="prj_2")),
    Return(1, FOREIGN, USD),
    Adjust(1, "c", -CENT, "", (FOREIGN,)),
    Overrun(1, "c", USD, (FOREIGN,)),
]


def refused(world: World, change: Callable[[Report], Report]) -> None:
    """The report is fenced with an alarm, and whatever money rests on stays as it was."""
    narrow = world.sidecars["narrow"]
    before = books(world)
    for _ in range(2):
        assert narrow.send(change(narrow.report())).status is Status.FENCED
    assert books(world) == before
    alarm = world.row("SELECT kind, sidecar_id, detail FROM alarm")
    assert (alarm["kind"], alarm["sidecar_id"]) == ("FENCED", "narrow")
    assert "revoke it" in alarm["detail"]
    assert world.row("SELECT mode FROM meta")["mode"] == "NORMAL"


@pytest.mark.parametrize("record", FORGED)
def test_records_of_other_projects_are_not_booked(scoped: World, record: Record) -> None:
    forged = (raw(record),)
    chain = chain_after(CHAIN_START, forged)
    refused(
        scoped,
        lambda report: replace(
            report, from_seq=1, records=(record,), raw_records=forged, chain=chain
        ),
    )


def test_levels_of_other_projects_move_no_money(scoped: World) -> None:
    refused(scoped, lambda report: replace(report, leases=(level(FOREIGN, USD),)))


def test_nothing_is_lent_from_budgets_of_other_projects(scoped: World) -> None:
    refs = (BudgetRef("ours", ""), BudgetRef("theirs", ""))
    demand = WaitingCall("c", 0, CENT, refs, 20_000)
    refused(scoped, lambda report: replace(report, demands=(demand,)))


def test_refusals_of_other_projects_are_not_counted(scoped: World) -> None:
    count = RefusalCount(NOON, "prj_2", "", "", "", "invalid_key", "", 1, "")
    refused(scoped, lambda report: replace(report, refusals=(count,)))


def test_its_own_projects_and_the_agencys_budgets_are_served(scoped: World) -> None:
    narrow = scoped.sidecars["narrow"]
    call_id = narrow.wait(CENT, BudgetRef("ours", ""), BudgetRef("agency", ""))
    assert narrow.sync().status is Status.OK
    assert narrow.opened == [call_id]
    narrow.settle(call_id, CENT)
    assert narrow.sync().status is Status.OK
    assert scoped.number("SELECT COUNT(*) FROM charge") == 2
    assert scoped.number("SELECT COUNT(*) FROM alarm") == 0


def test_a_sidecar_without_a_scope_serves_every_project(scoped: World) -> None:
    wide = scoped.sidecars["wide"]
    call_id = wide.wait(CENT, BudgetRef("theirs", ""))
    wide.sync()
    wide.settle(call_id, CENT)
    assert wide.sync().status is Status.OK
    assert scoped.number("SELECT COUNT(*) FROM charge") == 1


def test_no_sidecar_corrects_a_call_that_another_one_made(scoped: World) -> None:
    narrow, wide = scoped.sidecars["narrow"], scoped.sidecars["wide"]
    call_id = wide.wait(CENT, BudgetRef("theirs", ""))
    wide.sync()
    wide.settle(call_id, CENT, counted=(BudgetRef("agency", ""),))
    wide.sync()
    before = scoped.row("SELECT cost_nano_usd FROM call")["cost_nano_usd"]
    narrow.append(lambda seq: Adjust(seq, call_id, -CENT, "a lie", ()))
    assert narrow.sync().status is Status.OK
    assert scoped.row("SELECT cost_nano_usd FROM call")["cost_nano_usd"] == before == CENT
    assert scoped.row("SELECT kind FROM alarm")["kind"] == "BAD_RECORD"
