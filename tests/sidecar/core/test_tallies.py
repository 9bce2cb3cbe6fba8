"""Refusals by minute, and the last use of secrets."""

from sidecar.core.refusals import Reason, plain_refusal
from sidecar.core.tallies import Tallies
from tests.sidecar.builders import attributes

MINUTE = 60_000
T = 30 * MINUTE


def refuse(tallies: Tallies, unix_ms: int = T, workflow: str = "", times: int = 1) -> None:
    for _ in range(times):
        tallies.refused(plain_refusal(Reason.NO_BUDGET), attributes(workflow=workflow), unix_ms)


def test_refusals_of_a_kind_are_counted_by_minute() -> None:
    tallies = Tallies()
    refuse(tallies, T, times=2)
    refuse(tallies, T + 59_999)
    refuse(tallies, T + MINUTE)
    assert [(each.minute_unix_ms, each.calls) for each in tallies.refusals()] == [
        (T, 3),
        (T + MINUTE, 1),
    ]
    assert tallies.refusals()[0].kind.reason == "no_budget"
    assert "No budget" in tallies.refusals()[0].sample


def test_a_level_is_told_until_it_was_answered_and_again_when_it_rose() -> None:
    tallies = Tallies()
    refuse(tallies)
    levels = tallies.refusals()
    assert tallies.refusals() == levels
    refuse(tallies)
    tallies.told(levels, {}, T)
    assert [each.calls for each in tallies.refusals()] == [2]
    tallies.told(tallies.refusals(), {}, T + 2 * MINUTE)
    assert tallies.refusals() == []
    assert not tallies._minutes


def test_refusals_are_bounded_by_kind_and_by_minute() -> None:
    tallies = Tallies()
    for number in range(1_500):
        refuse(tallies, workflow=str(number))
    kinds = tallies._minutes[T]
    assert len(kinds) == 1_001
    assert sum(tally.count for tally in kinds.values()) == 1_500
    for minute in range(100):
        refuse(tallies, T + minute * MINUTE)
    assert len(tallies._minutes) <= 30


def test_the_last_use_of_a_secret_is_told_once_a_minute() -> None:
    tallies = Tallies()
    tallies.used("sec_a", T + 1)
    tallies.used("sec_a", T + 2)
    uses = tallies.uses()
    assert uses == {"sec_a": T}
    tallies.used("sec_a", T + MINUTE)
    tallies.told([], uses, T)
    assert tallies.uses() == {"sec_a": T + MINUTE}
    tallies.told([], tallies.uses(), T)
    assert tallies.uses() == {}


def test_a_sync_never_tells_of_more_secrets_than_are_taken_and_the_rest_follow() -> None:
    tallies = Tallies()
    for number in range(1_500):
        tallies.used(f"sec_{number}", T)
    first = tallies.uses()
    assert len(first) == 1_000
    tallies.told([], first, T)
    assert len(tallies.uses()) == 500
