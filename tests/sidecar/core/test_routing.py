"""What follows an attempt that failed, and which secret is taken: tables."""

import pytest

from sidecar.core.routing import (
    FOLLOWS,
    Failure,
    Follows,
    Level,
    ProviderSecret,
    failure_of,
    is_above,
    pick_secret,
    rest_ms_of,
)
from sidecar.limits import SECRET_BUSY_REST_MS, SECRET_REFUSED_REST_MS, SECRET_REST_MAX_MS

A, B, C = (ProviderSecret(name, b"sealed") for name in "abc")
NOW = 1_000


@pytest.mark.parametrize(
    ("status", "kind", "blames_secret", "failure"),
    [
        (401, "invalid_api_key", False, Failure.SECRET_REFUSED),
        (400, "INVALID_ARGUMENT", True, Failure.SECRET_REFUSED),
        (402, "", False, Failure.QUOTA),
        (429, "insufficient_quota", False, Failure.QUOTA),
        (429, "credit_balance_exhausted", False, Failure.QUOTA),
        (400, "billing_error", False, Failure.QUOTA),
        (403, "permission_error", False, Failure.FORBIDDEN),
        (429, "rate_limit_exceeded", False, Failure.BUSY),
        (500, "server_error", False, Failure.FAILED),
        (503, "", False, Failure.FAILED),
        (529, "overloaded_error", False, Failure.FAILED),
        (400, "invalid_request_error", False, Failure.OTHER),
        (404, "model_not_found", False, Failure.OTHER),
        (413, "", False, Failure.OTHER),
        (302, "", False, Failure.OTHER),
    ],
)
def test_what_an_error_means(status: int, kind: str, blames_secret: bool, failure: Failure) -> None:
    assert failure_of(status, kind, blames_secret=blames_secret) is failure


def test_every_failure_has_its_row_and_a_request_s_own_fault_is_followed_by_nothing() -> None:
    assert set(FOLLOWS) == set(Failure)
    assert FOLLOWS[Failure.OTHER] == Follows(False, False, False)
    for failure, follows in FOLLOWS.items():
        # What rests a secret lets another one be tried, and nothing else does.
        assert bool(rest_ms_of(failure, None)) is follows.other_secret
    # An address that cannot be reached, and a secret that is dead, are so for every model there.
    for failure in (Failure.UNREACHABLE, Failure.SECRET_REFUSED, Failure.QUOTA):
        assert not FOLLOWS[failure].same_provider


@pytest.mark.parametrize(
    ("failure", "told_ms", "rest_ms"),
    [
        (Failure.SECRET_REFUSED, None, SECRET_REFUSED_REST_MS),
        (Failure.QUOTA, 1_000, SECRET_REFUSED_REST_MS),
        (Failure.BUSY, None, SECRET_BUSY_REST_MS),
        (Failure.BUSY, 7_000, 7_000),
        (Failure.BUSY, 10**9, SECRET_REST_MAX_MS),
        (Failure.BUSY, 0, 1),
        (Failure.FAILED, 7_000, 0),
        (Failure.UNREACHABLE, None, 0),
        (Failure.OTHER, None, 0),
    ],
)
def test_how_long_a_secret_rests(failure: Failure, told_ms: int | None, rest_ms: int) -> None:
    assert rest_ms_of(failure, told_ms) == rest_ms


@pytest.mark.parametrize(
    ("rests", "tried", "picked"),
    [
        ({}, (), A),
        ({"a": NOW}, (), A),
        ({"a": NOW + 1}, (), B),
        ({"a": NOW + 1, "b": NOW + 1}, (), C),
        ({"a": NOW + 3, "b": NOW + 1, "c": NOW + 2}, (), B),
        ({}, ("a",), B),
        ({"b": NOW + 1}, ("a",), C),
        ({"b": NOW + 1, "c": NOW + 1}, ("a",), None),
        ({}, ("a", "b", "c"), None),
    ],
)
def test_which_secret_is_taken(
    rests: dict[str, int], tried: tuple[str, ...], picked: ProviderSecret | None
) -> None:
    assert pick_secret((A, B, C), rests, NOW, tried) is picked


def test_a_sole_secret_is_tried_even_while_it_rests() -> None:
    assert pick_secret((A,), {"a": NOW + 9}, NOW) is A
    assert pick_secret((), {}, NOW) is None


@pytest.mark.parametrize(
    ("levels", "above"),
    [
        ([], False),
        ([Level(80, 100)], False),
        ([Level(81, 100)], True),
        ([Level(0, 100), Level(801, 1_000)], True),
        ([Level(0, 0)], True),
        ([Level(8 * 10**18, 9 * 10**18)], True),
    ],
)
def test_when_a_budget_is_above_a_part_of_its_cap(levels: list[Level], above: bool) -> None:
    assert is_above(levels, 80) is above


def test_what_a_call_holds_itself_is_left_out() -> None:
    assert is_above([Level(90, 100)], 80, beside_nano_usd=9)
    assert not is_above([Level(90, 100)], 80, beside_nano_usd=10)
