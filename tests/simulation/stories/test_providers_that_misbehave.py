"""Providers bill more, break off and refund: each attempt is a call of its own in the ledger."""

from functools import partial
from pathlib import Path

import trio

from control_plane.core.calls import Adjust
from control_plane.core.leases import PeriodKey
from sidecar.core.refusals import Reason
from tests.control_plane.leasing_world import World
from tests.simulation.stories.scene import CENT, DOLLAR, Scene, tell
from tests.simulation.stories.till import Till


def test_a_bill_above_the_worst_case_is_booked_stops_the_budget_and_alarms(tmp_path: Path) -> None:
    """24. A provider bills twelve cents where ten were the worst case.

    All twelve are in the ledger, two of them as an overrun that is an alarm; the sidecar starts no
    more calls on that budget until a person sets its cap anew; no cap is passed but by the overrun.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 50 * CENT)
        [one] = await scene.sidecars("one")
        await scene.calls(3, one, acme, 10 * CENT)
        assert (await scene.call(one, acme, 10 * CENT, cost=12 * CENT, ends="more")).passed
        stopped = await scene.call(one, acme, CENT)
        assert not stopped.passed
        await trio.sleep(3)
        assert (await scene.call(one, acme, CENT)).reason is Reason.EXHAUSTED
        row = scene.period(acme.budget_id)
        assert (row["spent_nano_usd"], row["overrun_nano_usd"]) == (42 * CENT, 2 * CENT)
        assert scene.alarms() == ["OVERRUN"]
        scene.set_cap(acme.budget_id, DOLLAR)
        await trio.sleep(1)
        assert (await scene.call(one, acme, CENT)).passed
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 43 * CENT

    tell(tmp_path, story)


def test_a_timeout_two_failed_attempts_and_a_fallback_are_four_calls(tmp_path: Path) -> None:
    """24. An attempt times out after it was sent, two fail unbilled, the fallback model answers.

    Each has its own hold and its own row. What timed out stays held, and is booked at its worst
    case as estimated, not below its bill; the unbilled ones cost nothing; the last is exact.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", DOLLAR)
        [one] = await scene.sidecars("one")
        ends = ["timeout", "fails", "fails", "less"]
        attempts = [
            await scene.call(one, acme, 10 * CENT, cost=4 * CENT, ends=end, lasts_ms=500)
            for end in ends
        ]
        await scene.at_rest()
        ledger = scene.ledger()
        booked = [ledger[attempt.call_id] for attempt in attempts]
        assert [(row["cost_nano_usd"], row["estimated"]) for row in booked] == [
            (10 * CENT, 1),
            (0, 0),
            (0, 0),
            (4 * CENT, 0),
        ]
        assert len(ledger) == 4
        assert scene.billed(acme.budget_id) == 8 * CENT
        assert scene.period(acme.budget_id)["spent_nano_usd"] == 14 * CENT

    tell(tmp_path, story)


def adjust(call_id: str, delta: int, vector: tuple[PeriodKey, ...], seq: int) -> Adjust:
    """Better evidence about a call, as a record of the journal."""
    return Adjust(seq, call_id, delta, "the bill", vector)


def test_a_refund_lowers_a_call_and_its_budgets_and_never_below_nothing(world: World) -> None:
    """24. Better evidence takes six cents off an estimate of ten; a second refund is too large.

    The call, the sums and each budget are lowered once; of the second only what is left is taken,
    with an alarm. The money that came free can be spent.
    """
    ref = world.budget("b", 10 * CENT)
    till = Till(world)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    till.answer(sidecar, call_id, 4 * CENT, ref)
    sidecar.settle(call_id, 10 * CENT)
    [vector] = [tuple(sidecar.leases)]
    sidecar.sync()
    for refund, spent in ((-6 * CENT, 4 * CENT), (-9 * CENT, 0)):
        sidecar.append(partial(adjust, call_id, refund, vector))
        sidecar.leases[vector[0]].spent = spent
        till.refund(call_id, spent, ref)
        sidecar.sync()
        world.check()
        assert world.period(ref)["spent_nano_usd"] == spent
    kinds = world.store.read(lambda tx: tx.rows("SELECT kind FROM alarm")).result()
    assert [row["kind"] for row in kinds] == ["BAD_RECORD"]
    sidecar.wait(6 * CENT, ref)
    sidecar.sync()
    assert till.serve(sidecar, 6 * CENT, ref) == 1
    sidecar.sync()
    assert till.kept(ref, 10 * CENT)
