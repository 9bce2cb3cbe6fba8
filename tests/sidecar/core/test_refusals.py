"""What a refused caller is told."""

import itertools

import pytest

from sidecar.core.refusals import (
    BUDGET_REASONS,
    RETRYABLE,
    Reason,
    Refused,
    Shortage,
    plain_refusal,
    refusal_of,
    rfc3339,
)
from tests.sidecar.builders import CENT, DOLLAR, NOON


def shortage(
    reason: Reason, budget_id: str = "bgt_a", *, end: int | None = NOON, conditions: int = 1
) -> Shortage:
    return Shortage(
        reason=reason,
        budget_id=budget_id,
        name="Acme monthly",
        worst_nano_usd=4 * CENT,
        cap_nano_usd=DOLLAR,
        spent_nano_usd=97 * CENT,
        held_nano_usd=CENT,
        period_end_unix_ms=end,
        fits_nano_usd=2 * CENT,
        conditions=conditions,
    )


def test_the_gravest_reason_decides() -> None:
    for grave, light in itertools.pairwise(BUDGET_REASONS):
        assert refusal_of([shortage(light), shortage(grave)]).reason is grave


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"end": NOON + 1}, {"end": NOON}, id="ends later"),
        pytest.param({"end": None}, {"end": NOON}, id="never ends"),
        pytest.param({"conditions": 2}, {"conditions": 1}, id="narrower"),
    ],
)
def test_the_headline_is_the_budget_that_ends_last_then_the_narrowest(
    first: dict[str, int], second: dict[str, int]
) -> None:
    head = shortage(Reason.EXHAUSTED, "bgt_z", **first)
    other = shortage(Reason.EXHAUSTED, "bgt_a", **second)
    refusal = refusal_of([other, head])
    assert refusal.budget_id == "bgt_z"
    assert refusal.shortages == (head, other)


def test_an_exhausted_budget_says_how_it_stands_when_it_turns_and_what_to_do() -> None:
    refusal = refusal_of([shortage(Reason.EXHAUSTED)])
    for part in ("Acme monthly", "$0.97 of $1.00", "$0.01", rfc3339(NOON), "raise its cap"):
        assert part in refusal.message
    assert not refusal.retryable
    assert refusal.retry_after_ms is None


def test_a_call_that_is_too_large_is_told_what_would_fit() -> None:
    refusal = refusal_of([shortage(Reason.TOO_LARGE)])
    for part in ("up to $0.04", "only $0.02 is left", "limit on output tokens"):
        assert part in refusal.message


def test_what_may_pass_later_says_when_to_try_again() -> None:
    for reason in (Reason.BUSY, Reason.UNREACHABLE):
        refusal = refusal_of([shortage(reason)])
        assert refusal.retryable
        assert refusal.retry_after_ms


def test_a_budget_without_an_end_does_not_promise_one() -> None:
    refusal = refusal_of([shortage(Reason.EXHAUSTED, end=None)])
    assert "does not turn by itself" in refusal.message


def test_every_plain_reason_has_words_that_say_what_to_do() -> None:
    worded = []
    for reason in Reason:
        try:
            worded.append(plain_refusal(reason))
        except KeyError:
            continue
    assert {each.reason for each in worded} >= {
        Reason.NO_BUDGET,
        Reason.INVALID_KEY,
        Reason.KEY_REVOKED,
        Reason.KEY_EXPIRED,
        Reason.PROJECT_SUSPENDED,
        Reason.SHUTTING_DOWN,
        Reason.OVERLOADED,
        Reason.JOURNAL_FAILED,
        Reason.FENCED,
    }
    for each in worded:
        assert len(each.message) > 40
        assert (each.retry_after_ms is not None) == (each.reason in RETRYABLE)


def test_a_refusal_travels_as_an_exception() -> None:
    refusal = plain_refusal(Reason.NO_BUDGET)
    assert Refused(refusal).refusal is refusal
    assert str(Refused(refusal)) == refusal.message


def test_instants_are_shown_in_utc() -> None:
    assert rfc3339(1_796_083_200_999) == "2026-12-01T00:00:00Z"
