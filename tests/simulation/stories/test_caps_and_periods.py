"""Caps fall, months turn, last cents are spent: no cap is passed, and nobody is refused falsely."""

from pathlib import Path

import pytest
import trio

from sidecar.core.refusals import Reason
from tests.simulation.stories.scene import CENT, DOLLAR, HOUR_MS, MIDNIGHT, Scene, tell


def test_a_cap_falls_from_a_hundred_to_forty_with_ninety_out(tmp_path: Path) -> None:
    """19. Of a cap of $100 about $90 are allocated, $35 of it in flight; the cap is set to $40.

    Two of four sidecars are cut off meanwhile. Nothing is granted from then on; those who can be
    reached give back what they do not hold within a second; those who cannot stop by the time that
    was announced; a raise works later.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 100 * DOLLAR, offline_ms=15_000)
        hosts = await scene.sidecars("one", "two", "three", "four")
        for host in hosts:
            await scene.calls(3, host, acme, 150 * CENT)
        for host in hosts:
            for _ in range(3):
                scene.begin(scene.call(host, acme, 290 * CENT, lasts_ms=9_000))
        await trio.sleep(1)
        before = scene.period(acme.budget_id)
        assert before["allocated_nano_usd"] > 70 * DOLLAR
        scene.cut(*hosts[:2])
        reach = scene.set_cap(acme.budget_id, 40 * DOLLAR)
        await trio.sleep(1)
        held = {host.name: scene.lease(host, acme.budget_id) for host in hosts}
        for host in hosts[2:]:
            assert held[host.name].available_nano_usd == 0
        stranded = sum(
            held[host.name].available_nano_usd + held[host.name].held_nano_usd for host in hosts[:2]
        )
        in_flight = sum(held[host.name].held_nano_usd for host in hosts[2:])
        now = scene.period(acme.budget_id)
        assert now["allocated_nano_usd"] <= 18 * DOLLAR + stranded + in_flight
        assert now["granted_total_nano_usd"] == before["granted_total_nano_usd"]
        refused = await scene.all_at_once(*[scene.call(host, acme, DOLLAR) for host in hosts[2:]])
        assert not any(attempt.passed for attempt in refused)
        while scene.now_unix_ms <= reach.guaranteed_unix_ms:
            await scene.all_at_once(*[scene.call(host, acme, CENT) for host in hosts[:2]])
        sent = [len(scene.sent(host)) for host in hosts]
        await scene.all_at_once(*[scene.call(host, acme, CENT) for host in hosts[:2]])
        assert [len(scene.sent(host)) for host in hosts] == sent
        scene.mend()
        await trio.sleep(15)
        assert scene.billed(acme.budget_id) <= 100 * DOLLAR
        scene.set_cap(acme.budget_id, 100 * DOLLAR)
        await trio.sleep(1)
        assert (await scene.call(hosts[0], acme, DOLLAR)).passed
        await scene.at_rest()

    tell(tmp_path, story)


def test_a_day_turns_while_the_control_plane_is_down_for_half_an_hour(tmp_path: Path) -> None:
    """20a. The control plane is down from half an hour before a window turns.

    It may be away for a day. Calls cross the turn on the starter leases that were granted within
    the last hour; each is in exactly one period, and both caps are kept.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 20 * DOLLAR, window="day", offline_ms=24 * HOUR_MS)
        one, two = await scene.sidecars("one", "two")
        one.clock.step(5_000)
        two.clock.step(-5_000)
        for host in (one, two):
            await scene.calls(3, host, acme, 10 * CENT)
        await trio.sleep(60)
        scene.headquarters_away()
        await scene.asleep_for(28 * 60, one, two)
        for _ in range(40):
            await scene.all_at_once(*[scene.call(host, acme, 2 * CENT) for host in (one, two)])
            await trio.sleep(5)
        scene.headquarters_back()
        assert all(attempt.passed for attempt in scene.attempts)
        await scene.at_rest()
        [old, new] = [scene.period(acme.budget_id, day) for day in ("2026-11-23", "2026-11-24")]
        assert min(old["spent_nano_usd"], new["spent_nano_usd"]) > 30 * CENT
        assert old["spent_nano_usd"] == scene.billed(acme.budget_id, "2026-11-23")
        assert new["spent_nano_usd"] == scene.billed(acme.budget_id, "2026-11-24")
        charges = scene.rows("SELECT COUNT(*) AS n FROM charge")
        assert charges[0]["n"] == len(scene.attempts)

    tell(tmp_path, story, start_unix_ms=MIDNIGHT - 31 * 60_000)


def test_a_day_turns_while_the_control_plane_is_down_for_two_hours(tmp_path: Path) -> None:
    """20b. The control plane is down from two hours before the turn: there is no starter lease.

    Calls stop at the boundary as unreachable. What was in flight then is told two days later, and
    booked on the period that it was opened on.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 20 * DOLLAR, window="day", offline_ms=24 * HOUR_MS)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        scene.headquarters_away()
        await scene.asleep_for(2 * HOUR_MS / 1_000 - 25, one)
        for _ in range(5):
            scene.begin(scene.call(one, acme, 10 * CENT, cost=CENT, lasts_ms=60_000))
        await trio.sleep(1)
        assert len(scene.sent(one)) == 8
        await trio.sleep(30)
        late = await scene.call(one, acme, CENT)
        assert late.reason is Reason.UNREACHABLE
        await trio.sleep(60)
        await scene.asleep_for(48 * HOUR_MS / 1_000, one)
        scene.headquarters_back()
        scene.simulation.headquarters.keep_house()
        await scene.at_rest()
        row = scene.period(acme.budget_id, "2026-11-23")
        assert row["spent_nano_usd"] == scene.billed(acme.budget_id) == 35 * CENT
        assert {each["period_id"] for each in scene.rows("SELECT period_id FROM charge")} == {
            "2026-11-23"
        }

    tell(tmp_path, story, start_unix_ms=MIDNIGHT - 2 * HOUR_MS)


def test_the_last_cents_go_to_exactly_the_calls_that_fit(tmp_path: Path) -> None:
    """21. Fifty sidecars want a call of ten cents each, which costs four; thirty cents are left.

    At any time three fit, and what they do not use lets others in: exactly six are paid, nobody
    is refused while there is money for the call, and less than a call is left.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * CENT)
        hosts = await scene.sidecars(*[f"host-{number}" for number in range(50)])
        attempts = await scene.all_at_once(
            *[scene.call(host, acme, 10 * CENT, cost=4 * CENT) for host in hosts]
        )
        assert sum(attempt.passed for attempt in attempts) == 6
        assert {each.reason for each in attempts if not each.passed} == {Reason.EXHAUSTED}
        last_ms = max(each.ended_ms for each in attempts if each.passed)
        first_refused_ms = min(each.ended_ms for each in attempts if not each.passed)
        assert first_refused_ms > last_ms
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 24 * CENT

    tell(tmp_path, story)


@pytest.mark.parametrize("crossing_s", [-0.15, 0.0, 0.15, 2.0])
def test_a_budget_turns_while_calls_wait_and_between_grant_and_open(
    tmp_path: Path, crossing_s: float
) -> None:
    """32. A daily budget turns while calls wait for its last money, or are just being granted it.

    Old money opens nothing in the new day. The waiting calls keep their place and are paid from
    the new one, and each is charged to the period that it was opened on.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 50 * CENT, window="day")
        one, two = await scene.sidecars("one", "two")
        scene.begin(scene.call(one, acme, 50 * CENT, cost=10 * CENT, lasts_ms=8_000))
        await trio.sleep(5 - 2 + crossing_s)
        waiting = await scene.all_at_once(
            *[scene.call(host, acme, 20 * CENT, cost=5 * CENT) for host in (one, two) for _ in "ab"]
        )
        assert all(attempt.passed for attempt in waiting)
        assert max(attempt.waited_ms for attempt in waiting) < 4_000
        await scene.at_rest()
        for day in ("2026-11-23", "2026-11-24"):
            row = scene.period(acme.budget_id, day)
            assert row["spent_nano_usd"] == scene.billed(acme.budget_id, day) <= 50 * CENT
        assert scene.billed(acme.budget_id, "2026-11-24") == 20 * CENT

    tell(tmp_path, story, start_unix_ms=MIDNIGHT - 5_000)
