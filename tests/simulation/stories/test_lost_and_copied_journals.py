"""Journals are lost, turn up again, or live twice: the money stays counted, and is counted once."""

import random
from pathlib import Path

import trio

from sidecar.core.refusals import Reason
from sidecar.runtime.journal_file import Batch, JournalFile
from tests.simulation.disk import NAME, Disk
from tests.simulation.host import Life, SimulatedHost
from tests.simulation.stories.scene import CENT, DOLLAR, HOUR_MS, MIDNIGHT, Scene, tell


def copied(scene: Scene, host: SimulatedHost, name: str) -> Disk:
    """A copy of a host's disk, as it is at this moment."""
    folder = scene.simulation.folder / name
    host.disk.copy_to(folder)
    return Disk(folder, random.Random(name), scene.simulation.count)


def forked(scene: Scene, host: SimulatedHost) -> Disk:
    """A copy on which a second process may live; from now on the two may tell different things."""
    disk = copied(scene, host, "clone")
    host.disk.journal.forked = True
    disk.journal = host.disk.journal
    scene.simulation.count("cloned journal")
    for (_, _, key), (granted, returned, spent) in scene.simulation.books.leases.items():
        scene.simulation.books.slack[key] = granted - returned - spent
    return disk


def pass_for_the_original(disk: Disk, original: Disk) -> None:
    """Where a machine is cloned whole, nothing tells the copied file from the first one."""
    found = (disk.folder / NAME).stat()
    file, _ = JournalFile.open(disk.folder)
    file.write(Batch(meta={"file_id": f"{found.st_dev}:{found.st_ino}"}))
    file.close()
    disk.authority_ms = dict(original.authority_ms)


def begin(scene: Scene, host: SimulatedHost, disk: Disk) -> Life:
    """A second process of a host's sidecar, on another disk."""
    life = host.begin(disk)
    scene.simulation.nursery.start_soon(scene.simulation.run_process, life)
    return life


def lumps(scene: Scene) -> int:
    """What is charged for journals that were lost."""
    rows = scene.rows(
        "SELECT amount_nano_usd FROM charge WHERE kind = 'ORPHAN' AND period_id = '2026-11-23'"
    )
    return sum(row["amount_nano_usd"] for row in rows)


def test_a_wiped_disk_whose_old_one_returns_after_the_period_closed(tmp_path: Path) -> None:
    """10. A disk is wiped with calls on it that nobody was told of; two days later it turns up.

    Meanwhile another sidecar spends the rest of the day's cap: what the lost journal may have spent
    stays out of it. When the day is closed that is charged as a lump. The old journal's records
    take the place of as much of the lump: the sum is never doubled and never above the cap, and the
    calls are exact. What is left of the lump stays an estimate, until a person releases it.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 3 * DOLLAR, window="day")
        one, two = await scene.sidecars("one", "two")
        await scene.warm_up(one, acme)
        scene.cut(one)
        untold = [await scene.call(one, acme, 10 * CENT, cost=7 * CENT) for _ in range(4)]
        assert all(attempt.passed for attempt in untold)
        await trio.sleep(0.1)
        scene.life(one).kill()
        old, old_journal = copied(scene, one, "old-disk"), one.disk.journal
        one.disk.wipe()
        old.journal = old_journal
        scene.simulation.count("journal wiped")
        scene.mend()
        scene.simulation.revive(one)
        await scene.ready(one)
        await trio.sleep(1)
        assert scene.alarms() == ["JOURNAL_LOST"]
        assert scene.period(acme.budget_id)["orphan_hold_nano_usd"] >= 28 * CENT
        while (await scene.call(two, acme, 10 * CENT)).passed:
            assert scene.billed(acme.budget_id) <= 3 * DOLLAR
        assert scene.attempts[-1].reason is Reason.EXHAUSTED
        assert scene.billed(acme.budget_id) > 150 * CENT
        await scene.asleep_for(50 * HOUR_MS / 1_000, one, two)
        for _ in range(3):
            scene.simulation.headquarters.keep_house()
            await trio.sleep(60)
        day = scene.period(acme.budget_id, "2026-11-23")
        assert day["state"] == "CLOSED"
        assert scene.billed(acme.budget_id) <= day["spent_nano_usd"] <= 3 * DOLLAR
        before, closed = lumps(scene), day["spent_nano_usd"]
        assert before >= 28 * CENT
        scene.simulation.count("old disk returned")
        begin(scene, one, old)
        for _ in range(20):
            await trio.sleep(0.5)
            day = scene.period(acme.budget_id, "2026-11-23")
            assert scene.billed(acme.budget_id) <= day["spent_nano_usd"] <= 3 * DOLLAR
        old.journal.lost = False
        assert day["spent_nano_usd"] == closed
        assert lumps(scene) == before - 28 * CENT
        assert day["spent_nano_usd"] - lumps(scene) == scene.billed(acme.budget_id)
        assert {attempt.call_id for attempt in untold} <= set(scene.ledger())
        one.lives[-1].kill()
        await scene.at_rest()

    tell(tmp_path, story, start_unix_ms=MIDNIGHT - HOUR_MS)


def test_a_copied_journal_lets_nothing_out_before_it_was_heard(tmp_path: Path) -> None:
    """11. Somebody copies the folder of a sidecar and starts a second process on it, cut off.

    The copy is a file of its own, and that is seen: it asks before it opens anything. So nothing is
    spent twice, while the first goes on from its lease.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 20 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        disk = forked(scene, one)
        scene.cut(one)
        first, clone = scene.life(one), begin(scene, one, disk)
        await clone.ready.wait()
        one.life = clone
        assert (await scene.call(one, acme, 10 * CENT)).reason is Reason.UNREACHABLE
        one.life = first
        assert (await scene.call(one, acme, 10 * CENT)).passed
        clone.kill()
        await scene.at_rest()
        assert len(scene.ledger()) == 4

    tell(tmp_path, story)


def test_a_cloned_machine_is_found_at_its_first_report(tmp_path: Path) -> None:
    """11. A machine is cloned whole; both are cut off, and both spend the same lease.

    At the first report of the second the fork is found: one of them is fenced, with an alarm, and
    no more goes out there. Together they spent the lease at most twice, which is documented and
    told; the calls of both are in the ledger.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 20 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        disk = forked(scene, one)
        pass_for_the_original(disk, one.disk)
        available = scene.lease(one, acme.budget_id).available_nano_usd
        scene.cut(one)
        first, clone = scene.life(one), begin(scene, one, disk)
        await clone.ready.wait()
        before = scene.billed(acme.budget_id)
        for life in (first, clone):
            one.life = life
            while (await scene.call(one, acme, 10 * CENT)).passed:
                pass
        twice = scene.billed(acme.budget_id) - before
        assert available < twice <= 2 * available
        scene.mend()
        await trio.sleep(12)
        assert "FENCED" in scene.alarms()
        passed = 0
        for life in (first, clone):
            one.life = life
            passed += (await scene.call(one, acme, CENT)).passed
        one.life = first
        assert passed <= 1
        clone.kill()
        await scene.at_rest()
        assert set(scene.simulation.provider.calls) <= set(scene.ledger())

    tell(tmp_path, story)
