"""A database loses what it knew last: it finds that out by itself, and grants nothing twice."""

from pathlib import Path

import trio

from control_plane.store import installation
from control_plane.usecases import learning
from sidecar.core.refusals import Reason
from tests.simulation.stories.scene import CENT, DOLLAR, Scene, tell


def is_learning(scene: Scene) -> bool:
    return scene.simulation.headquarters.read(installation.get).learning


async def put_back(scene: Scene, copy: Path) -> None:
    """The database is lost, and an old copy serves in its place."""
    scene.simulation.restore_database(copy, len(scene.simulation.promises))
    if not scene.simulation.headquarters.up:
        scene.headquarters_back()
    await trio.sleep(0.05)


def test_a_fail_over_that_loses_the_last_transactions_grants_nothing_twice(tmp_path: Path) -> None:
    """17. A copy that lacks the last grants, of nearly the whole cap, takes over; nobody tells it.

    It learns by itself before it grants a cent. The sidecar that has those grants goes on from
    them meanwhile. When both have spoken, the rest of the cap is granted, and no more.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 4 * DOLLAR)
        one, two = await scene.sidecars("one", "two")
        await scene.calls(2, two, acme, CENT)
        await trio.sleep(2)
        copy = scene.simulation.headquarters.backup()
        for cost in (60 * CENT, 40 * CENT, 30 * CENT):
            assert (await scene.call(one, acme, 90 * CENT, cost=cost)).passed
            await trio.sleep(1)
        held = scene.lease(one, acme.budget_id)
        scene.cut(one)
        await put_back(scene, copy)
        assert is_learning(scene)
        refused = await scene.call(two, acme, 3 * DOLLAR)
        assert not refused.passed
        assert is_learning(scene)
        if held.available_nano_usd >= CENT:
            assert (await scene.call(one, acme, CENT)).passed
        scene.mend()
        await scene.until(lambda: not is_learning(scene))
        for worst in (DOLLAR, 50 * CENT, 20 * CENT, 10 * CENT, 5 * CENT) * 3:
            await scene.call(two, acme, worst)
        await scene.at_rest()
        # One step of the watermark, a twentieth of the cap, stays held for what nobody showed.
        assert 370 * CENT < scene.billed(acme.budget_id) <= 4 * DOLLAR
        assert scene.alarms() == ["OLD_DATABASE"]

    tell(tmp_path, story)


def test_a_backup_of_an_hour_ago_with_one_sidecar_gone_one_silent_one_new(tmp_path: Path) -> None:
    """18. A backup of an hour ago is put back: one sidecar is gone for good, one silent, one new.

    Nothing is granted until a person names those that nobody need wait for. What the gone one may
    hold stays out of the budget, bound by the watermark: the bill of all of them stays within the
    cap, and most of what is left can be used.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 10 * DOLLAR)
        gone, silent = await scene.sidecars("gone", "silent")
        await scene.calls(2, silent, acme, 10 * CENT)
        await trio.sleep(2)
        copy = scene.simulation.headquarters.backup()
        await scene.asleep_for(3_600, gone, silent)
        await scene.calls(3, gone, acme, 50 * CENT)
        await scene.calls(2, silent, acme, 30 * CENT)
        scene.cut(gone, silent)
        await scene.call(gone, acme, 40 * CENT)
        scene.life(gone).kill()
        gone.revoked = True  # nobody starts it again
        await put_back(scene, copy)
        [new] = await scene.sidecars("new")
        assert is_learning(scene)
        assert not (await scene.call(new, acme, 5 * DOLLAR)).passed
        assert (await scene.call(silent, acme, 20 * CENT)).passed
        scene.mend()
        await trio.sleep(15)
        assert is_learning(scene)
        scene.simulation.headquarters.do(lambda tx: learning.excuse(tx, [gone.sidecar_id]))
        await scene.until(lambda: not is_learning(scene))
        for worst in (2 * DOLLAR, DOLLAR, 50 * CENT, 20 * CENT, 10 * CENT, 2 * CENT) * 4:
            await scene.call(new, acme, worst)
        late = await scene.call(new, acme, 5 * DOLLAR)
        assert late.reason in (Reason.EXHAUSTED, Reason.TOO_LARGE)
        await scene.at_rest()
        assert 6 * DOLLAR < scene.billed(acme.budget_id) <= 10 * DOLLAR

    tell(tmp_path, story)


def test_a_cap_that_the_copy_forgot_refuses_no_call(tmp_path: Path) -> None:
    """17. The last transaction set a cap to nothing, and the copy that takes over has the old cap.

    What a sidecar heard about the newer cap is void with it: the call is made.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 2 * DOLLAR)
        [one] = await scene.sidecars("one")
        copy = scene.simulation.headquarters.backup()
        scene.set_cap(acme.budget_id, 0)
        await trio.sleep(1)
        assert (await scene.call(one, acme, CENT)).reason is Reason.EXHAUSTED
        await put_back(scene, copy)
        await scene.until(lambda: not is_learning(scene))
        assert (await scene.call(one, acme, DOLLAR)).passed
        await scene.at_rest()

    tell(tmp_path, story)
