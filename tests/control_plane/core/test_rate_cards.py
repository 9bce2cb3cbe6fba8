"""A charge is exact, rounded up once, and never touches what a call costs."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.rate_cards import Charged, RateCard, card_at, charge_of, check_card
from protos.values.errors import InvalidArgumentError


def card(**fields: int) -> RateCard:
    return RateCard("prj", "rtc", 0, **fields)


@pytest.mark.parametrize(
    ("wanted", "cost", "left", "begins", "charge", "included"),
    [
        (card(), 7, 0, False, 7, 0),
        (card(markup_ppm=200_000), 10, 0, False, 12, 0),
        (card(markup_ppm=200_000), 1, 0, False, 2, 0),
        (card(markup_ppm=-100_000), 10, 0, False, 9, 0),
        (card(markup_ppm=-1_000_000), 10, 0, False, 0, 0),
        (card(per_call_nano_usd=5), 7, 0, True, 12, 0),
        (card(per_execution_nano_usd=50), 7, 0, True, 57, 0),
        (card(per_execution_nano_usd=50), 7, 0, False, 7, 0),
        (card(included_nano_usd=100), 7, 100, False, 0, 7),
        (card(included_nano_usd=100, markup_ppm=500_000), 7, 3, False, 6, 3),
        (card(included_nano_usd=100, per_call_nano_usd=5), 7, 100, False, 5, 7),
        (
            card(markup_ppm=200_000, per_call_nano_usd=5, per_execution_nano_usd=50),
            0,
            9,
            True,
            0,
            0,
        ),
    ],
)
def test_what_a_call_is_charged(
    wanted: RateCard, cost: int, left: int, begins: bool, charge: int, included: int
) -> None:
    found = charge_of(wanted, cost, left_nano_usd=left, begins_execution=begins)
    assert found == Charged(charge, included)


@given(
    cost=st.integers(0, 10**15),
    left=st.integers(0, 10**15),
    ppm=st.integers(-1_000_000, 100_000_000),
)
def test_a_charge_is_the_exact_sum_rounded_up_once(cost: int, left: int, ppm: int) -> None:
    found = charge_of(card(markup_ppm=ppm), cost, left_nano_usd=left, begins_execution=False)
    exact = Fraction(cost - min(cost, left)) * (10**6 + ppm) / 10**6
    assert found.charge_nano_usd == ceil(exact)
    assert found.included_nano_usd == min(cost, left)


def test_the_card_that_began_last_holds() -> None:
    first, second, third = (RateCard("prj", f"v{n}", at) for n, at in enumerate((5, 9, 9)))
    cards = [third, first, second]
    assert [card_at(cards, at) for at in (4, 5, 8, 9)] == [None, first, first, third]


@pytest.mark.parametrize(
    "wrong",
    [
        card(markup_ppm=-1_000_001),
        card(markup_ppm=100_000_001),
        card(per_call_nano_usd=-1),
        card(per_execution_nano_usd=-1),
        card(included_nano_usd=10**18),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(wrong: RateCard) -> None:
    with pytest.raises(InvalidArgumentError, match="rate_card"):
        check_card(wrong)
