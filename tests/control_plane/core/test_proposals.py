"""What a catalogue would change: who must agree, and what a second opinion does."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from control_plane.catalogues import genai, litellm
from control_plane.core.built_in_prices import BOOK
from control_plane.core.offers import Entry, Listing, Offer
from control_plane.core.prices import BUILT_IN, OPERATOR, Price
from control_plane.core.proposals import Change, Effect, changes_of, effect_of
from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, Variant

NOW = 1_795_435_200_000
LATER = NOW + 1_000
RATES = {kinds.INPUT: 100, kinds.OUTPUT: 400}


def tiers(**changed: int) -> tuple[Tier, ...]:
    return (Tier(0, {**RATES, **changed}),)


def offer(
    made: tuple[Tier, ...] | None = None, begins: int = 0, **variants: tuple[Tier, ...]
) -> Offer:
    return Offer(begins, made or tiers(), variants)


def entry(*offers: Offer, model: str = "m", names: tuple[str, ...] = (), **fields: object) -> Entry:
    made = Entry(
        model=model,
        is_exact=True,
        names=names,
        accepts=lambda name: name.startswith(model),
        retired=False,
        input_max=0,
        offers=offers or (offer(),),
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def listing(made: tuple[Tier, ...] | None = None, **variants: tuple[Tier, ...]) -> Listing:
    return Listing(1_000, 100, reasons=False, tiers=made or tiers(), variants=variants)


def price(made: tuple[Tier, ...] | None = None, source: str = BUILT_IN, **fields: object) -> Price:
    model = ModelPrice(
        provider="openai",
        model="m",
        aliases=(),
        input_max=1_000,
        output_max=100,
        tiers=made or tiers(),
        version="v",
    )
    return Price(replace(model, **fields), 0, source)  # type: ignore[arg-type]  # a test's own fields


def changes(
    known: list[Price], *entries: Entry, listings: Mapping[str, Listing] | None = None
) -> list[Change]:
    found, left_out = changes_of(
        "openai", known, entries, {"m": listing()} if listings is None else listings, NOW
    )
    assert not left_out
    return found


@pytest.mark.parametrize(
    ("now", "proposed", "effect"),
    [
        (tiers(), tiers(), None),
        (tiers(), tiers(input=101), Effect.DEARER),
        (tiers(), tiers(output=399), Effect.CHEAPER),
        (tiers(), tiers(input=101, output=399), Effect.MIXED),
        (tiers(), tiers(cached=10), Effect.WIDER),
        (tiers(cached=10), tiers(), Effect.DEARER),
        (tiers(), (*tiers(), Tier(9, {**RATES, "input": 200})), Effect.DEARER),
        ((*tiers(), Tier(9, {**RATES, "input": 200})), tiers(), Effect.CHEAPER),
        (tiers(web_search=5), tiers(), Effect.CHEAPER),
    ],
)
def test_what_a_change_does(
    now: tuple[Tier, ...], proposed: tuple[Tier, ...], effect: Effect | None
) -> None:
    assert effect_of(price(now).model_price, price(proposed).model_price) is effect


@pytest.mark.parametrize(
    ("now", "proposed", "effect"),
    [(0, 50, Effect.WIDER), (50, 60, Effect.DEARER), (50, 40, Effect.CHEAPER)],
)
def test_a_variant_counts_as_the_standard_rates_do(now: int, proposed: int, effect: Effect) -> None:
    def flex_at(rate: int) -> ModelPrice:
        made = (Variant("flex", tiers(input=rate)),) if rate else ()
        return price(variants=made).model_price

    assert effect_of(flex_at(now), flex_at(proposed)) is effect


def test_a_model_that_is_new_takes_its_limits_from_the_table() -> None:
    [change] = changes([], entry())
    assert (change.effect, change.begins_unix_ms, change.current) == (Effect.NEW, 0, None)
    assert (change.proposed.input_max, change.proposed.output_max) == (1_000, 100)


def test_what_begins_later_is_held_against_what_will_hold_then() -> None:
    [change] = changes([price()], entry(offer(), offer(tiers(input=500), LATER)))
    assert (change.effect, change.begins_unix_ms) == (Effect.DEARER, LATER)
    assert not changes([price(), replace(price(tiers(input=500)), valid_from_unix_ms=LATER)],
                       entry(offer(), offer(tiers(input=500), LATER)))  # fmt: skip


def test_an_operators_price_is_an_override() -> None:
    [change] = changes([price(tiers(input=90), OPERATOR)], entry())
    assert change.is_override
    assert not changes([price(tiers(input=90))], entry())[0].is_override


def test_a_dearer_second_opinion_is_what_calls_are_bounded_by() -> None:
    [change] = changes([price()], entry(), listings={"m": listing(tiers(input=300, output=1))})
    assert change.proposed.tiers == tiers()
    assert change.proposed.disputed_tiers_of("") == tiers(input=300)
    assert change.effect is Effect.WIDER
    assert "the other source says $0.0003" in change.remarks[0]


def test_a_cheaper_second_opinion_changes_nothing() -> None:
    assert not changes([price()], entry(), listings={"m": listing(tiers(input=1))})


def test_the_table_adds_variants_and_what_the_first_has_no_unit_for() -> None:
    table = {"m": listing(tiers(container=7, audio_input=3), us=tiers(input=110))}
    [change] = changes([price()], entry(offer(flex=tiers(input=50))), listings=table)
    assert change.proposed.tiers == tiers(container=7)
    assert {one.name: one.tiers for one in change.proposed.variants} == {
        "flex": tiers(input=50, container=7),
        "us": tiers(input=110),
    }


def test_limits_only_rise() -> None:
    low = replace(listing(), input_max=10, output_max=10)
    high = replace(listing(), input_max=5_000, output_max=500)
    assert not changes([price()], entry(), listings={"m": low})
    [change] = changes([price()], entry(), listings={"m": high})
    assert (change.proposed.input_max, change.proposed.output_max) == (5_000, 500)


def test_an_alias_is_exact_listed_and_costs_the_same() -> None:
    table = {
        "m": listing(),
        "m-2026-01-01": listing(),
        "m-latest": listing(tiers(input=9)),
        "m-search-preview": listing(),
        "named": listing(),
    }
    made = entry(names=("named", "unlisted"), accepts=lambda name: name in table)
    [change] = changes([price(aliases=("old",))], made, listings=table)
    assert change.proposed.aliases == ("old", "m-2026-01-01", "named")


def test_a_name_that_means_another_model_is_no_alias() -> None:
    other = replace(price(), model_price=replace(price().model_price, model="m-latest"))
    table = {"m": listing(), "m-latest": listing()}
    assert not changes([price(), other], entry(), listings=table)


@pytest.mark.parametrize(
    ("made", "table", "words"),
    [
        (entry(unreadable="by pages", offers=()), {}, "by pages"),
        (entry(offer((Tier(0, {}),))), {"m": listing()}, "free"),
        (entry(is_exact=False), {}, "no exact id"),
        (entry(input_max=5), {}, "writes at most"),
        (entry(), {"m": replace(listing(), input_max=0)}, "takes at most"),
    ],
)
def test_what_cannot_be_priced_is_left_out_and_says_why(
    made: Entry, table: Mapping[str, Listing], words: str
) -> None:
    found, left_out = changes_of("openai", [], [made], table, NOW)
    assert not found
    assert [(one.model, words in one.why) for one in left_out] == [("m", True)]


def test_retired_models_are_not_proposed_and_those_in_the_book_are_still_followed() -> None:
    gone = entry(offer(tiers(input=500)), retired=True)
    assert not changes([], gone)
    assert changes([price()], gone)[0].effect is Effect.DEARER


def test_speech_by_the_character_needs_no_limit_on_output() -> None:
    speech = entry(offer((Tier(0, {kinds.CHARACTERS: 15}),)))
    [change] = changes([], speech, listings={})
    assert (change.proposed.input_max, change.proposed.output_max) == (4_096, 0)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_no_price_that_comes_with_the_software_is_too_low(provider: str) -> None:
    known = [Price(one, 0, BUILT_IN) for one in BOOK if one.provider == provider]
    listings = litellm.listings(litellm.shipped(), provider)
    found, _ = changes_of(provider, known, genai.entries(provider, NOW), listings, NOW)
    dearer = [one for one in found if one.effect in (Effect.DEARER, Effect.MIXED)]
    assert not [one.proposed.model for one in dearer if not one.begins_unix_ms]
