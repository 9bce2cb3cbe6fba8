"""A price that was wrong is set right by entries: every sum follows, and no entry is edited."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.calls import Overrun, Settle
from control_plane.core.leases import BudgetRef
from control_plane.core.prices import OPERATOR, Price
from control_plane.core.principals import Principal, Role
from control_plane.core.rerating import PeriodParts, Rerating, ReratingQuestion, corrected
from control_plane.entropy import Entropy
from control_plane.store import corrections, prices
from control_plane.usecases.acts import Act
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.rerating import query_rerating, rerate_calls
from protos.values.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from protos.values.rates import ModelPrice, Tier, Variant
from tests.control_plane.leasing_world import CENT, DAY_MS, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar

QUESTION = ReratingQuestion("openai", "gpt", "", NOON - DAY_MS, NOON + DAY_MS, 0)


def set_price(world: World, output_nano_usd: int, version: str = "right", **fields: Any) -> None:
    """A price by which a story's call (5 tokens of output) costs five times that much."""
    rates = {"input": 0, "output": output_nano_usd * 1_000}
    price = ModelPrice("openai", "gpt", ("gpt-1",), 1_000, 100, (Tier(0, rates),), version)
    world.do(lambda tx: prices.insert(tx, Price(replace(price, **fields), 0, OPERATOR), world.now))


def act(world: World) -> Act:
    actor = Principal("pri_1", "ops", Role.OWNER, world.now, None)
    return Act(actor, "RerateCalls", "r1", world.now, Entropy(bytes))


def rerated(world: World, question: ReratingQuestion = QUESTION) -> Rerating:
    return world.do(lambda tx: rerate_calls(tx, question, "wrong list", act(world)))


def settled(
    world: World, sidecar: VirtualSidecar, cost: int, ref: BudgetRef, *counted: BudgetRef
) -> str:
    call_id = sidecar.wait(5 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, cost, counted=counted)
    sidecar.sync()
    world.check()
    return call_id


def change_last(sidecar: VirtualSidecar, **changed: Any) -> None:
    """Let the last call have been another one."""
    last = sidecar.journal[-1]
    assert isinstance(last, Settle)
    sidecar.journal[-1] = replace(last, call=replace(last.call, **changed))


@pytest.mark.parametrize(
    ("right", "delta"), [(CENT, 3 * CENT), (CENT // 10, -3 * CENT // 2), (0, -2 * CENT)]
)
def test_every_sum_follows_and_no_entry_is_edited(world: World, right: int, delta: int) -> None:
    capped, counting = world.budget("b", USD), world.budget("c", None)
    sidecar = world.sidecar("a")
    call_id = settled(world, sidecar, 2 * CENT, capped, counting)
    before = world.store.read(lambda tx: tx.rows("SELECT * FROM charge")).result()
    set_price(world, right)
    [shown] = (
        world.store.read(lambda tx: query_rerating(tx, QUESTION, world.now)).result().projects()
    )
    assert (shown.call_count, shown.after_nano_usd - shown.before_nano_usd) == (1, delta)
    assert world.number("SELECT COUNT(*) FROM correction") == 0

    assert rerated(world).projects() == (shown,)
    world.check()
    assert world.row("SELECT * FROM call")["cost_nano_usd"] == 2 * CENT + delta
    for ref in (capped, counting):
        assert world.period(ref)["spent_nano_usd"] == 2 * CENT + delta
    after = world.store.read(lambda tx: tx.rows("SELECT * FROM charge")).result()
    assert [dict(row) for row in after if row["kind"] == "SETTLE"] == [dict(row) for row in before]
    added = [row for row in after if row["kind"] == "CORRECTION"]
    assert [(row["call_id"], row["amount_nano_usd"]) for row in added] == [(call_id, delta)] * 2
    entry = world.row("SELECT * FROM correction")
    assert (entry["price_version"], entry["before_nano_usd"]) == ("right", 2 * CENT)
    assert (entry["actor"], entry["reason"]) == ("pri_1", "wrong list")

    assert not rerated(world).corrections
    world.check()
    assert world.number("SELECT COUNT(*) FROM correction") == 1


def test_a_second_correction_stands_behind_the_first(world: World) -> None:
    ref = world.budget("b", USD)
    settled(world, world.sidecar("a"), CENT, ref)
    for number, right in enumerate((CENT, CENT // 5, 2 * CENT), 1):
        world.pass_ms(1)
        set_price(world, right, f"v{number}")
        rerated(world, replace(QUESTION, price_version=f"v{number}"))
        world.check()
        assert world.period(ref)["spent_nano_usd"] == 5 * right
    call_id = world.row("SELECT call_id FROM call")["call_id"]
    entries = world.store.read(lambda tx: corrections.of_call(tx, call_id)).result()
    assert [(one.price_version, one.after_nano_usd) for one in entries] == [
        ("v1", 5 * CENT),
        ("v2", CENT),
        ("v3", 10 * CENT),
    ]
    assert world.number("SELECT COUNT(*) FROM correction WHERE price_version = 'v2'") == 1


def test_a_closed_period_is_corrected_and_stays_closed(world: World) -> None:
    ref = world.budget("b", USD, window="day")
    sidecar = world.sidecar("a")
    settled(world, sidecar, CENT, ref)
    [key] = sidecar.leases
    world.pass_ms(2 * DAY_MS)
    sidecar.sync()
    sidecar.give_back(key)
    sidecar.sync()
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    state = "SELECT * FROM period WHERE period_id = '2026-11-23'"
    assert world.row(state)["state"] == "CLOSED"
    set_price(world, CENT)
    rerated(world)
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    world.check()
    assert (world.row(state)["state"], world.row(state)["spent_nano_usd"]) == ("CLOSED", 5 * CENT)


def test_a_correction_upwards_leaves_less_for_others_and_one_downwards_more(world: World) -> None:
    ref = world.budget("b", 10 * CENT)
    sidecar = world.sidecar("a")
    settled(world, sidecar, 2 * CENT, ref)
    set_price(world, CENT)
    rerated(world)
    row = world.period(ref)
    assert row["cap_nano_usd"] - row["spent_nano_usd"] == 5 * CENT
    world.pass_ms(1)
    set_price(world, 0, "zero")
    rerated(world)
    world.check()
    row = world.period(ref)
    assert row["cap_nano_usd"] - row["spent_nano_usd"] == 10 * CENT


def test_a_bill_beyond_its_worst_case_is_corrected_down_to_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    _, vector = sidecar.open[call_id]
    sidecar.settle(call_id, CENT)
    change_last(sidecar, cost_nano_usd=5 * CENT)
    sidecar.append(lambda seq: Overrun(seq, call_id, 4 * CENT, vector))
    sidecar.sync()
    world.check()
    set_price(world, 0)
    rerated(world)
    world.check()
    assert world.period(ref)["spent_nano_usd"] == 0


def test_only_what_the_price_is_for_is_corrected(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    settled(world, sidecar, CENT, ref)
    set_price(world, CENT)
    for wrong in (
        replace(QUESTION, start_unix_ms=NOON + 1),
        replace(QUESTION, end_unix_ms=NOON),
        replace(QUESTION, after_position=1),
    ):
        assert not rerated(world, wrong).corrections
    assert rerated(world, replace(QUESTION, model="gpt-1")).corrections


def test_what_is_told_late_is_found_by_doing_it_again(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    settled(world, sidecar, CENT, ref)
    call_id = sidecar.wait(5 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 2 * CENT)
    set_price(world, CENT)
    assert len(rerated(world).corrections) == 1
    sidecar.sync()
    assert len(rerated(world).corrections) == 1
    world.check()
    assert world.period(ref)["spent_nano_usd"] == 10 * CENT


def test_estimates_and_what_has_no_rate_are_left_and_counted(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    told = {"cost_told": True}
    for change in ({"estimated": True}, told, {"variant": "flex"}, {"variant": "fast"}):
        call_id = sidecar.wait(5 * CENT, ref)
        sidecar.sync()
        sidecar.settle(call_id, CENT)
        change_last(sidecar, **change)
        sidecar.sync()
    half = Variant("flex", (Tier(0, {"input": 0, "output": CENT * 500}),))
    set_price(world, CENT, variants=(half,))
    done = rerated(world)
    assert (done.estimated_count, done.told_count, done.unpriceable_count) == (1, 1, 1)
    [only] = done.corrections
    assert (only.logged.call.variant, only.after_nano_usd) == ("flex", 5 * CENT // 2)
    world.check()


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (replace(QUESTION, model="nothing"), NotFoundError),
        (replace(QUESTION, price_version="nothing"), NotFoundError),
        (replace(QUESTION, end_unix_ms=QUESTION.start_unix_ms), InvalidArgumentError),
        (replace(QUESTION, after_position=-1), InvalidArgumentError),
    ],
)
def test_a_question_that_means_nothing_is_refused(
    world: World, question: ReratingQuestion, error: type[Exception]
) -> None:
    set_price(world, CENT)
    with pytest.raises(error):
        rerated(world, question)


def test_a_price_that_cannot_be_right_corrects_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    settled(world, world.sidecar("a"), CENT, ref)
    set_price(world, 10**6 * USD)
    with pytest.raises(FailedPreconditionError, match="more than any call can"):
        rerated(world)
    assert world.period(ref)["spent_nano_usd"] == CENT


@given(
    parts=st.builds(PeriodParts, *[st.integers(0, 100)] * 3),
    share=st.integers(0, 100),
    more=st.integers(0, 1_000),
)
def test_no_part_of_a_period_falls_below_nothing(parts: PeriodParts, share: int, more: int) -> None:
    whole = parts.leased_nano_usd + parts.counted_nano_usd + parts.overrun_nano_usd
    for delta in (-(whole * share // 100), more):
        move = corrected(parts, delta)
        moved = (move.leased_nano_usd, move.counted_nano_usd, move.overrun_nano_usd)
        assert sum(moved) == delta
        assert parts.leased_nano_usd + moved[0] >= 0
        assert parts.counted_nano_usd + moved[1] >= 0
        assert parts.overrun_nano_usd + moved[2] >= 0
