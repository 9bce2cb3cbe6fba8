"""Amounts are read and shown exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values.money import (
    MONEY_MAX_NANO_USD,
    nano_to_usd,
    pico_to_usd_per_million,
    usd_per_million_to_pico,
    usd_to_nano,
)


@pytest.mark.parametrize(
    ("text", "nano_usd"),
    [
        ("300", 300_000_000_000),
        ("$1,250.50", 1_250_500_000_000),
        (" 0.000000001 ", 1),
        ("-2.5", -2_500_000_000),
        ("1e3", 1_000_000_000_000),
        ("9223372036.854775807", MONEY_MAX_NANO_USD),
        ("1,000", 1_000_000_000_000),
        ("-$12,345,678.9", -12_345_678_900_000_000),
    ],
)
def test_a_persons_amount_is_read_exactly(text: str, nano_usd: int) -> None:
    assert usd_to_nano(text) == nano_usd


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not an amount"),
        ("three", "not an amount"),
        ("12,50", "commas stand between thousands only"),
        ("1.000,50", "commas stand between thousands only"),
        ("1000,000", "commas stand between thousands only"),
        ("1_000", "not an amount"),
        ("\N{ARABIC-INDIC DIGIT THREE}", "not an amount"),
        ("$", "not an amount"),
        ("NaN", "not an amount"),
        ("Infinity", "not an amount"),
        ("1.0000000001", "finer than a billionth"),
        ("1.00000000000000000000000000000001", "not an amount"),
        ("1e20", "more than this program can hold"),
        ("-1e999999", "more than this program can hold"),
        ("1e-999999", "finer than a billionth"),
        ("9223372036.854775808", "more than this program can hold"),
    ],
)
def test_what_is_no_amount_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        usd_to_nano(text)


@given(st.integers(-MONEY_MAX_NANO_USD, MONEY_MAX_NANO_USD))
def test_an_amount_that_is_shown_is_read_back_the_same(nano_usd: int) -> None:
    assert usd_to_nano(nano_to_usd(nano_usd)) == nano_usd


def test_zeros_are_cut_to_cents_and_no_digit_is_lost() -> None:
    assert nano_to_usd(1_250_500_000_000) == "$1,250.50"
    assert nano_to_usd(-1) == "-$0.000000001"
    assert nano_to_usd(5_000_000_000, digits_min=0) == "$5"


@given(st.integers(0, 10**15))
def test_a_rate_that_is_shown_is_read_back_the_same(rate_pico_usd: int) -> None:
    assert usd_per_million_to_pico(pico_to_usd_per_million(rate_pico_usd)) == rate_pico_usd


@pytest.mark.parametrize("text", ["-1", "0.0000001", "free", "inf", "0,25"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"price|finer"):
        usd_per_million_to_pico(text)
