"""A cost is the exact sum of quantity times rate, rounded up once."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values import quantities as kinds
from protos.values.rates import (
    ModelPrice,
    Tier,
    UnpriceableError,
    Variant,
    cost_nano_usd,
    variant_of,
)


def price(*tiers: Tier, variants: tuple[Variant, ...] = ()) -> ModelPrice:
    return ModelPrice(
        provider="openai",
        model="m",
        aliases=(),
        input_max=1_000_000,
        output_max=128_000,
        tiers=tiers,
        version="1",
        variants=variants,
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


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (kinds.CACHED, kinds.INPUT),
        (kinds.CACHE_WRITE_LONG, kinds.CACHE_WRITE),
        (kinds.CACHED_AUDIO, kinds.AUDIO_INPUT),
        (kinds.AUDIO_INPUT, kinds.INPUT),
        (kinds.CACHED_IMAGE, kinds.IMAGE_INPUT),
        (kinds.IMAGE_INPUT, kinds.INPUT),
        (kinds.VIDEO_INPUT, kinds.INPUT),
        (kinds.AUDIO_OUTPUT, kinds.OUTPUT),
        (kinds.IMAGE_OUTPUT, kinds.OUTPUT),
    ],
)
def test_a_kind_without_a_rate_costs_what_its_parent_costs(kind: str, parent: str) -> None:
    model = price(Tier(0, {parent: 7_000}))
    assert cost_nano_usd({kind: 10}, model) == 70


@pytest.mark.parametrize("kind", sorted(set(kinds.KINDS) - kinds.INPUT_KINDS - kinds.OUTPUT_KINDS))
def test_what_is_no_token_is_never_charged_as_one(kind: str) -> None:
    if kind not in kinds.INFORMATIVE:
        with pytest.raises(UnpriceableError):
            cost_nano_usd({kind: 1}, price(BASE))


@pytest.mark.parametrize("kind", sorted(kinds.INPUT_KINDS))
def test_every_kind_of_prompt_counts_towards_the_cliff(kind: str) -> None:
    model = price(Tier(0, {kinds.INPUT: 1_000}), Tier(100, {kinds.INPUT: 9_000}))
    assert cost_nano_usd({kind: 100}, model) == 100
    assert cost_nano_usd({kind: 101}, model) == 909


FLEX = Variant("flex", (Tier(0, {kinds.INPUT: 125_000, kinds.OUTPUT: 1_000_000}),))
ABROAD = Variant("batch+us", (Tier(0, {kinds.INPUT: 1_000}), Tier(5, {kinds.INPUT: 2_000})))


@pytest.mark.parametrize(
    ("variant", "count", "nano_usd"),
    [("", 8, 2_000), ("flex", 8, 1_000), ("batch+us", 5, 5), ("batch+us", 6, 12)],
)
def test_each_variant_has_rates_and_cliffs_of_its_own(
    variant: str, count: int, nano_usd: int
) -> None:
    model = price(BASE, CLIFF, variants=(FLEX, ABROAD))
    assert cost_nano_usd({kinds.INPUT: count}, model, variant) == nano_usd


def test_a_variant_that_the_price_does_not_hold_never_costs_the_standard_price() -> None:
    with pytest.raises(UnpriceableError, match="the variant priority"):
        cost_nano_usd({kinds.INPUT: 1}, price(BASE, variants=(FLEX,)), "priority")


@pytest.mark.parametrize(
    ("parts", "name"),
    [((), ""), (("", ""), ""), (("US", "batch"), "batch+us"), (("batch", "us", ""), "batch+us")],
)
def test_a_combination_has_one_name(parts: tuple[str, ...], name: str) -> None:
    assert variant_of(*parts) == name
