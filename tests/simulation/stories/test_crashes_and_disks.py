"""Processes are killed and disks fail: what was let out is charged once, and never too low."""

from pathlib import Path

import trio

from sidecar.core.refusals import Reason
from tests.simulation.stories.scene import CENT, DOLLAR, Scene, tell


def test_killed_after_open_and_before_the_first_byte(tmp_path: Path) -> None:
    """4. A process is killed when a call's OPEN is durable and nothing has been sent.

    Nobody can know that: the next process charges the worst case, once and marked as estimated.
    It goes on from its leases, though the control plane is away.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        scene.headquarters_away()
        one.armed = ("call opened", False)
        died = await scene.call(one, acme, 10 * CENT)
        assert not died.passed
        assert died.reason is None
        await trio.sleep(1)
        await scene.ready(one)
        assert (await scene.call(one, acme, 10 * CENT)).passed
        scene.headquarters_back()
        await scene.at_rest()
        lost = [row for row in scene.ledger().values() if row["outcome"] == "lost"]
        assert [(row["cost_nano_usd"], row["estimated"]) for row in lost] == [(10 * CENT, 1)]
        assert len(scene.ledger()) == 5
        assert scene.billed(acme.budget_id) == 40 * CENT
        assert scene.period(acme.budget_id)["spent_nano_usd"] == 50 * CENT

    tell(tmp_path, story)


def test_killed_in_the_middle_of_a_stream_while_the_control_plane_is_away(tmp_path: Path) -> None:
    """5. Twenty streams are open, the control plane is away, and the process is killed.

    The provider bills them all. The next process starts offline; the ledger later has each once,
    as estimated, and not below its bill. (With real processes and a real provider:
    tests/e2e/test_outages.py.)
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        for number in range(20):
            scene.begin(scene.call(one, acme, 10 * CENT, cost=number * CENT // 2, lasts_ms=5_000))
        await scene.until(lambda: len(scene.sent(one)) == 23)
        scene.headquarters_away()
        await trio.sleep(1)
        scene.simulation.kill(one)
        await trio.sleep(30)
        await scene.ready(one)
        scene.headquarters_back()
        await scene.at_rest()
        ledger = scene.ledger()
        assert len(ledger) == 23
        lost = [row for row in ledger.values() if row["outcome"] == "lost"]
        assert len(lost) == 20
        assert all(row["estimated"] and row["cost_nano_usd"] == 10 * CENT for row in lost)
        assert scene.billed(acme.budget_id) < scene.period(acme.budget_id)["spent_nano_usd"]

    tell(tmp_path, story)


def test_one_failed_fsync_stops_the_whole_group_and_is_never_trusted_again(tmp_path: Path) -> None:
    """8. The disk reports an error once, for a group of five OPENs, and is well again.

    None of the five goes out. Nothing goes out on that journal any more, though later writes
    would succeed; the next process looks at what is truly there, and goes on.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        one.disk.fail_sync = True
        sent = len(scene.sent(one))
        group = await scene.all_at_once(*[scene.call(one, acme, 10 * CENT) for _ in range(5)])
        assert {attempt.reason for attempt in group} == {Reason.JOURNAL_FAILED}
        assert not one.disk.fail_sync
        assert (await scene.call(one, acme)).reason is Reason.JOURNAL_FAILED
        assert len(scene.sent(one)) == sent
        scene.simulation.kill(one)
        await trio.sleep(1)
        await scene.ready(one)
        assert (await scene.call(one, acme)).passed
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 31 * CENT
        # What of the group is on the disk after all was never sent, but nobody knows that.
        lost = [row for row in scene.ledger().values() if row["outcome"] == "lost"]
        assert len(lost) <= 5
        assert all(row["estimated"] for row in lost)

    tell(tmp_path, story)


def test_a_full_disk_lets_fifty_open_streams_settle_and_no_new_call_out(tmp_path: Path) -> None:
    """9. The disk is full with fifty streams open.

    All fifty settle, exactly, into the room that was kept for them; new calls are refused until
    there is room again.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 300 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        for number in range(50):
            scene.begin(scene.call(one, acme, 10 * CENT, cost=number * CENT // 10, lasts_ms=4_000))
        await scene.until(lambda: len(scene.sent(one)) == 53)
        one.disk.full = True
        scene.simulation.count("disk full")
        await trio.sleep(5)
        assert (await scene.call(one, acme)).reason is Reason.DISK_FULL
        assert len(scene.sent(one)) == 53
        await trio.sleep(5)
        ledger = scene.ledger()
        assert len(ledger) == 53
        assert not any(row["estimated"] for row in ledger.values())
        assert sum(row["cost_nano_usd"] for row in ledger.values()) == scene.billed(acme.budget_id)
        one.disk.make_room()
        await trio.sleep(30)
        assert (await scene.call(one, acme)).passed
        await scene.at_rest()

    tell(tmp_path, story)
