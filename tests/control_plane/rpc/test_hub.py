"""Directives are levels: what is newer replaces what was said and not yet heard."""

import asyncio

from control_plane import limits
from control_plane.core.leases import PeriodKey
from control_plane.core.reports import Left, Offer
from control_plane.rpc.hub import Directives, Hub, Subscription

KEY, OTHER = PeriodKey("a", "", "p"), PeriodKey("b", "", "p")


def heard(stream: Subscription, timeout_ms: int = 5_000) -> Directives | None:
    async def listen() -> Directives | None:
        return await stream.wait(timeout_ms)

    return asyncio.run(listen())


def test_a_stream_begins_with_a_look_at_the_policy_and_a_nudge() -> None:
    stream = Hub().subscribe("s", "1")
    assert heard(stream, 0) == Directives((), nudge=True, offer=None, lefts=(), policy=True)
    assert heard(stream, 0) == Directives((), nudge=False, offer=None, lefts=(), policy=False)


def test_a_newer_recall_replaces_the_older_one_of_its_lease() -> None:
    hub = Hub()
    stream = hub.subscribe("s", "1")
    hub.recall("s", KEY, 9)
    hub.recall("s", OTHER, 5)
    hub.recall("s", KEY, 3)
    hub.nudge(["s", "s", "nobody"])
    said = heard(stream)
    assert said is not None
    assert dict(said.recalls) == {KEY: 3, OTHER: 5}
    assert said.nudge


def test_a_newer_offer_replaces_the_older_one_and_is_said_once() -> None:
    hub = Hub()
    stream = hub.subscribe("s", "1")
    older, newer = (Offer("s", 1, 1, number, (), ("call_1",)) for number in (1, 2))
    hub.offer(older)
    hub.offer(newer)
    hub.offer(Offer("nobody", 1, 1, 1, (), ()))
    said = heard(stream)
    assert said is not None
    assert said.offer == newer
    again = heard(stream, 0)
    assert again is not None
    assert again.offer is None
    assert not hub.watching("nobody", "1")


def test_what_is_left_of_a_period_replaces_what_was_left_before() -> None:
    hub = Hub()
    stream = hub.subscribe("s", "1")
    for key, unspent in ((KEY, 9), (OTHER, 5), (KEY, 3)):
        hub.left(Left(("nobody", "s"), key, 1, 1, unspent))
    said = heard(stream)
    assert said is not None
    assert {left.lease: left.unspent_nano_usd for left in said.lefts} == {KEY: 3, OTHER: 5}
    again = heard(stream, 0)
    assert again is not None
    assert again.lefts == ()


def test_recalls_that_nobody_hears_are_bounded() -> None:
    hub = Hub()
    stream = hub.subscribe("s", "1")
    for number in range(limits.WATCH_RECALLS_MAX + 10):
        hub.recall("s", PeriodKey(f"b{number}", "", "p"), 0)
    hub.recall("s", PeriodKey("b0", "", "p"), 7)
    said = heard(stream)
    assert said is not None
    assert len(said.recalls) == limits.WATCH_RECALLS_MAX
    assert said.recalls[0][1] == 7


def test_a_second_stream_ends_the_first_and_outlives_its_end() -> None:
    hub = Hub()
    first = hub.subscribe("s", "1")
    second = hub.subscribe("s", "2")
    assert heard(first) is None
    hub.unsubscribe(first)
    assert hub.watching("s", "2")
    assert not hub.watching("s", "1")
    hub.policy_changed()
    assert heard(second) is not None
    hub.unsubscribe(second)
    assert not hub.watching("s", "2")


def test_a_waiting_stream_wakes_at_once() -> None:
    async def story() -> list[Directives | None]:
        hub = Hub()
        stream = hub.subscribe("s", "1")
        await stream.wait(0)
        listening = asyncio.create_task(stream.wait(60_000))
        await asyncio.sleep(0)
        hub.policy_changed()
        first = await listening
        listening = asyncio.create_task(stream.wait(60_000))
        await asyncio.sleep(0)
        hub.close()
        return [first, await listening, await hub.subscribe("late", "1").wait(60_000)]

    first, ended, late = asyncio.run(story())
    assert first is not None
    assert first.policy
    assert ended is None
    assert late is None


def test_all_streams_are_nudged_at_once() -> None:
    hub = Hub()
    streams = [hub.subscribe(name, "1") for name in ("one", "two")]
    for stream in streams:
        heard(stream, 0)
    hub.nudge_all()
    said = [heard(stream, 0) for stream in streams]
    assert [one is not None and one.nudge for one in said] == [True, True]
