"""What a sidecar can do alone, and for how long."""

from pathlib import Path

import trio

from sidecar.core.refusals import Reason
from tests.simulation.stories.scene import CENT, DOLLAR, Scene, tell


def test_after_a_quiet_minute_calls_go_on_alone_also_through_a_restart(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 50 * DOLLAR)
        scene.budget(100 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.calls(3, one, acme)
        await trio.sleep(60)
        scene.cut(one)
        alone = await scene.calls(5, one, acme)
        scene.simulation.kill(one)
        await scene.ready(one)
        alone += await scene.calls(5, one, acme)
        assert all(attempt.passed for attempt in alone)
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 13 * CENT

    tell(tmp_path, story)


def test_alone_calls_end_with_the_authority_and_go_on_with_the_next_answer(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 50 * DOLLAR)
        scene.budget(100 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.calls(3, one, acme)
        await trio.sleep(2)
        scene.cut(one)
        await trio.sleep(280)
        assert (await scene.call(one, acme)).passed
        await trio.sleep(30)
        assert (await scene.call(one, acme)).reason is Reason.UNREACHABLE
        scene.mend()
        await trio.sleep(3)
        assert (await scene.call(one, acme)).passed
        await scene.at_rest()

    tell(tmp_path, story)


def test_a_clean_end_strands_nothing(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 50 * DOLLAR)
        scene.budget(100 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.calls(3, one, acme)
        await scene.life(one).link.drain()
        left = "SELECT SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd) AS n FROM lease"
        assert scene.rows(left)[0]["n"] == 0
        allocated = "SELECT SUM(allocated_nano_usd) AS n FROM period"
        assert scene.rows(allocated)[0]["n"] == 6 * CENT

    tell(tmp_path, story)


def test_idle_money_comes_back_near_the_cap(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", DOLLAR)
        scene.budget(100 * DOLLAR)
        one, two = await scene.sidecars("one", "two")
        await scene.calls(92, one, acme)
        await trio.sleep(25)
        # What "one" held is worth nothing there any more; "two" can use the last cent.
        assert all(attempt.passed for attempt in await scene.calls(8, two, acme))
        assert scene.billed(acme.budget_id) == DOLLAR
        assert (await scene.call(one, acme)).reason is Reason.EXHAUSTED
        await scene.at_rest()

    tell(tmp_path, story)
