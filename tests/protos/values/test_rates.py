"""A cost is the exact sum of quantity times rate, rounded up once."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, UnpriceableError, cost_nano_usd


def price(*tiers: Tier) -> ModelPrice:
    return ModelPrice(
        provider="openai",
        model="m",
        aliases=(),
        input_max=1_000_000,
        output_max=128_000,
        tiers=tiers,
        version="1",
    )


BASE = Tier(0, {kinds.INPUT: 250_000, kinds.CACHED: 25_000, kinds.OUTPUT: 2_000_000})
CLIFF = Tier(272_000, {kinds.INPUT: 500_000, kinds.OUTPUT: 3_000_000})


@given(
    st.fixed_dictionaries(
        {
            kind: st.integers(0, 10**6)
            for kind in (kinds.INPUT, kinds.CACHED, kinds.CACHE_WRITE, kinds.OUTPUT)
        }
    )
)
def test_the_cost_equals_the_sum_in_fractions_rounded_up_once(used: dict[str, int]) -> None:
    prompt = used[kinds.INPUT] + used[kinds.CACHED] + used[kinds.CACHE_WRITE]
    dear = prompt > 272_000
    exact = (
        Fraction(used[kinds.INPUT] + used[kinds.CACHE_WRITE]) * (500_000 if dear else 250_000)
        + Fraction(used[kinds.CACHED]) * (500_000 if dear else 25_000)
        + Fraction(used[kinds.OUTPUT]) * (3_000_000 if dear else 2_000_000)
    )
    assert cost_nano_usd(used, price(BASE, CLIFF)) == ceil(exact / 1000)


def test_the_cliff_is_crossed_by_the_first_token_above_it() -> None:
    model = price(BASE, CLIFF)
    assert cost_nano_usd({kinds.INPUT: 272_000}, model) == 272_000 * 250
    assert cost_nano_usd({kinds.INPUT: 272_001}, model) == 272_001 * 500
    assert cost_nano_usd({kinds.INPUT: 2_001, kinds.CACHED: 270_000}, model) == 272_001 * 500


def test_reasoning_tells_and_never_charges() -> None:
    used = {kinds.OUTPUT: 100, kinds.REASONING: 90}
    assert cost_nano_usd(used, price(BASE)) == 100 * 2_000


def test_what_has_no_rate_is_an_error_and_not_free() -> None:
    with pytest.raises(UnpriceableError) as caught:
        cost_nano_usd({kinds.IMAGES: 1}, price(BASE))
    assert caught.value.kind == kinds.IMAGES


def test_a_count_of_zero_needs_no_rate() -> None:
    assert cost_nano_usd({kinds.IMAGES: 0, kinds.INPUT: 4}, price(BASE)) == 1_000
