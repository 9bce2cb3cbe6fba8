"""Clients are charged when their calls are booked, and again when what those cost is corrected."""

from dataclasses import replace
from typing import Any

import pytest

from control_plane.core.calls import Adjust
from control_plane.core.leases import BudgetRef
from control_plane.core.pages import Asked
from control_plane.core.rate_cards import RateCard
from control_plane.core.usage import UsageQuestion
from control_plane.store import rate_cards as store
from control_plane.usecases import projects, rate_cards
from control_plane.usecases.calls import query_usage
from protos.values.errors import FailedPreconditionError, InvalidArgumentError
from tests.control_plane.desk import HOUR_MS, Desk
from tests.control_plane.leasing_world import CENT, DAY_MS, NOON, USD, World
from tests.control_plane.usecases.test_rerating import change_last, rerated, set_price
from tests.control_plane.virtual_sidecar import VirtualSidecar


def set_card(world: World, version: str, at: int = 0, **fields: int) -> None:
    card = RateCard("prj_1", version, at, **fields)
    world.do(lambda tx: store.insert(tx, card, world.now))


def booked(world: World, sidecar: VirtualSidecar, ref: BudgetRef, cost: int, **fields: Any) -> Any:
    """A call that was booked, as its row."""
    call_id = sidecar.wait(5 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, cost)
    change_last(sidecar, **fields)
    sidecar.sync()
    world.check()
    return row_of(world, call_id)


def row_of(world: World, call_id: str) -> Any:
    return world.row("SELECT * FROM call WHERE call_id = :id", id=call_id)


def sums(world: World) -> tuple[int, int, int]:
    """Cost, charge, margin, as people read them."""
    question = UsageQuestion(start_unix_ms=NOON - DAY_MS, end_unix_ms=NOON + 60 * DAY_MS)
    total = world.store.read(lambda tx: query_usage(tx, question, world.now)).result().total
    margin = total.charge_nano_usd - total.charged_cost_nano_usd
    return total.cost_nano_usd, total.charge_nano_usd, margin


def test_each_call_is_charged_by_the_card_that_held_when_it_began(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    free = booked(world, sidecar, ref, CENT)
    assert (free["charge_nano_usd"], free["rate_card_version"]) == (None, "")
    set_card(world, "v1", world.now, markup_ppm=200_000)
    set_card(world, "v2", world.now + HOUR_MS, markup_ppm=500_000)
    first = booked(world, sidecar, ref, CENT)
    world.pass_ms(HOUR_MS)
    second = booked(world, sidecar, ref, CENT)
    assert (first["charge_nano_usd"], first["rate_card_version"]) == (12 * CENT // 10, "v1")
    assert (second["charge_nano_usd"], second["rate_card_version"]) == (15 * CENT // 10, "v2")
    assert sums(world) == (3 * CENT, 27 * CENT // 10, 7 * CENT // 10)
    # Caps count what providers charge, whatever the client is charged.
    assert world.period(ref)["spent_nano_usd"] == 3 * CENT


def test_what_a_month_includes_is_used_up_in_the_order_of_the_ledger(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", included_nano_usd=3 * CENT, markup_ppm=1_000_000)
    charges = [booked(world, sidecar, ref, 2 * CENT)["charge_nano_usd"] for _ in range(3)]
    assert charges == [0, 2 * CENT, 4 * CENT]
    world.pass_ms(30 * DAY_MS)
    assert booked(world, sidecar, ref, 2 * CENT)["charge_nano_usd"] == 0


def test_a_run_of_a_workflow_is_charged_once(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", per_execution_nano_usd=7, per_call_nano_usd=1)
    runs = ("r1", "r1", "", "r2")
    fees = [
        booked(world, sidecar, ref, CENT, execution=run)["charge_nano_usd"] - CENT for run in runs
    ]
    assert fees == [8, 1, 1, 8]
    elsewhere = booked(world, sidecar, ref, CENT, execution="r1", workflow="other")
    assert elsewhere["charge_nano_usd"] == CENT + 8


def test_a_call_that_cost_nothing_is_charged_nothing_and_begins_no_run(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", per_execution_nano_usd=7, per_call_nano_usd=1)
    assert booked(world, sidecar, ref, 0, execution="r1")["charge_nano_usd"] == 0
    assert booked(world, sidecar, ref, CENT, execution="r1")["charge_nano_usd"] == CENT + 8


@pytest.mark.parametrize("booked_before", [False, True])
def test_a_runs_fee_goes_with_the_first_call_that_costs_anything(
    world: World, booked_before: bool
) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", per_execution_nano_usd=7)
    kept = {"execution": "r1", "requested_model": "other", "answered_model": "other"}
    first = booked(world, sidecar, ref, CENT, execution="r1")["call_id"]
    second = booked(world, sidecar, ref, CENT, **kept) if booked_before else None
    set_price(world, 0)
    rerated(world)
    world.check()
    assert row_of(world, first)["charge_nano_usd"] == 0
    second = (
        row_of(world, second["call_id"]) if second else booked(world, sidecar, ref, CENT, **kept)
    )
    assert second["charge_nano_usd"] == CENT + 7
    assert booked(world, sidecar, ref, CENT, **kept)["charge_nano_usd"] == CENT
    assert sums(world) == (2 * CENT, 2 * CENT + 7, 7)
    set_price(world, CENT, "zz")
    rerated(world)
    assert row_of(world, first)["charge_nano_usd"] == 5 * CENT, "the fee stays where it is"


def test_a_call_that_cost_nothing_begins_its_run_when_it_is_corrected(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", per_execution_nano_usd=7)
    first = booked(world, sidecar, ref, 0, execution="r1")["call_id"]
    set_price(world, CENT)
    rerated(world)
    assert row_of(world, first)["charge_nano_usd"] == 5 * CENT + 7
    assert sums(world) == (5 * CENT, 5 * CENT + 7, 7)


def test_the_charge_follows_when_the_price_was_wrong(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", included_nano_usd=4 * CENT, markup_ppm=1_000_000, per_call_nano_usd=3)
    first = booked(world, sidecar, ref, 2 * CENT)["call_id"]
    second = booked(world, sidecar, ref, 2 * CENT)["call_id"]
    set_card(world, "v2", world.now + 1, markup_ppm=9_000_000)
    set_price(world, CENT)
    rerated(world)
    world.check()
    rows = [row_of(world, call_id) for call_id in (first, second)]
    assert [row["rate_card_version"] for row in rows] == ["v1", "v1"]
    assert [row["included_nano_usd"] for row in rows] == [2 * CENT, 2 * CENT]
    assert [row["charge_nano_usd"] for row in rows] == [6 * CENT + 3, 6 * CENT + 3]
    assert sums(world) == (10 * CENT, 12 * CENT + 6, 2 * CENT + 6)
    set_price(world, CENT // 5, "zz")
    rerated(world)
    assert world.number("SELECT used_nano_usd FROM allowance") == 2 * CENT
    assert sums(world) == (2 * CENT, 6, 6 - 2 * CENT)


def test_the_charge_follows_when_an_estimate_was_too_high(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    set_card(world, "v1", markup_ppm=200_000)
    row = booked(world, sidecar, ref, 2 * CENT, estimated=True)
    [key] = sidecar.leases
    sidecar.leases[key].spent -= CENT
    sidecar.append(lambda seq: Adjust(seq, row["call_id"], -CENT, "bill", (key,)))
    sidecar.sync()
    world.check()
    assert row_of(world, row["call_id"])["charge_nano_usd"] == 12 * CENT // 10
    assert sums(world) == (CENT, 12 * CENT // 10, 2 * CENT // 10)


def test_cards_are_set_from_now_on_and_listed(desk: Desk) -> None:
    project, _ = desk.project()
    card = RateCard(project.project_id, "", 0, markup_ppm=200_000)
    first = desk.do(lambda tx, act: rate_cards.set_rate_card(tx, card, None, "deal", act))
    assert '"markup_ppm": 200000' in desk.last_entry().detail_json
    later = desk.do(lambda tx, act: rate_cards.set_rate_card(tx, card, desk.now + HOUR_MS, "", act))
    page = desk.read(lambda tx: rate_cards.list_rate_cards(tx, Asked(), project.project_id))
    assert page.items == (first, later)
    assert first.version != later.version
    for wrong, at in ((card, desk.now - 1), (replace(card, markup_ppm=-(10**7)), None)):
        with pytest.raises(InvalidArgumentError):
            desk.do(lambda tx, act: rate_cards.set_rate_card(tx, wrong, at, "", act))  # noqa: B023 - called at once
    desk.do(lambda tx, act: projects.archive_project(tx, project.project_id, "", act))
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: rate_cards.set_rate_card(tx, card, None, "", act))
