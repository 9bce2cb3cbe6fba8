"""litellm's table is read row by row; what is no such table is refused in words."""

import gzip
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from control_plane import limits
from control_plane.catalogues import litellm
from control_plane.catalogues.extract import extract
from control_plane.core.offers import Listing
from protos.values import quantities as kinds
from protos.values.errors import InvalidArgumentError

ROW = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": Decimal("1e-06")}


def listed(**row: object) -> Listing:
    return litellm.listings({"m": {**ROW, **row}}, "openai")["m"]


def test_amounts_are_read_exactly_and_finer_ones_are_rounded_up() -> None:
    listing = listed(
        output_cost_per_token=Decimal("4e-07"), cache_read_input_token_cost=Decimal("8.33e-14")
    )
    assert listing.tiers[0].rates_pico_usd == {
        kinds.INPUT: 1_000_000,
        kinds.OUTPUT: 400_000,
        kinds.CACHED: 1,
    }


def test_cliffs_and_ways_of_serving_are_told_by_the_end_of_a_key() -> None:
    listing = listed(
        input_cost_per_token_above_272k_tokens=Decimal("2e-06"),
        input_cost_per_token_priority=Decimal("3e-06"),
        input_cost_per_token_above_272k_tokens_priority=Decimal("6e-06"),
        input_cost_per_token_batches=Decimal("5e-07"),
        cache_creation_input_token_cost_above_12hr=Decimal("2e-06"),
    )
    bounds = [(tier.above_input, tier.rates_pico_usd[kinds.INPUT]) for tier in listing.tiers]
    assert bounds == [(0, 1_000_000), (272_000, 2_000_000)]
    assert listing.tiers[1].rates_pico_usd[kinds.CACHE_WRITE_LONG] == 2_000_000
    served = {
        name: [tier.rates_pico_usd[kinds.INPUT] for tier in tiers]
        for name, tiers in listing.variants.items()
    }
    # What is served in a batch has no cliff of its own, so the dearer one is taken above it.
    assert served == {"batch": [500_000, 2_000_000], "priority": [3_000_000, 6_000_000]}


def test_multipliers_make_variants_of_tokens_and_not_of_fees() -> None:
    listing = listed(
        provider_specific_entry={"us": Decimal("1.1"), "fast": 2, "else": 9},
        search_context_cost_per_query={"low": Decimal("0.01"), "high": Decimal("0.02")},
    )
    assert listing.tiers[0].rates_pico_usd[kinds.WEB_SEARCH] == 2 * 10**10
    rates = {name: tiers[0].rates_pico_usd for name, tiers in listing.variants.items()}
    assert {name: rate[kinds.INPUT] for name, rate in rates.items()} == {
        "fast": 2_000_000,
        "us": 1_100_000,
        "fast+us": 2_200_000,
    }
    assert {rate[kinds.WEB_SEARCH] for rate in rates.values()} == {2 * 10**10}


@pytest.mark.parametrize(
    ("row", "input_max", "output_max"),
    [
        ({"max_input_tokens": 5, "max_output_tokens": 7}, 5, 7),
        ({"max_input_tokens": "5", "max_output_tokens": None}, 0, None),
        ({"max_input_tokens": -1, "max_output_tokens": Decimal("1.5")}, 0, None),
        ({"max_input_tokens": True, "max_output_tokens": 10**12}, 0, None),
        ({"provider_specific_entry": [], "search_context_cost_per_query": 7}, 0, None),
        ({"input_cost_per_token_priority": "x", "provider_specific_entry": {"us": None}}, 0, None),
    ],
)
def test_what_is_not_well_formed_counts_as_not_said(
    row: Mapping[str, Any], input_max: int, output_max: int | None
) -> None:
    listing = listed(**row)
    assert (listing.input_max, listing.output_max) == (input_max, output_max)
    assert not listing.variants


def test_only_plain_ids_of_models_that_can_be_called_are_listed() -> None:
    table = {
        "m": ROW,
        "openai/m": {**ROW, "max_input_tokens": 9},
        "openai/n": ROW,
        "1024-x-1024/dall-e-3": {**ROW, "mode": "image_generation"},
        "v": {**ROW, "mode": "video_generation"},
        "azure/m": {**ROW, "litellm_provider": "azure"},
        "sample_spec": "text",
        "openai/container": {"code_interpreter_cost_per_session": Decimal("0.03")},
    }
    found = litellm.listings(table, "openai")
    assert set(found) == {"m", "n"}
    assert found["m"].input_max == 0
    assert found["m"].tiers[0].rates_pico_usd[kinds.CONTAINER] == 3 * 10**10


def test_sound_is_billed_by_the_second() -> None:
    row = {"litellm_provider": "openai", "mode": "audio_transcription"}
    table = {"w": {**row, "input_cost_per_second": Decimal("0.0001")}}
    assert litellm.listings(table, "openai")["w"].tiers[0].rates_pico_usd == {
        kinds.MILLISECONDS: 100_000
    }


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"{}", "not gzipped"),
        (gzip.compress(b"{]\n", mtime=0), r"not JSON \(line 1\)"),
        (gzip.compress(b"[" * 100_000, mtime=0), "not JSON"),
        (gzip.compress(b"\xff", mtime=0), "not JSON"),
        (gzip.compress(b"{}", mtime=0), "no row has a litellm_provider"),
        (gzip.compress(b"[1]", mtime=0), "no row has a litellm_provider"),
        (gzip.compress(b" " * (limits.CATALOGUE_BYTES_MAX + 1), mtime=0), "more than"),
    ],
)
def test_what_is_no_such_table_is_refused(packed: bytes, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        litellm.given(packed)


def test_the_extract_says_what_the_table_says() -> None:
    table = {
        "m": {**ROW, "input_cost_per_token": 1e-06, "rpm": 3, "supports_vision": True},
        "x": {**ROW, "litellm_provider": "elsewhere"},
    }
    made = json.loads(extract(table))
    assert set(made) == {"notice", "m"}
    assert set(made["m"]) == set(ROW)
    assert "MIT License" in made["notice"]


def test_the_shipped_extract_knows_limits_of_the_models_in_use() -> None:
    found = litellm.listings(litellm.shipped(), "openai")
    assert (found["gpt-5.6-sol"].output_max, found["gpt-5.6-sol"].reasons) == (128_000, True)
    assert found["gpt-5.6-sol"].tiers[0].rates_pico_usd[kinds.CACHE_WRITE_LONG] == 10_000_000
    anthropic = litellm.listings(litellm.shipped(), "anthropic")["claude-opus-5-5"]
    assert anthropic.variants["fast+us"][0].rates_pico_usd[kinds.INPUT] == 8_800_000
