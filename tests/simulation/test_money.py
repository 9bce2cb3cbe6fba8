"""No cap leaks, no call is lost, and none is refused that could be paid: in any weather."""

from pathlib import Path

import pytest
import trio

from sidecar.core.refusals import Reason
from tests.sidecar.builders import CENT, DOLLAR
from tests.simulation.world import CLIENTS, Simulation, Weather, play

FINAL = (Reason.EXHAUSTED, Reason.TOO_LARGE)


async def played(
    folder: Path,
    seed: int,
    *,
    calls: int,
    sidecars: int,
    agency: int,
    client: int,
    storm: bool,
) -> Simulation:
    """Random calls of three clients over some sidecars, in good or bad weather."""
    caps = {"agency": agency, **dict.fromkeys(CLIENTS, client)}
    simulation = Simulation(folder, seed, caps)
    chance = simulation.chance
    async with trio.open_nursery() as nursery:
        simulation.nursery = nursery
        for number in range(sidecars):
            simulation.add_sidecar(f"sdc_{number}")
        await trio.sleep(2)
        async with trio.open_nursery() as work:
            for _ in range(calls):
                await trio.sleep(chance.expovariate(20))
                name = chance.choice(list(simulation.sidecars))
                worst = chance.choice([CENT, 2 * CENT, 4 * CENT, 16 * CENT])
                actual = chance.randint(0, worst)
                who = chance.choice(CLIENTS)
                work.start_soon(simulation.call, simulation.sidecars[name], who, worst, actual)
                if storm and chance.random() < 0.02:
                    simulation.weather = Weather(
                        loss=chance.choice([0, 0.1, 0.3]),
                        duplication=chance.choice([0, 0.2, 0.5]),
                        delay_s=chance.choice([0.01, 0.2]),
                        cut=set(chance.sample(list(simulation.sidecars), chance.randint(0, 1))),
                    )
                if storm and chance.random() < 0.02:
                    simulation.restart(chance.choice(list(simulation.sidecars)))
        await simulation.rest()
        nursery.cancel_scope.cancel()
    return simulation


def check_ledger(simulation: Simulation) -> None:
    """Each call once; exact for those whose end was seen, not below for those that were lost."""
    ledger = simulation.ledger()
    assert set(simulation.calls) <= set(ledger)
    for call_id, billed in simulation.calls.items():
        booked, estimated = ledger[call_id]
        assert booked >= billed
        if call_id in simulation.settled and not estimated:
            assert booked == billed
    never_sent = set(ledger) - set(simulation.calls)
    assert all(ledger[call_id][0] >= 0 for call_id in never_sent)
    for name, cap in simulation.caps.items():
        assert simulation.billed[name] <= cap
    for sidecar in simulation.sidecars.values():
        assert sidecar.admission.open_calls == 0
        for lease in sidecar.admission.allowance:
            assert lease.held_nano_usd == 0
            granted, returned, spent = simulation.booked_lease(sidecar, lease.key)
            assert lease.granted_nano_usd <= granted
            assert lease.returned_nano_usd >= returned
            assert lease.spent_nano_usd == spent
    # Neither a fork nor an old database nor a bill above its worst case was ever suspected.
    assert simulation.world.number("SELECT COUNT(*) FROM alarm") == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_in_good_weather_no_call_is_refused_that_could_be_paid(tmp_path: Path, seed: int) -> None:
    async def story() -> None:
        simulation = await played(
            tmp_path, seed, calls=250, sidecars=3, agency=6 * DOLLAR, client=3 * DOLLAR, storm=False
        )
        check_ledger(simulation)
        ledger = simulation.ledger()
        assert {call_id: cost for call_id, (cost, _) in ledger.items()} == simulation.calls
        for refusal in simulation.refusals:
            assert refusal.reason in FINAL
            assert refusal.worst_nano_usd > refusal.left_nano_usd

    play(story, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_in_bad_weather_no_cap_leaks_and_no_call_is_lost(tmp_path: Path, seed: int) -> None:
    async def story() -> None:
        simulation = await played(
            tmp_path, seed, calls=200, sidecars=3, agency=5 * DOLLAR, client=2 * DOLLAR, storm=True
        )
        check_ledger(simulation)

    play(story, seed)


@pytest.mark.slow
def test_the_last_cents_are_spent_before_anybody_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        simulation = await played(
            tmp_path, 99, calls=200, sidecars=2, agency=2 * DOLLAR, client=DOLLAR, storm=False
        )
        check_ledger(simulation)
        assert simulation.refusals
        for name in CLIENTS:
            assert simulation.billed[name] <= DOLLAR
        assert simulation.billed["agency"] > 2 * DOLLAR - 16 * CENT

    play(story, 99)
