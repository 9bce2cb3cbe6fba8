"""What a sidecar can do alone, and for how long."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from sidecar.core.refusals import Reason
from tests.sidecar.builders import CENT, DOLLAR
from tests.simulation.world import Simulation, Weather, play

Story = Callable[[Simulation], Awaitable[None]]


def alone(folder: Path, story: Story, **caps: int) -> None:
    """Run a story with one sidecar that has registered."""

    async def main() -> None:
        simulation = Simulation(folder, 7, {"agency": 100 * DOLLAR, "a": 50 * DOLLAR} | caps)
        async with trio.open_nursery() as nursery:
            simulation.nursery = nursery
            simulation.add_sidecar("one")
            await trio.sleep(1)
            await story(simulation)
            nursery.cancel_scope.cancel()

    play(main, 7)


async def calls(simulation: Simulation, count: int) -> None:
    """Calls one after the other, each of which costs its worst case of one cent."""
    for _ in range(count):
        await simulation.call(simulation.sidecars["one"], "a", CENT, CENT)


def told(simulation: Simulation) -> bool:
    booked = {call_id: cost for call_id, (cost, _) in simulation.ledger().items()}
    return booked == simulation.calls


def test_after_a_quiet_minute_calls_go_on_alone_also_through_a_restart(tmp_path: Path) -> None:
    async def story(simulation: Simulation) -> None:
        await calls(simulation, 3)
        await trio.sleep(60)
        simulation.weather = Weather(cut={"one"})
        await calls(simulation, 5)
        simulation.restart("one")
        await trio.sleep(1)
        await calls(simulation, 5)
        assert simulation.refusals == []
        await simulation.rest()
        assert told(simulation)

    alone(tmp_path, story)


def test_alone_calls_end_with_the_authority_and_go_on_with_the_next_answer(tmp_path: Path) -> None:
    async def story(simulation: Simulation) -> None:
        await calls(simulation, 3)
        simulation.weather = Weather(cut={"one"})
        await trio.sleep(280)
        await calls(simulation, 1)
        assert simulation.refusals == []
        await trio.sleep(30)
        await calls(simulation, 1)
        [refusal] = simulation.refusals
        assert refusal.reason is Reason.UNREACHABLE
        simulation.weather = Weather()
        await trio.sleep(3)
        await calls(simulation, 1)
        assert len(simulation.refusals) == 1
        await simulation.rest()
        assert told(simulation)

    alone(tmp_path, story)


def test_a_clean_end_strands_nothing(tmp_path: Path) -> None:
    async def story(simulation: Simulation) -> None:
        await calls(simulation, 3)
        await simulation.sidecars["one"].link.drain()
        left = "SELECT SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd) FROM lease"
        assert simulation.world.number(left) == 0
        assert simulation.world.number("SELECT SUM(allocated_nano_usd) FROM period") == 6 * CENT

    alone(tmp_path, story)


def test_idle_money_comes_back_near_the_cap(tmp_path: Path) -> None:
    async def story(simulation: Simulation) -> None:
        simulation.add_sidecar("two")
        await trio.sleep(1)
        await calls(simulation, 92)
        await trio.sleep(25)
        # What "one" held is worth nothing there any more; "two" can use the last cent.
        for _ in range(8):
            await simulation.call(simulation.sidecars["two"], "a", CENT, CENT)
        assert simulation.refusals == []
        assert simulation.billed["a"] == DOLLAR
        await simulation.call(simulation.sidecars["one"], "a", CENT, CENT)
        assert [each.reason for each in simulation.refusals] == [Reason.EXHAUSTED]

    alone(tmp_path, story, a=DOLLAR)
