"""Rate limits in front of the money: who waits, for what, and that nobody waits in vain."""

from collections import Counter
from pathlib import Path

import trio

from control_plane.core.rate_limits import Measure, RateLimit
from control_plane.usecases import rate_limits
from sidecar.core.refusals import Reason
from tests.simulation.network import Conditions
from tests.simulation.stories.scene import CENT, DOLLAR, Attempt, Scene, tell

FINAL = {Reason.EXHAUSTED, Reason.TOO_LARGE}
MODEL = "gpt-x"


def limit(scene: Scene, measure: Measure, window_ms: int, amount: int) -> None:
    """All clients share so much of this model's calls."""
    asked = RateLimit("", measure, window_ms, amount, model=MODEL)
    scene.simulation.headquarters.act(lambda tx, by: rate_limits.set_rate_limit(tx, asked, by))
    scene.simulation.policy_changed()


def test_a_crowd_at_a_cap_is_sent_away_by_nothing_but_the_cap(tmp_path: Path) -> None:
    """Two sidecars, of which one has nearly no share yet when the crowd comes.

    200 calls wait behind five requests a second there, so newcomers were told to come back in forty
    seconds, though a hundred were due: they came back to a budget that others had used up.
    """

    async def story(scene: Scene) -> None:
        limit(scene, Measure.REQUESTS, 1_000, 200)
        limit(scene, Measure.CALLS, 0, 150)
        acme = scene.client("Acme Dental", DOLLAR)
        hosts = await scene.sidecars("one", "two")
        scene.simulation.network.become(Conditions(delay_s=0.3))
        crowd = trio.Semaphore(400)

        async def call(number: int) -> Attempt:
            async with crowd:
                return await scene.call(hosts[number % 2], acme, 4 * CENT, cost=CENT, lasts_ms=300)

        attempts = await scene.all_at_once(*(call(number) for number in range(500)))
        assert {attempt.reason for attempt in attempts if not attempt.passed} <= FINAL
        ends = Counter(attempt.ended_ms for attempt in attempts if not attempt.passed)
        assert max(ends) - min(ends) < 2_000, "all are told as soon as the money is gone"
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 97 * CENT

    tell(tmp_path, story)


def test_the_last_call_gets_a_share_that_others_hold(tmp_path: Path) -> None:
    """Nobody else calls, so nothing but the waiting call itself lets its sidecar ask again."""

    async def story(scene: Scene) -> None:
        limit(scene, Measure.CALLS, 0, 1)
        acme = scene.client("Acme Dental", DOLLAR)
        one, two = await scene.sidecars("one", "two")
        for host in (one, two, one, two):  # Whose the unit is that nobody asks for goes by turns.
            await trio.sleep(15)
            attempt = await scene.call(host, acme)
            assert attempt.passed
            assert attempt.waited_ms < 6_000
        await scene.at_rest()

    tell(tmp_path, story)
