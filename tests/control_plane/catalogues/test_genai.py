"""The dated catalogue is read exactly: what it says a usage costs is what our price says."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Final

import pytest
from genai_prices import data
from genai_prices.types import ModelInfo, Provider, Usage
from hypothesis import given
from hypothesis import strategies as st

from control_plane.catalogues import genai
from control_plane.core.offers import Entry, Offer
from control_plane.core.prices import check_price, check_tiers
from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Variant, cost_nano_usd

NOON: Final = 1_795_435_200_000
"""2026-11-23T12:00:00Z."""
YEAR_MS: Final = 366 * 24 * 3_600_000
PROVIDERS: Final = ("openai", "anthropic", "google", "mistral", "x-ai", "groq")
ENTRIES: Final = {
    (provider, entry.model): entry
    for provider in PROVIDERS
    for entry in genai.entries(provider, NOON)
}


def price_of(entry: Entry, offer: Offer) -> ModelPrice:
    return ModelPrice(
        provider="p",
        model=entry.model,
        aliases=(),
        input_max=1,
        output_max=int(not kinds.OUTPUT_KINDS.isdisjoint(offer.tiers[0].rates_pico_usd)),
        tiers=offer.tiers,
        version="",
        variants=tuple(Variant(name, tiers) for name, tiers in offer.variants.items()),
    )


def theirs(provider: str, model: str) -> tuple[Provider, ModelInfo]:
    [found] = [one for one in data.providers if one.id == provider]
    [info] = [one for one in found.models if one.id == model]
    return found, info


@given(
    name=st.sampled_from(
        sorted(
            name
            for name, entry in ENTRIES.items()
            if entry.offers
            and {kinds.INPUT, kinds.OUTPUT} <= set(entry.offers[0].tiers[0].rates_pico_usd)
        )
    ),
    later=st.booleans(),
    variant=st.sampled_from(["", "batch", "flex", "priority", "fast"]),
    counts=st.tuples(*[st.integers(0, 400_000)] * 5, st.integers(0, 20)),
)
def test_a_usage_costs_to_the_nano_dollar_what_the_catalogue_calculates(
    name: tuple[str, str], later: bool, variant: str, counts: tuple[int, int, int, int, int, int]
) -> None:
    entry = ENTRIES[name]
    at = NOON + (YEAR_MS if later else 0)
    offer = [one for one in entry.offers if one.begins_unix_ms <= at][-1]
    if variant and variant not in offer.variants:
        return
    plain, cached, written, written_long, output, searches = counts
    price = price_of(entry, offer)
    rates = price.tiers[0].rates_pico_usd
    has_write, has_long = kinds.CACHE_WRITE in rates, kinds.CACHE_WRITE_LONG in rates
    written = written if has_write else 0
    written_long = written_long if has_long else 0
    searches = searches if kinds.WEB_SEARCH in rates else 0
    used = {
        kinds.INPUT: plain,
        kinds.CACHED: cached,
        kinds.CACHE_WRITE: written,
        kinds.CACHE_WRITE_LONG: written_long,
        kinds.OUTPUT: output,
        kinds.WEB_SEARCH: searches,
    }
    key = {"batch": "processing", "fast": "service_tier" if name[0] == "openai" else "speed"}
    provider, info = theirs(*name)
    told = Usage(
        input_tokens=plain + cached + written + written_long,
        cache_read_tokens=cached,
        cache_write_tokens=written + written_long,
        output_tokens=output,
        **({"cache_write_1h_tokens": written_long} if has_long else {}),
        **({"web_searches": searches} if searches else {}),
    )
    exact = info.calc_price(
        told,
        provider,
        genai_request_timestamp=datetime.fromtimestamp(at / 1000, UTC),
        price_context={key.get(variant, "service_tier"): variant} if variant else None,
    ).total_price
    assert cost_nano_usd(used, price, variant) == ceil(Fraction(exact) * 10**9)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_offer_is_a_price_that_can_be_applied(provider: str) -> None:
    for entry in genai.entries(provider, NOON):
        assert bool(entry.offers) != bool(entry.unreadable)
        for offer in entry.offers:
            for tiers in (offer.tiers, *offer.variants.values()):
                check_tiers(tiers)
            if offer.tiers[0].rates_pico_usd:
                check_price(price_of(entry, offer))


def test_what_begins_later_is_an_offer_of_its_own() -> None:
    now, later = ENTRIES["google", "gemini-3.8-flash"].offers
    assert (now.begins_unix_ms, now.tiers[0].rates_pico_usd[kinds.INPUT]) == (0, 750_000)
    begins = datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000
    assert (later.begins_unix_ms, later.tiers[0].rates_pico_usd[kinds.INPUT]) == (begins, 1_500_000)
    assert later.variants["batch"][0].rates_pico_usd[kinds.OUTPUT] == 3_750_000


def test_units_that_are_no_tokens_are_counted_by_the_piece() -> None:
    rate = {
        name: ENTRIES[name].offers[0].tiers[0].rates_pico_usd
        for name in (("openai", "tts-1"), ("openai", "whisper-1"), ("google", "gemini-2.5-pro"))
    }
    assert rate["openai", "tts-1"] == {kinds.CHARACTERS: 15_000_000}
    assert rate["openai", "whisper-1"] == {kinds.MILLISECONDS: 100_000}
    assert rate["google", "gemini-2.5-pro"][kinds.GROUNDING] == 35 * 10**9
    assert ENTRIES["openai", "gpt-4o"].offers[0].tiers[0].rates_pico_usd[kinds.FILE_SEARCH] == int(
        Decimal("2.5") * 10**9
    )


def test_the_cliff_keeps_every_rate() -> None:
    base, cliff = ENTRIES["openai", "gpt-5.6-sol"].offers[0].tiers
    assert (base.above_input, cliff.above_input) == (0, 272_000)
    assert base.rates_pico_usd.keys() == cliff.rates_pico_usd.keys()
    assert cliff.rates_pico_usd[kinds.OUTPUT] == 30_000_000


def test_a_price_that_changes_over_the_day_is_taken_at_its_dearest() -> None:
    [entry] = [e for e in genai.entries("deepseek", NOON) if e.model == "deepseek-chat"]
    assert entry.offers[0].tiers[0].rates_pico_usd == {
        kinds.INPUT: 270_000,
        kinds.CACHED: 70_000,
        kinds.OUTPUT: 1_100_000,
    }


def test_a_model_that_is_priced_by_pages_is_left_out_and_says_so() -> None:
    entry = ENTRIES["mistral", "mistral-ocr-latest"]
    assert not entry.offers
    assert "kpages" in entry.unreadable


def test_only_exact_ids_are_names() -> None:
    sol = ENTRIES["openai", "gpt-5.6-sol"]
    assert set(sol.names) == {"gpt-5-6-sol", "gpt-5.6", "gpt-5-6"}
    assert sol.accepts("gpt-5.6-sol-2026-10-01")
    assert not ENTRIES["anthropic", "claude-opus-4-6"].is_exact
