"""What one sidecar lets pass of its share of a rate limit, and when it says to come back."""

import random
from dataclasses import replace

import pytest

from sidecar.core.rate_limits import (
    CallKind,
    Earlier,
    Meter,
    RateLimit,
    Rates,
    Share,
    Taken,
)

MINUTE = 60_000
T = 10 * MINUTE
OWN = RateLimit("rlm_1", "requests", 10, MINUTE, project_id="prj_a")
SHARED = RateLimit("rlm_2", "requests", 30, MINUTE, provider="openai")
TOKENS = RateLimit("rlm_3", "tokens", 1_000, MINUTE, project_id="prj_a")
AT_ONCE = RateLimit("rlm_4", "calls", 2, 0, project_id="prj_a")
KIND = CallKind("prj_a", "key_a", "openai", "gpt-x")


def meter(limit: RateLimit, share: Share | None = None, boot_ms: int = T) -> Meter:
    made = Meter(limit)
    made.take_share(share or Share(limit.amount), boot_ms, boot_ms + 5 * MINUTE)
    return made


def send(into: Meter, boot_ms: int = T, tokens: int = 0, client: str = "prj_a") -> Taken:
    taken = Taken((into,), client, tokens, boot_ms)
    taken.goes_out(boot_ms)
    return taken


def fits(into: Meter, boot_ms: int, tokens: int = 0, client: str = "prj_a") -> bool:
    amount = 1 if into.limit.measure != "tokens" else into.taken_for(client, tokens, boot_ms)
    return into.fits(client, amount, boot_ms)


def test_a_window_is_filled_at_once_and_empties_as_it_was_filled() -> None:
    own = meter(OWN)
    for at in (T, T + 20_000):
        for _ in range(5):
            assert fits(own, at)
            send(own, at)
    assert not fits(own, T + 59_999)
    wait_ms = own.wait_ms("prj_a", 1, T + 30_000)
    assert wait_ms is not None
    assert 30_000 <= wait_ms <= 30_000 + 2 * MINUTE // 50
    assert not fits(own, T + 30_000 + wait_ms - 1)
    assert fits(own, T + 30_000 + wait_ms)
    assert own.wait_ms("prj_a", 1, T + 30_000 + wait_ms) == 0


def test_those_ahead_make_the_wait_longer() -> None:
    own = meter(OWN)
    for step in range(10):
        send(own, T + 1_200 * step)
    first = own.wait_ms("prj_a", 1, T + 12_000)
    fifth = own.wait_ms("prj_a", 1, T + 12_000, ahead=4)
    much_later = own.wait_ms("prj_a", 1, T + 12_000, ahead=15)
    assert first is not None
    assert fifth == first + 4 * 1_200
    assert much_later is not None
    assert much_later >= MINUTE


def test_without_a_share_nothing_passes_and_no_time_tells_when() -> None:
    own = Meter(OWN)
    assert not fits(own, T)
    assert own.wait_ms("prj_a", 1, T) is None
    assert own.may_grow("prj_a", T)


def test_a_share_that_nobody_renews_falls_to_its_floor() -> None:
    own = meter(OWN, Share(10, floor=1))
    late = T + 5 * MINUTE
    assert own.in_force(late - 1) == 10
    assert own.in_force(late) == 1
    send(own, late)
    assert not fits(own, late)


def test_calls_in_flight_come_free_only_as_they_end() -> None:
    at_once = meter(AT_ONCE)
    first, _second = send(at_once), send(at_once)
    assert not fits(at_once, T + 9 * MINUTE)
    assert at_once.wait_ms("prj_a", 1, T) is None
    first.ended(sent=True, tokens=None)
    first.ended(sent=True, tokens=None)
    assert at_once.level(T).used == 1


def test_tokens_are_taken_by_the_bound_and_put_right_at_the_end() -> None:
    tokens = meter(TOKENS)
    call = send(tokens, T, 600)
    assert not fits(tokens, T, 600)
    call.ended(sent=True, tokens=150)
    assert tokens.level(T).used == 150
    assert fits(tokens, T, 600)
    above = send(tokens, T, 100)
    above.ended(sent=True, tokens=900)
    assert tokens.level(T).used == 1_050, "what was used counts, though it was more"
    unknown = send(tokens, T + 2 * MINUTE, 100)
    unknown.ended(sent=True, tokens=None)
    assert tokens.level(T + 2 * MINUTE).used == 100


def test_a_call_above_the_share_passes_alone_and_counts_as_what_it_was() -> None:
    tokens = meter(TOKENS)
    assert fits(tokens, T, 50_000)
    call = send(tokens, T, 50_000)
    assert not fits(tokens, T, 1)
    call.ended(sent=True, tokens=None)
    assert tokens.level(T).used == 50_000


@pytest.mark.parametrize("limit", [OWN, TOKENS, AT_ONCE])
def test_what_does_not_go_out_is_given_back(limit: RateLimit) -> None:
    into = meter(limit)
    before = Taken((into,), "prj_a", 50, T)
    before.ended(sent=False, tokens=None)
    unsent = send(into, T, 50)
    unsent.ended(sent=False, tokens=None)
    assert into.level(T).used == 0


def test_what_waits_to_go_out_counts_however_long_it_waits() -> None:
    own = meter(OWN, Share(1))
    taken = Taken((own,), "prj_a", 0, T)
    later = T + 3 * MINUTE
    assert not fits(own, later)
    taken.goes_out(later)
    assert not fits(own, later + MINUTE - 1)


def test_a_clients_part_is_its_own() -> None:
    shared = meter(SHARED, Share(30, room=0, spare=2, parts={"prj_a": 28}))
    while fits(shared, T + 30_000):
        send(shared, T + 30_000)
    assert shared.level(T + 30_000).used == 10, "a third at once"
    for later in (T + 45_000, T + 59_000):
        while fits(shared, later):
            send(shared, later)
    assert shared.level(T + 59_000).used == 28
    assert fits(shared, T + 59_000, client="prj_new")


def test_a_lowered_share_leaves_no_room_until_it_is_used_less() -> None:
    own = meter(OWN)
    for _ in range(8):
        send(own)
    assert own.take_share(Share(3), T, T + MINUTE)
    level = own.level(T)
    assert (level.share, level.used) == (3, 8)
    assert not fits(own, T + 30_000)


def test_what_was_refused_is_wanted_and_what_waited_is_not_wanted_twice() -> None:
    own = meter(OWN)
    send(own)
    own.missed("prj_a", 1, T)
    own.waits("prj_a", 1, T)
    assert own.level(T).wants == {"prj_a": 3}
    assert own.level(T + 2 * MINUTE).wants == {"prj_a": 1}, "however long it waits"
    own.waits("prj_a", -1, T)
    assert own.level(T + 2 * MINUTE).wants == {}


def test_more_is_not_hoped_for_right_after_it_was_asked_for() -> None:
    own = meter(OWN, Share(1))
    for _ in range(3):
        own.missed("prj_a", 1, T)
    assert own.may_grow("prj_a", T)
    own.level(T)
    own.take_share(Share(1), T, T + MINUTE)
    assert not own.may_grow("prj_a", T + 1_000)
    assert own.may_grow("prj_a", T + 10_000)


def test_limits_are_found_by_what_they_count() -> None:
    rates = Rates()
    assert not rates
    rates.take_limits([OWN, SHARED, replace(OWN, rate_limit_id="rlm_5", key_id="key_b")])
    found = [one.limit.rate_limit_id for one in rates.counting(KIND)]
    assert found == ["rlm_1", "rlm_2"]
    assert rates.counting(CallKind("prj_b", "key_c", "anthropic", "claude")) == ()


def test_a_new_amount_keeps_what_was_used() -> None:
    rates = Rates()
    rates.take_limits([OWN])
    own = rates.meter("rlm_1")
    assert own is not None
    own.take_share(Share(10), T, T + MINUTE)
    for _ in range(4):
        send(own)
    rates.take_limits([replace(OWN, amount=4)])
    assert rates.meter("rlm_1") is own
    assert not fits(own, T)
    rates.take_limits([])
    assert rates.meter("rlm_1") is None


def test_a_new_process_counts_what_the_one_before_sent() -> None:
    rates = Rates()
    rates.take_limits([OWN, TOKENS, AT_ONCE])
    rates.remember([Earlier(KIND, T - 30_000, 400), Earlier(KIND, T - 1_000, None)])
    used = {level.rate_limit_id: level.used for level in rates.levels(T)}
    assert used == {"rlm_1": 2, "rlm_3": 1_400, "rlm_4": 0}
    used = {level.rate_limit_id: level.used for level in rates.levels(T + 32_000)}
    assert used == {"rlm_1": 1, "rlm_3": 1_000, "rlm_4": 0}


@pytest.mark.parametrize("seed", range(25))
def test_nothing_leaks_however_calls_end(seed: int) -> None:
    """Random calls of three clients, that end in every way; never above the share, then none."""
    chance = random.Random(seed)
    limits = [OWN, SHARED, TOKENS, AT_ONCE]
    rates = Rates()
    rates.take_limits(limits)
    for one in limits:
        found = rates.meter(one.rate_limit_id)
        assert found is not None
        found.take_share(Share(one.amount, room=one.amount), T, T + 1_000 * MINUTE)
    open_calls: list[Taken] = []
    boot_ms = T
    for _ in range(2_000):
        boot_ms += chance.randrange(400)
        client = chance.choice(["prj_a", "prj_a", "prj_b", "prj_c"])
        meters = rates.counting(KIND._replace(project_id=client))
        tokens = chance.choice([1, 30, 700, 5_000])
        if all(fits(one, boot_ms, tokens, client) for one in meters):
            taken = Taken(meters, client, tokens, boot_ms)
            if chance.random() < 0.8:
                taken.goes_out(boot_ms)
            open_calls.append(taken)
        for level in rates.levels(boot_ms):
            limit = next(each for each in limits if each.rate_limit_id == level.rate_limit_id)
            assert level.used <= limit.amount or limit.measure == "tokens"
        while open_calls and chance.random() < 0.45:
            taken = open_calls.pop(chance.randrange(len(open_calls)))
            used = chance.choice([None, 0, tokens // 2])
            taken.ended(sent=taken.is_out and chance.random() < 0.8, tokens=used)
    for taken in open_calls:
        taken.ended(sent=taken.is_out, tokens=None)
    assert all(level.used == 0 for level in rates.levels(boot_ms + 2 * MINUTE))
