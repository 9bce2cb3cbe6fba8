"""Shares of rate limits: fair over clients, and never above the limit in sum."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core import rate_shares as shares
from control_plane.core.rate_shares import (
    Holding,
    Known,
    RateLevel,
    Shared,
    Table,
    fill,
    fill_above,
    spread,
    spread_above,
)
from tests.control_plane.core.rate_world import LIMIT, RateWorld, on_calls

MINUTE_MS = 60_000
SHARED = Shared("rlm_1", 60, MINUTE_MS, per_client=True)


@given(
    st.integers(0, 10_000),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5_000), min_size=1),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 1_000)),
    st.integers(0, 99),
)
def test_filling_gives_whole_units_and_wastes_none(
    pool: int, wants: dict[str, int], weights: dict[str, int], turn: int
) -> None:
    got = fill(pool, wants, weights, turn)
    assert sum(got.values()) == min(pool, sum(wants.values()))
    assert all(0 <= got[name] <= want for name, want in wants.items())
    for low in (name for name, want in wants.items() if got[name] < want):
        for high in wants:
            # Nobody who wants more has less, by his weight, than another; but for one unit.
            level = got[low] * weights.get(high, 100) - got[high] * weights.get(low, 100)
            assert level >= -(weights.get(low, 100) + weights.get(high, 100))


def test_what_cannot_be_divided_goes_round() -> None:
    got = [fill(1, {"a": 9, "b": 9, "c": 9}, {}, turn) for turn in range(3)]
    assert [max(one, key=lambda name: one[name]) for one in got] == ["a", "b", "c"]


def test_a_part_is_spread_whole() -> None:
    assert spread(10, {"one": 2, "two": 3}, 0) == {"one": 5, "two": 5}
    assert sum(spread(7, {"one": 9, "two": 9, "three": 9}, 1).values()) == 7


def level(share: int, used: int, **wants: int) -> RateLevel:
    return RateLevel("rlm_1", share, used, wants)


def table(**levels: RateLevel) -> Table:
    return Table(SHARED, {name: Holding(told, 1, 0) for name, told in levels.items()}, known=2)


def test_a_share_is_raised_only_by_what_nobody_holds() -> None:
    held = table(one=level(50, 10, a=90), two=level(0, 0, b=90))
    made = shares.share_out(held, "two", 0)
    assert made.share.amount == 10
    assert made.nudges == {"one"}
    used = table(one=level(20, 45, a=90), two=level(10, 0, b=90))
    assert shares.share_out(used, "two", 0).share.amount == 15


def test_a_lowered_share_counts_until_it_is_acknowledged() -> None:
    one = Holding(level(50, 0), 1, 0, told=5)
    assert one.held(SHARED, 0) == 50
    again = shares.heard(one, level(5, 0), 1, SHARED, 1_000)
    assert again.held(SHARED, 1_000) == 5


def test_a_silent_sidecar_keeps_its_floor_for_good() -> None:
    one = Holding(level(50, 50), 1, 0, told=50, floor=2)
    assert one.held(SHARED, 376_000 + MINUTE_MS - 1) == 50
    assert one.held(SHARED, 376_000 + MINUTE_MS) == 2


def test_a_lost_journal_does_not_forget_what_was_used() -> None:
    one = Holding(level(50, 50), 1, 0)
    reborn = shares.heard(one, level(0, 0), 2, SHARED, 1_000)
    assert reborn.held(SHARED, 1_000) == 50
    assert reborn.held(SHARED, 1_000 + MINUTE_MS) == 0
    alone = Table(SHARED, {"one": reborn})
    assert shares.share_out(alone, "one", 1_000).share.amount == 10


def test_after_a_start_nothing_is_raised_before_all_were_heard() -> None:
    known = [
        Known("one", 0, 999_000),
        Known("two", 0, 999_000),
        Known("old", 0, 1_000),
        Known("new", 1_000_050, 1_000_050),
    ]
    assert shares.is_unheard(SHARED, known, ["one"], 1_000_000, 1_000_100)
    assert not shares.is_unheard(SHARED, known, ["one", "two"], 1_000_000, 1_000_100)
    assert not shares.is_unheard(SHARED, known, ["one"], 1_000_000, 1_500_000)
    held = replace(table(one=level(20, 0, a=90)), unheard=True)
    assert shares.share_out(held, "one", 0).share.amount == 20


@pytest.mark.parametrize("hosts", [1, 3, 5])
@pytest.mark.parametrize("come_s", [0, 5, 10, 20])
@pytest.mark.parametrize("every_ms", [2_500, 4_000])
def test_who_comes_later_in_the_first_minute_finds_his_share(
    hosts: int, come_s: int, every_ms: int
) -> None:
    """Three clients share 60 requests a minute; one floods from everywhere from its first second.

    The others have a third of the rest of the minute, or all they ask for, within a tenth.
    """
    world = RateWorld(hosts)
    for now_ms in world.ticks(MINUTE_MS):
        if now_ms % 1_000 == 0:
            for host in world.hosts:
                world.sync(host)
        for host in world.hosts:
            for _ in range(3):
                world.call(host, "flood")
        since_ms = now_ms - 1_000 * come_s
        if since_ms >= 0 and since_ms % every_ms == 0:
            world.call(world.hosts[0], "calm")
            world.call(world.hosts[-1], "steady")
    rest_ms = MINUTE_MS - 1_000 * come_s
    third, demand = 20 * rest_ms // MINUTE_MS, rest_ms // every_ms
    for client in ("calm", "steady"):
        assert 10 * world.count[client] >= 9 * min(third, demand), world.count
    assert world.count.total() >= 52, "the limit is used"


def test_a_client_alone_has_the_whole_limit_from_its_first_minute_on() -> None:
    world = RateWorld(2)
    counts = []
    for now_ms in world.ticks(3 * MINUTE_MS + 100):
        if now_ms % 1_000 == 0:
            for host in world.hosts:
                world.sync(host)
        if now_ms in (5_000, 20_000, MINUTE_MS, 2 * MINUTE_MS, 3 * MINUTE_MS):
            counts.append(world.count["alone"])
        for host in world.hosts:
            world.call(host, "alone")
    at_once, soon, first, second, third = counts
    assert at_once >= 20
    assert soon >= 30
    assert min(first, second - first, third - second) >= 54


def test_what_was_used_before_others_came_is_kept_and_the_rest_is_shared() -> None:
    wants = {"flood": 90, "calm": 20, "steady": 20}
    got = fill_above(57, wants, {"flood": 33}, {}, 0)
    assert got == {"flood": 33, "calm": 12, "steady": 12}
    used = RateLevel("rlm_1", 57, 33, wants, {"flood": 33}, dict.fromkeys(wants, MINUTE_MS))
    made = shares.share_out(Table(SHARED, {"one": Holding(used, 1, 0)}), "one", 0).share
    assert made.parts == {"flood": 19, "calm": 12, "steady": 12}, "it takes no more"
    assert made.amount == 60


@given(
    st.integers(0, 1_000),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 500), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 500)),
)
def test_filling_above_what_was_used_takes_from_nobody(
    pool: int, wants: dict[str, int], used: dict[str, int]
) -> None:
    used = {name: min(used.get(name, 0), want) for name, want in wants.items()}
    got = fill_above(pool, wants, used, {}, 0)
    assert all(used[name] <= got[name] <= want for name, want in wants.items())
    assert sum(got.values()) == max(sum(used.values()), min(pool, sum(wants.values())))
    parts = spread_above(got[min(wants)], wants, used, 0)
    assert sum(parts.values()) == got[min(wants)]


@pytest.mark.parametrize("hosts", [1, 3, 5])
@pytest.mark.parametrize("known_minutes", [1, 2])
def test_a_flood_leaves_the_others_their_shares(hosts: int, known_minutes: int) -> None:
    """Three clients share 60 requests a minute; one floods from everywhere."""
    world = RateWorld(hosts)
    minutes = 10
    for now_ms in world.ticks((minutes + known_minutes) * MINUTE_MS):
        if now_ms % 1_000 == 0:
            for host in world.hosts:
                world.sync(host)
        if now_ms == known_minutes * MINUTE_MS:
            world.count.clear()
        for host in world.hosts:
            for _ in range(3):
                world.call(host, "flood")
        if now_ms % 2_500 == 0:  # 24 a minute each: more than a third.
            world.call(world.hosts[0], "calm")
            world.call(world.hosts[-1], "steady")
    for client in ("calm", "steady"):
        assert 18 * minutes <= world.count[client] <= 22 * minutes, world.count
    assert world.count.total() >= 54 * minutes, "the limit is used"


def test_who_asks_for_less_than_a_third_is_not_refused_for_long() -> None:
    world = RateWorld(2)
    refused = 0
    for now_ms in world.ticks(10 * MINUTE_MS):
        if now_ms % 1_000 == 0:
            for host in world.hosts:
                world.sync(host)
        for host in world.hosts:
            world.call(host, "flood")
        if now_ms >= 2 * MINUTE_MS and now_ms % 4_000 == 0:  # 15 a minute.
            refused += not world.call(world.hosts[1], "calm")
    assert refused <= 20, "only before what the flood had used was past"
    assert world.count["flood"] >= 40 * 8, "what nobody else asks for is the flood's"


def test_weights_divide_what_all_want() -> None:
    world = RateWorld(2, weights={"heavy": 300, "light": 100})
    for now_ms in world.ticks(12 * MINUTE_MS):
        if now_ms % 1_000 == 0:
            for host in world.hosts:
                world.sync(host)
        if now_ms == 2 * MINUTE_MS:
            world.count.clear()
        for host in world.hosts:
            world.call(host, "heavy")
            world.call(host, "light")
    ratio = world.count["heavy"] / world.count["light"]
    assert 2.7 <= ratio <= 3.3, world.count


@pytest.mark.parametrize("seed", range(20))
def test_no_window_ever_holds_more_than_the_limit(seed: int) -> None:
    """Lost messages, partitions, lost journals, idle and flooding clients: `call` asserts it."""
    chance = random.Random(seed)
    limit = chance.choice([LIMIT, replace(LIMIT, amount=7), on_calls(12)])
    world = RateWorld(chance.randint(1, 5), limit)
    away = dict.fromkeys((host.name for host in world.hosts), 0)
    lasts_ms = chance.choice([0, 3_000, 20_000])
    busy = {host.name: chance.random() for host in world.hosts}
    for now_ms in world.ticks(15 * MINUTE_MS, step_ms=200):
        for host in world.hosts:
            if chance.random() < 0.0005:
                busy[host.name] = chance.random() ** 3
            if chance.random() < 0.0003:
                away[host.name] = now_ms + chance.randint(0, 8 * MINUTE_MS)
            if chance.random() < 0.0003 and limit.window_ms:
                world.lose(host)
            if chance.random() < 0.2 and now_ms >= away[host.name]:
                world.sync(host, asked=chance.random() < 0.9, answered=chance.random() < 0.9)
            if chance.random() < busy[host.name]:
                world.call(host, chance.choice("abc"), lasts_ms=lasts_ms)
    assert world.count.total() > limit.amount


def test_what_a_dead_sidecar_held_comes_back() -> None:
    world = RateWorld(2)
    for now_ms in world.ticks(10 * MINUTE_MS):
        for host in world.hosts:
            if now_ms % 1_000 == 0 and (host is world.hosts[0] or now_ms < MINUTE_MS):
                world.sync(host)
        if now_ms < MINUTE_MS:
            world.call(world.hosts[1], "a")
        else:
            world.call(world.hosts[0], "a")
        if now_ms == 9 * MINUTE_MS:
            world.count.clear()
    assert world.count["a"] >= 55


def test_a_sidecar_that_hears_nothing_goes_on_with_its_share_and_then_its_floor() -> None:
    world = RateWorld(1)
    for now_ms in world.ticks(8 * MINUTE_MS):
        if now_ms % 1_000 == 0 and now_ms < MINUTE_MS:
            world.sync(world.hosts[0])
        if now_ms == 2 * MINUTE_MS:
            world.count.clear()
        if now_ms == 5 * MINUTE_MS:
            assert world.count["a"] >= 3 * 55
        if now_ms == 7 * MINUTE_MS:
            world.count.clear()
        world.call(world.hosts[0], "a")
    assert world.count["a"] == 3
