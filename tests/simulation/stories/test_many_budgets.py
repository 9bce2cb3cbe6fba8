"""Calls of several budgets at several sidecars: no deadlock, no starvation, no false refusal."""

import random
from pathlib import Path

import trio

from sidecar.core.refusals import Reason
from tests.simulation.stories.scene import CENT, DOLLAR, Attempt, Scene, tell

FINAL = {Reason.EXHAUSTED, Reason.TOO_LARGE}


def test_two_sidecars_that_hold_each_others_last_money_both_pass(tmp_path: Path) -> None:
    """26. One sidecar holds the agency's last money, another the client's; each wants both.

    (With real processes: tests/e2e/test_outages.py.)
    """

    async def story(scene: Scene) -> None:
        acme, bolt = scene.client("Acme Dental", 40 * CENT), scene.client("Bolt Legal", 60 * CENT)
        agency = scene.budget(60 * CENT)
        one, two = await scene.sidecars("one", "two")
        first = [
            scene.call(one, bolt, 30 * CENT, cost=CENT, lasts_ms=1_000),
            scene.call(two, acme, 30 * CENT, cost=CENT, lasts_ms=1_500),
        ]
        crossed = [
            scene.call(host, client, 30 * CENT, cost=CENT, lasts_ms=300)
            for host in (one, two)
            for client in (acme, bolt)
        ]
        attempts = await scene.all_at_once(*first, *crossed)
        assert all(attempt.passed for attempt in attempts)
        assert max(attempt.waited_ms for attempt in attempts) < 10_000
        await scene.at_rest()
        assert scene.billed(agency) == 6 * CENT

    tell(tmp_path, story)


def test_six_budgets_and_random_sets_are_spent_to_their_last_cents(tmp_path: Path) -> None:
    """27. Six budgets; calls of two clients match from two to four of them; three sidecars.

    No cap is passed, every call is paid or finally refused, and none is refused as exhausted or
    too large while each of its budgets could truly have paid it.
    """
    chance = random.Random(27)

    async def story(scene: Scene) -> None:
        acme, bolt = scene.client("Acme Dental", 3 * DOLLAR), scene.client("Bolt Legal", 2 * DOLLAR)
        caps = {
            acme.budget_id: 3 * DOLLAR,
            bolt.budget_id: 2 * DOLLAR,
            scene.budget(4 * DOLLAR): 4 * DOLLAR,
            scene.budget(3 * DOLLAR, window="day"): 3 * DOLLAR,
            scene.budget(DOLLAR, of=acme, workflow="mail"): DOLLAR,
            scene.budget(DOLLAR, workflow="leads"): DOLLAR,
        }
        hosts = await scene.sidecars("one", "two", "three")
        wrongly: list[Attempt] = []

        async def judged(worst: int) -> None:
            client = chance.choice([acme, acme, bolt])
            workflow = chance.choice(["", "mail", "leads"])
            cost = chance.randint(0, worst)
            attempt = await scene.call(
                chance.choice(hosts), client, worst, cost=cost, lasts_ms=100, workflow=workflow
            )
            if attempt.refusal is not None:
                assert attempt.reason in FINAL
                named = [each.budget_id for each in attempt.refusal.shortages]
                left = min(caps[each] - scene.billed(each) for each in named)
                if left >= worst:
                    wrongly.append(attempt)

        async with trio.open_nursery() as nursery:
            for _ in range(120):
                nursery.start_soon(judged, chance.choice([CENT, 2 * CENT, 5 * CENT, 20 * CENT]))
                await trio.sleep(chance.expovariate(15))
        assert wrongly == []
        await scene.at_rest()
        for budget_id, cap in caps.items():
            assert scene.billed(budget_id) <= cap
        tightest = min(cap - scene.billed(budget_id) for budget_id, cap in caps.items())
        assert tightest < 5 * CENT

    tell(tmp_path, story)


def test_a_large_call_gets_its_turn_under_more_small_ones_than_fit(tmp_path: Path) -> None:
    """28. Small calls alone would hold 105 % of a cap at any time, and a large one wants 60 %.

    It is passed by small ones for half its patience, then money is kept for it: it gets through
    within its patience, and the small ones go on.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", DOLLAR)
        hosts = await scene.sidecars("one", "two")
        over = trio.Event()

        async def small() -> None:
            while not over.is_set():
                host = hosts[len(scene.attempts) % 2]
                scene.begin(scene.call(host, acme, 15 * CENT, cost=1_000, lasts_ms=1_000))
                await trio.sleep(1 / 7)  # 7 a second, of a second and 15 cents each: $1.05

        async with trio.open_nursery() as nursery:
            nursery.start_soon(small)
            await trio.sleep(2)
            large = await scene.call(hosts[0], acme, 60 * CENT, cost=CENT, lasts_ms=1_000)
            assert large.passed
            assert large.waited_ms < 20_000
            before = len(scene.sent(hosts[0])) + len(scene.sent(hosts[1]))
            await trio.sleep(3)
            over.set()
        assert len(scene.sent(hosts[0])) + len(scene.sent(hosts[1])) > before + 10
        await scene.at_rest()

    tell(tmp_path, story)


def test_one_client_that_is_used_up_does_not_delay_another(tmp_path: Path) -> None:
    """29. All of one client's money is held, and three hundred of its calls wait or are refused.

    The calls of another client on the same sidecar pass at once.
    """

    async def story(scene: Scene) -> None:
        acme, bolt = scene.client("Acme Dental", 10 * CENT), scene.client("Bolt Legal", DOLLAR)
        scene.budget(50 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.call(one, bolt)
        scene.begin(scene.call(one, acme, 10 * CENT, lasts_ms=4_000))
        await trio.sleep(0.5)
        crowd = len(scene.attempts)
        for _ in range(300):
            scene.begin(scene.call(one, acme, 2 * CENT))
        for _ in range(20):
            attempt = await scene.call(one, bolt)
            assert attempt.passed
            assert attempt.waited_ms <= 100
        await trio.sleep(6)
        used_up = [each for each in scene.attempts[crowd:] if not each.passed]
        assert len(used_up) == 300
        assert {each.reason for each in used_up} == {Reason.EXHAUSTED}
        late = await scene.call(one, acme)
        assert (late.reason, late.waited_ms) == (Reason.EXHAUSTED, 0)
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 10 * CENT

    tell(tmp_path, story)


def test_a_lost_answer_that_named_a_call_while_its_money_is_recalled(tmp_path: Path) -> None:
    """30. The answer that names a call of two budgets is lost, and a recall crosses it.

    Another sidecar wants nearly all of one of them. Both calls are paid in the end, once each,
    whichever comes first, and what was granted by the lost answer is not stranded.
    """

    async def story(scene: Scene) -> None:
        acme, bolt = scene.client("Acme Dental", DOLLAR), scene.client("Bolt Legal", DOLLAR)
        agency = scene.budget(DOLLAR)
        one, two = await scene.sidecars("one", "two")
        scene.deafen(one)
        scene.begin(scene.call(one, acme, 60 * CENT, cost=2 * CENT))
        served = scene.syncs(one)
        await scene.until(
            lambda: scene.syncs(one) > served and bool(scene.rows("SELECT 1 FROM lease"))
        )
        assert scene.period(agency)["allocated_nano_usd"] >= 60 * CENT
        assert scene.sent(one) == []
        scene.begin(scene.call(two, bolt, 90 * CENT, cost=3 * CENT))
        await trio.sleep(0.7)
        scene.mend()
        await trio.sleep(8)
        assert [attempt.passed for attempt in scene.attempts] == [True, True]
        await scene.at_rest()
        assert scene.billed(agency) == 5 * CENT
        allocated = scene.period(agency)["allocated_nano_usd"]
        assert (await scene.call(two, bolt, 95 * CENT, cost=CENT)).passed
        assert allocated <= DOLLAR
        await scene.at_rest()

    tell(tmp_path, story)


def test_a_sidecar_that_dies_with_the_oldest_demand_and_some_of_the_cap(tmp_path: Path) -> None:
    """33. A sidecar dies while its call is the oldest that waits, holding about 7 % of the cap.

    Its demand ends within a second, so nobody waits behind it. While it might still speak, a call
    that needs its money waits; once it is silent for longer than 30 s, such a call is refused as
    unreachable at once, naming it; what fits into the rest is paid all the time.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", DOLLAR)
        dying, other = await scene.sidecars("dying", "other")
        scene.begin(scene.call(dying, acme, 7 * CENT, lasts_ms=60_000))
        await trio.sleep(0.5)
        scene.begin(scene.call(other, acme, 60 * CENT, cost=CENT, lasts_ms=3_000))
        await trio.sleep(0.5)
        scene.begin(scene.call(dying, acme, 90 * CENT))
        await trio.sleep(1)
        scene.life(dying).kill()
        small = await scene.call(other, acme, 20 * CENT, cost=CENT)
        assert small.passed
        assert small.waited_ms < 3_000
        await trio.sleep(32)
        for worst, reason in ((95 * CENT, Reason.UNREACHABLE), (80 * CENT, None)):
            attempt = await scene.call(other, acme, worst, cost=CENT)
            assert attempt.reason is reason
            assert attempt.waited_ms < 2_000
            if attempt.refusal is not None:
                [short] = attempt.refusal.shortages
                assert short.silent_sidecar == "dying"
        scene.simulation.revive(dying)
        await scene.at_rest(60)
        assert scene.billed(acme.budget_id) == 10 * CENT

    tell(tmp_path, story)
