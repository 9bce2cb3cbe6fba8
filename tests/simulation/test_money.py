"""No cap leaks, no call is lost, and none is refused that could be paid: in any weather."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from sidecar.core.refusals import Reason, Refusal
from tests.simulation.host import SimulatedHost
from tests.simulation.network import Conditions
from tests.simulation.stories.scene import CENT, DOLLAR, Client, Scene, tell

FINAL = (Reason.EXHAUSTED, Reason.TOO_LARGE)


@dataclass(slots=True)
class Agency:
    """Three clients of an agency, and what was left for those of their calls that were refused."""

    scene: Scene
    budget_id: str
    clients: list[Client]
    caps: dict[str, int]
    """By budget."""
    refused: list[tuple[Refusal, int, int]] = field(default_factory=list)
    """With the worst case of the call, and what its budgets truly had left for it then."""

    async def call(
        self, host: SimulatedHost, client: Client, worst: int, cost: int, lasts_ms: int
    ) -> None:
        """One call, if a process is there."""
        life = host.life
        if life is None or life.dead or not life.ready.is_set():
            return
        attempt = await self.scene.call(host, client, worst, cost=cost, lasts_ms=lasts_ms)
        if attempt.refusal is not None:
            budgets = (client.budget_id, self.budget_id)
            left = min(self.caps[each] - self.taken(each) for each in budgets)
            self.refused.append((attempt.refusal, worst, left))

    def taken(self, budget_id: str) -> int:
        """What was billed for a budget, and what calls under way may cost yet."""
        truth = self.scene.simulation.provider.truth
        return sum(amount for key, amount in truth.items() if key.budget_id == budget_id)


async def played(
    scene: Scene, seed: int, *, calls: int, sidecars: int, agency: int, client: int, storm: bool
) -> Agency:
    """Random calls of three clients over some sidecars, in good or bad weather, to rest.

    At rest each call is in the ledger once and nothing is held, or the story fails.
    """
    chance, simulation = random.Random(seed), scene.simulation
    clients = [scene.client(name, client) for name in ("Acme Dental", "Beta Legal", "Gamma Foods")]
    budget_id = scene.budget(agency)
    caps = {budget_id: agency} | {each.budget_id: client for each in clients}
    told = Agency(scene, budget_id, clients, caps)
    hosts = await scene.sidecars(*(f"sidecar-{number}" for number in range(sidecars)))
    async with trio.open_nursery() as work:
        for _ in range(calls):
            await trio.sleep(chance.expovariate(20))
            worst = chance.choice([CENT, 2 * CENT, 4 * CENT, 16 * CENT])
            cost, lasts_ms = chance.randint(0, worst), chance.randint(50, 3_000)
            host, who = chance.choice(hosts), chance.choice(clients)
            work.start_soon(told.call, host, who, worst, cost, lasts_ms)
            if storm and chance.random() < 0.02:
                simulation.network.become(
                    Conditions(
                        loss=chance.choice([0, 0.1, 0.3]),
                        duplication=chance.choice([0, 0.2, 0.5]),
                        delay_s=chance.choice([0.01, 0.2]),
                        cut={each.name for each in chance.sample(hosts, chance.randint(0, 1))},
                    )
                )
            if storm and chance.random() < 0.02:
                simulation.kill(chance.choice(hosts))
    await scene.at_rest()
    return told


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_in_good_weather_no_call_is_refused_that_could_be_paid(tmp_path: Path, seed: int) -> None:
    async def story(scene: Scene) -> None:
        agency = await played(
            scene, seed, calls=250, sidecars=3, agency=6 * DOLLAR, client=3 * DOLLAR, storm=False
        )
        for refusal, worst, left in agency.refused:
            assert refusal.reason in FINAL
            assert worst > left

    tell(tmp_path, story)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_in_bad_weather_no_cap_leaks_and_no_call_is_lost(tmp_path: Path, seed: int) -> None:
    async def story(scene: Scene) -> None:
        agency = await played(
            scene, seed, calls=200, sidecars=3, agency=5 * DOLLAR, client=2 * DOLLAR, storm=True
        )
        assert scene.simulation.tally.faults["kill"]
        assert all(scene.billed(each) <= cap for each, cap in agency.caps.items())

    tell(tmp_path, story)


@pytest.mark.slow
def test_the_last_cents_are_spent_before_anybody_is_refused(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        agency = await played(
            scene, 99, calls=200, sidecars=2, agency=2 * DOLLAR, client=DOLLAR, storm=False
        )
        assert agency.refused
        assert all(scene.billed(each) <= cap for each, cap in agency.caps.items())
        assert scene.billed(agency.budget_id) > 2 * DOLLAR - 16 * CENT

    tell(tmp_path, story)
