"""Clocks go wrong and hosts are cut off: authority ends on time, and money never moves by it."""

from pathlib import Path

import pytest
import trio

from sidecar.core.refusals import Reason
from tests.simulation.host import SimulatedHost
from tests.simulation.stories.scene import CENT, DOLLAR, HOUR_MS, Client, Scene, tell

OFFLINE_MS = 60_000


async def calls_until(scene: Scene, host: SimulatedHost, client: Client, end_ms: int) -> None:
    """A call every second, until an instant of the story."""
    while scene.now_ms < end_ms:
        await scene.call(host, client, lasts_ms=20)
        await trio.sleep(1)


def test_after_ten_minutes_asleep_nothing_opens_before_an_answer(tmp_path: Path) -> None:
    """12. A laptop is closed for ten minutes; its boot clock runs on meanwhile.

    Awake again but cut off, it refuses: its authority is over. With the next answer it goes on.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.calls(3, one, acme)
        one.freeze()
        await trio.sleep(600)
        scene.cut(one)
        one.thaw()
        assert (await scene.call(one, acme)).reason is Reason.UNREACHABLE
        scene.mend()
        await trio.sleep(3)
        assert (await scene.call(one, acme)).passed
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 4 * CENT

    tell(tmp_path, story)


def test_a_paused_virtual_machine_asks_before_it_opens_anything(tmp_path: Path) -> None:
    """12. A virtual machine stops for ten minutes, and its boot clock with it.

    By that clock it still has authority. The two clocks disagree, so it syncs before the next
    OPEN: cut off, it lets nothing out.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.calls(3, one, acme)
        await trio.sleep(1)
        one.freeze()
        one.clock.pause()
        await trio.sleep(600)
        scene.cut(one)
        one.clock.resume()
        one.thaw()
        assert scene.lease(one, acme.budget_id).usable(one.clock.now().boot_ms)
        assert (await scene.call(one, acme)).reason is Reason.UNREACHABLE
        scene.mend()
        assert (await scene.call(one, acme)).passed
        await scene.at_rest()

    tell(tmp_path, story)


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_a_wall_clock_that_is_set_wrong_by_an_hour_moves_no_money(
    tmp_path: Path, step_ms: int
) -> None:
    """12. Somebody sets the wall clock an hour ahead, or back, and right again later."""

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 20 * CENT)
        one, two = await scene.sidecars("one", "two")
        await scene.calls(4, one, acme)
        one.clock.step(step_ms)
        await scene.calls(4, one, acme)
        await scene.calls(4, two, acme)
        one.clock.correct()
        await trio.sleep(2)
        await scene.calls(4, one, acme)
        refused = [await scene.call(host, acme) for host in (one, two) * 4]
        assert [attempt.passed for attempt in refused] == [True] * 4 + [False] * 4
        assert {attempt.reason for attempt in refused[4:]} == {Reason.EXHAUSTED}
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 20 * CENT

    tell(tmp_path, story)


@pytest.mark.parametrize("rate_permille", [900, 1_000, 1_100])
def test_a_clock_that_runs_wrong_by_a_tenth_stops_within_what_was_announced(
    tmp_path: Path, rate_permille: int
) -> None:
    """12. The oscillator is wrong by a tenth, either way; the sidecar is cut off.

    Calls go on for about as long as its authority lasts, and stop before 1.25 x that + 1 s.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR, offline_ms=OFFLINE_MS)
        one = scene.simulation.add_sidecar("one", rate_permille=rate_permille)
        await scene.ready(one)
        await scene.warm_up(one, acme)
        cut_ms = scene.now_ms
        scene.cut(one)
        await calls_until(scene, one, acme, cut_ms + 2 * OFFLINE_MS)
        last_ms = scene.sent(one)[-1] - cut_ms
        assert last_ms <= OFFLINE_MS * 5 // 4 + 1_000
        assert last_ms >= OFFLINE_MS * 8 // 10
        await scene.at_rest()

    tell(tmp_path, story)


def test_cut_off_a_revoked_key_and_half_a_cap_bind_when_the_administrator_was_told(
    tmp_path: Path,
) -> None:
    """13. A sidecar is cut off for three times its authority; a key is revoked, a cap halved.

    It serves on until its authority ends and not after; the administrator saw one of two sidecars
    acknowledge, and a time by which it would be so, and it was. The other obeys at once.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 4 * DOLLAR, offline_ms=OFFLINE_MS)
        bolt = scene.client("Bolt Legal", 4 * DOLLAR, offline_ms=OFFLINE_MS)
        cut_off, near = await scene.sidecars("cut off", "near")
        for host in (cut_off, near):
            await scene.warm_up(host, acme, bolt)
        scene.cut(cut_off)
        cut_ms = scene.now_ms
        revoked, lowered = scene.revoke(acme), scene.set_cap(bolt.budget_id, 2 * DOLLAR)
        await trio.sleep(0.5)
        assert (await scene.call(near, acme)).reason is Reason.KEY_REVOKED
        async with trio.open_nursery() as nursery:
            for client in (acme, bolt):
                nursery.start_soon(calls_until, scene, cut_off, client, cut_ms + 3 * OFFLINE_MS)
        for reach in (revoked, lowered):
            assert (reach.sidecar_count, reach.acked_count) == (2, 0)
            guaranteed_ms = reach.guaranteed_unix_ms - scene.simulation.clock.start_unix_ms
            assert scene.sent(cut_off)[-1] < guaranteed_ms <= cut_ms + OFFLINE_MS * 5 // 4 + 1_000
        assert scene.sent(cut_off)[-1] > cut_ms + OFFLINE_MS * 3 // 4
        scene.mend()
        await trio.sleep(3)
        assert (await scene.call(cut_off, acme)).reason is Reason.KEY_REVOKED
        await scene.at_rest()
        assert scene.billed(bolt.budget_id) <= 2 * DOLLAR

    tell(tmp_path, story)


def test_a_sidecar_that_is_heard_but_hears_nothing_stops_on_time(tmp_path: Path) -> None:
    """14. For five minutes requests arrive and every answer is lost.

    What it reports is booked, once; its grants stop growing, as wants are levels; it stops when
    its authority ends; and afterwards the ledger is exact.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 50 * DOLLAR, offline_ms=OFFLINE_MS)
        [one] = await scene.sidecars("one")
        await scene.calls(10, one, acme, 2 * CENT)
        scene.deafen(one)
        deaf_ms = scene.now_ms
        await calls_until(scene, one, acme, deaf_ms + 100_000)
        granted = scene.period(acme.budget_id)["granted_total_nano_usd"]
        booked = len(scene.ledger())
        assert booked > 20
        assert len(scene.attempts) > booked
        assert scene.sent(one)[-1] <= deaf_ms + OFFLINE_MS * 5 // 4 + 1_000
        await calls_until(scene, one, acme, deaf_ms + 300_000)
        assert scene.period(acme.budget_id)["granted_total_nano_usd"] == granted < 10 * DOLLAR
        assert len(scene.ledger()) == booked
        await scene.at_rest()
        assert len(scene.ledger()) == len(scene.sent(one))

    tell(tmp_path, story)
