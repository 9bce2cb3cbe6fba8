"""Waiting calls are decided when money comes free elsewhere, and their sidecars are told of it."""

import pytest

from control_plane import limits
from control_plane.core.leases import BudgetRef, Holder
from control_plane.core.ledger import Charge
from control_plane.core.reports import Answer
from control_plane.core.rerating import corrected
from control_plane.store import corrections, ledger, sidecars
from control_plane.store.engine import Tx
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


@pytest.fixture
def crowded(world: World) -> tuple[BudgetRef, VirtualSidecar, VirtualSidecar, str]:
    """One holds the whole cap for a call; two waits for 40 cents of it."""
    ref = world.budget("b", USD)
    one, two = world.sidecar("one"), world.sidecar("two")
    first = one.wait(USD, ref)
    one.sync()
    two.wait(40 * CENT, ref)
    two.sync()
    watched(world, one, two)
    return ref, one, two, first


def watched(world: World, *streams: VirtualSidecar) -> None:
    """Let the processes that these sidecars have now hold a stream open each."""
    known = {(one.name, one.incarnation) for one in streams}
    world.watching = lambda *asked: asked in known


def settled(one: VirtualSidecar, call_id: str, cost: int) -> Answer:
    one.settle(call_id, cost)
    one.world.pass_ms(50)
    return one.sync()


Crowd = tuple[BudgetRef, VirtualSidecar, VirtualSidecar, str]


def test_money_that_comes_free_is_offered_to_the_call_that_waits_for_it(
    world: World, crowded: Crowd
) -> None:
    ref, one, two, first = crowded
    waiting = two.waiting[0].call_id
    (offer,) = settled(one, first, 20 * CENT).offers
    assert (offer.sidecar_id, offer.epoch, offer.named) == ("two", two.epoch, (waiting,))
    assert [grant.granted_nano_usd for grant in offer.leases] == [40 * CENT]
    assert ("two", "nudge") not in world.pushed
    # It was lost: the next Sync of the sidecar names the call, and grants nothing twice.
    answer = two.sync()
    assert answer.named == (waiting,)
    assert world.period(ref)["granted_total_nano_usd"] == 140 * CENT
    world.check()


def test_who_waits_with_a_call_that_nothing_can_pay_any_more_is_told_what_is_left(
    world: World, crowded: Crowd
) -> None:
    ref, one, _, first = crowded
    for _ in range(limits.UNHEARD_OFFERS_MAX):  # No money goes to it, so that nobody need wonder.
        world.levels.remember_offer("two", world.now)
    answer = settled(one, first, 70 * CENT)
    (left,) = answer.lefts
    assert (left.sidecar_ids, left.lease.budget_id) == (("two",), ref.budget_id)
    assert (left.generation, left.cap_version) == (1, 1)
    assert left.unspent_nano_usd == 30 * CENT
    assert answer.offers == ()
    again = one.sync()
    assert (again.lefts, again.offers) == ((), ())
    assert ("two", "nudge") not in world.pushed


def test_who_waits_for_what_nothing_can_pay_and_watches_by_no_stream_is_nudged(
    world: World, crowded: Crowd
) -> None:
    _, one, _, first = crowded
    watched(world, one)
    answer = settled(one, first, 70 * CENT)
    assert (answer.lefts, answer.offers) == ((), ())
    assert ("two", "nudge") in world.pushed


def test_whoever_uses_a_budget_is_told_by_steps_what_is_left_of_it(world: World) -> None:
    ref = world.budget("b", USD)
    one, two = world.sidecar("one"), world.sidecar("two")
    watched(world, one, two)
    for sidecar in (one, two):
        first = sidecar.wait(CENT, ref)
        sidecar.sync()
        sidecar.settle(first, CENT)
        sidecar.sync()
    told = []
    for _ in range(80):
        call_id = one.wait(CENT, ref)
        while call_id not in one.opened:
            one.sync()
        one.settle(call_id, CENT)
        world.pass_ms(300)
        told += [left.unspent_nano_usd // CENT for left in one.sync().lefts]
    # Below 32 calls of a cent, each time an eighth less than before.
    assert told[:4] == [32, 28, 24, 21]


@pytest.mark.parametrize("who", ["nobody", "another process", "another life", "fenced", "revoked"])
def test_no_money_goes_to_who_does_not_watch_or_may_hold_none(
    world: World, crowded: Crowd, who: str
) -> None:
    ref, one, two, first = crowded
    if who == "nobody":
        watched(world, one)
    elif who == "another process":
        # The stream of the one that died is still open: nothing that goes there is heard.
        two.register()
        two.sync()
    elif who == "another life":
        two.register(lost=True)
    else:
        fenced = "UPDATE sidecar SET state = 'FENCED' WHERE id = 'two'"
        revoked = "UPDATE sidecar SET revoked_unix_ms = 1 WHERE id = 'two'"
        world.do(lambda tx: tx.run(fenced if who == "fenced" else revoked))
    answer = settled(one, first, 20 * CENT)
    assert answer.offers == ()
    assert (("two", "nudge") in world.pushed) == (who in {"nobody", "another process"})
    assert world.period(ref)["granted_total_nano_usd"] == USD


def test_who_does_not_speak_is_offered_only_a_little(world: World, crowded: Crowd) -> None:
    _, one, _, first = crowded
    for _ in range(limits.UNHEARD_OFFERS_MAX):
        world.levels.remember_offer("two", world.now)
    assert settled(one, first, 20 * CENT).offers == ()
    assert ("two", "nudge") in world.pushed


def test_who_was_silent_since_its_first_offer_is_asked_before_it_is_sent_more(
    world: World, crowded: Crowd
) -> None:
    ref, one, _, first = crowded
    world.levels.remember_offer("two", world.now)
    world.pass_ms(limits.NUDGE_UNANSWERED_MS)
    assert settled(one, first, 20 * CENT).offers == ()
    assert ("two", "nudge") in world.pushed
    assert world.period(ref)["granted_total_nano_usd"] == USD


def test_who_holds_money_that_others_wait_for_hears_how_long_their_patience_lasts(
    world: World, crowded: Crowd
) -> None:
    ref, one, two, _ = crowded
    (told,) = one.sync().leases
    # So long at most: who comes meanwhile is not known.
    assert (told.short, told.patient_ms) == (True, limits.SYNC_INTERVAL_MS)
    hasty = two.wait(40 * CENT, ref, patience_ms=3_000)
    two.sync()
    world.pass_ms(500)
    (told,) = one.sync().leases
    assert told.patient_ms == 1_250  # Half of what is left: large calls need what several free.
    two.waiting = [call for call in two.waiting if call.call_id != hasty]
    two.sync()
    (told,) = one.sync().leases
    assert told.patient_ms == 9_750


def test_who_watches_need_not_ask_again_soon(world: World, crowded: Crowd) -> None:
    _, one, two, _ = crowded
    one.sync()
    assert two.sync().next_sync_ms == limits.SYNC_INTERVAL_MS
    world.pass_ms(limits.PATIENCE_DEFAULT_MS - limits.SYNC_INTERVAL_MS + 1)
    # Nor when its call gives up soon: whether its stream reaches it, it sees by the heartbeats.
    assert two.sync().next_sync_ms == limits.SYNC_INTERVAL_MS


@pytest.mark.parametrize("whose", ["nobody's", "that of its process that died"])
def test_who_waits_and_watches_by_no_stream_of_its_own_asks_again_soon(
    world: World, crowded: Crowd, whose: str
) -> None:
    _, one, two, _ = crowded
    one.sync()
    if whose == "nobody's":
        watched(world, one)
    else:
        two.register()
    assert two.sync().next_sync_ms == limits.SYNC_SOON_MS


def nudged(world: World, asker: VirtualSidecar) -> bool:
    """Whether the second sidecar is asked to come by what another one says."""
    world.pass_ms(limits.NUDGE_INTERVAL_MS)
    return "two" in asker.sync().nudges


def test_who_may_know_of_less_than_is_left_is_nudged_until_it_speaks(
    world: World, crowded: Crowd
) -> None:
    _, one, two, first = crowded
    two.waiting.clear()
    settled(one, first, 70 * CENT)
    key = two.sync().leases[0].lease
    assert not nudged(world, one), "what is left only fell"

    def take_back(tx: Tx) -> None:
        seq = sidecars.take_places_beside(tx, Holder("one", one.epoch), 1)
        charge = Charge(seq, key, "CORRECTION", first, -CENT, estimated=False)
        ledger.insert_charges(tx, Holder("one", one.epoch), [charge], world.now)
        corrections.move_period(tx, key, corrected(corrections.parts_of(tx, key), -CENT))

    world.do(take_back)
    assert nudged(world, one)
    assert nudged(world, one), "a nudge may be lost"
    assert two.sync().leases[0].unspent_nano_usd == 31 * CENT
    assert not nudged(world, one)


def test_a_raised_cap_nudges_nobody_who_hears_of_it_by_the_policy(
    world: World, crowded: Crowd
) -> None:
    ref, one, two, first = crowded
    two.waiting.clear()
    settled(one, first, 70 * CENT)
    two.sync()
    world.set_cap(ref, 2 * USD)
    assert not nudged(world, one)
