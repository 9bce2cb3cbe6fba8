"""The clock of a run: it jumps when nobody can go on, and wakes whoever sleeps by it in order."""

import trio

from tests.simulation.clocks import sleep, sleep_until, true_ms
from tests.simulation.engine import play


def test_sleepers_and_deadlines_wake_in_the_order_of_their_instants() -> None:
    woken: list[tuple[str, int]] = []

    async def after(seconds: float, name: str) -> None:
        await (trio.sleep if name == "trio" else sleep)(seconds)
        woken.append((name, true_ms()))

    async def story() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 3.0, "late")
            nursery.start_soon(after, 2.0, "trio")
            nursery.start_soon(after, 86_400.0, "next day")
            nursery.start_soon(after, 0.5, "soon")

    play(story, 1)
    assert woken == [("soon", 500), ("trio", 2_000), ("late", 3_000), ("next day", 86_400_000)]


def test_a_sleeper_that_is_cancelled_moves_no_time() -> None:
    async def story() -> None:
        with trio.move_on_after(1.0) as patience:
            await sleep(60.0)
        assert patience.cancelled_caught
        assert true_ms() == 1_000
        await sleep_until(1.5)
        assert true_ms() == 1_500
        await sleep_until(1.0)
        assert true_ms() == 1_500

    play(story, 1)


def test_a_callback_of_another_part_comes_before_time_moves() -> None:
    async def story() -> None:
        told = trio.Event()
        trio.lowlevel.current_trio_token().run_sync_soon(told.set)
        with trio.move_on_after(5.0):
            await told.wait()
        assert told.is_set()
        assert true_ms() == 0

    play(story, 1)
