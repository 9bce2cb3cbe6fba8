"""The bound is above whatever a call can cost."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, UnpriceableError, Variant, cost_nano_usd
from sidecar.core.bounds import Asked, bound_of, expanded_bytes, input_bound_tokens

RATES = {kinds.INPUT: 100_000, kinds.CACHED: 10_000, kinds.OUTPUT: 400_000}


def price(
    *,
    rates: dict[str, int] | None = None,
    tiers: tuple[Tier, ...] = (),
    input_max: int = 100_000,
    output_max: int = 1_000,
    implicit: bool = False,
    expands: bool = False,
    variants: tuple[Variant, ...] = (),
) -> ModelPrice:
    return ModelPrice(
        provider="p",
        model="m",
        aliases=(),
        input_max=input_max,
        output_max=output_max,
        tiers=tiers or (Tier(0, rates or RATES),),
        version="1",
        cache_write_implicit=implicit,
        expands_text=expands,
        variants=variants,
    )


WRITES = {**RATES, kinds.CACHE_WRITE: 125_000, kinds.CACHE_WRITE_LONG: 200_000}


@pytest.mark.parametrize(
    ("asked", "model", "input_worst", "output_rate"),
    [
        (Asked(text_bytes=36), price(), 100 * 100, 400_000),
        (Asked(text_bytes=36, media_tokens=100), price(), 200 * 100, 400_000),
        (Asked(text_bytes=36, preamble_tokens=100), price(), 200 * 100, 400_000),
        (Asked(text_bytes=36, expanded_bytes=100), price(), 100 * 100, 400_000),
        (Asked(text_bytes=36, expanded_bytes=100), price(expands=True), 200 * 100, 400_000),
        (Asked(text_bytes=10**9), price(), 100_000 * 100, 400_000),
        (Asked(text_bytes=1, opaque=True), price(), 100_000 * 100, 400_000),
        (Asked(text_bytes=10**9, inputs=3), price(), 300_000 * 100, 400_000),
        (Asked(text_bytes=36), price(rates=WRITES), 100 * 100, 400_000),
        (Asked(text_bytes=36), price(rates=WRITES, implicit=True), 100 * 125, 400_000),
        (
            Asked(text_bytes=36, cache_write=kinds.CACHE_WRITE),
            price(rates=WRITES),
            100 * 125,
            400_000,
        ),
        (
            Asked(text_bytes=36, cache_write=kinds.CACHE_WRITE_LONG),
            price(rates=WRITES),
            100 * 200,
            400_000,
        ),
        (
            Asked(text_bytes=36, prediction_bytes=10, choices=2),
            price(),
            100 * 100 + 20 * 400,
            400_000,
        ),
        (
            Asked(text_bytes=36, expanded_bytes=30, prediction_bytes=10, choices=2),
            price(expands=True),
            130 * 100 + 80 * 400,
            400_000,
        ),
        (Asked(text_bytes=36, output_limit=0), price(output_max=0), 100 * 100, 0),
    ],
)
def test_each_thing_asked_for_is_bounded(
    asked: Asked, model: ModelPrice, input_worst: int, output_rate: int
) -> None:
    bound = bound_of(asked, [model])
    assert bound.input_worst_nano_usd == input_worst
    assert bound.output_rate_pico_usd == output_rate


def test_a_tier_that_the_bound_reaches_counts_and_one_beyond_does_not() -> None:
    tiers = (Tier(0, RATES), Tier(1_000, {kinds.INPUT: 200_000, kinds.OUTPUT: 600_000}))
    below = bound_of(Asked(text_bytes=936), [price(tiers=tiers)])
    above = bound_of(Asked(text_bytes=937), [price(tiers=tiers)])
    assert (below.input_worst_nano_usd, below.output_rate_pico_usd) == (1_000 * 100, 400_000)
    assert (above.input_worst_nano_usd, above.output_rate_pico_usd) == (1_001 * 200, 600_000)


def test_the_dearest_of_the_versions_to_come_counts() -> None:
    cheap = price()
    dear = price(rates={kinds.INPUT: 300_000, kinds.OUTPUT: 100_000})
    bound = bound_of(Asked(text_bytes=36), [cheap, dear])
    assert (bound.input_worst_nano_usd, bound.output_rate_pico_usd) == (100 * 300, 400_000)


@pytest.mark.parametrize(("limit", "wanted"), [(None, None), (5, 5), (1_000_000, 1_000), (0, 0)])
def test_a_limit_above_the_models_own_is_the_models_own(
    limit: int | None, wanted: int | None
) -> None:
    assert bound_of(Asked(text_bytes=1, output_limit=limit), [price()]).output_limit == wanted


def test_a_model_without_a_rate_for_output_has_no_bound() -> None:
    with pytest.raises(UnpriceableError):
        bound_of(Asked(text_bytes=1), [price(rates={kinds.INPUT: 1})])


DEAR = Variant("priority", (Tier(0, {kinds.INPUT: 200_000, kinds.OUTPUT: 800_000}),))
CHEAP = Variant("flex", (Tier(0, {kinds.INPUT: 50_000, kinds.OUTPUT: 200_000}),))


@pytest.mark.parametrize(
    ("variants", "input_worst", "output_rate"),
    [
        (("",), 100 * 100, 400_000),
        (("flex",), 100 * 50, 200_000),
        (("flex", ""), 100 * 100, 400_000),
        (("", "priority"), 100 * 200, 800_000),
    ],
)
def test_the_dearest_variant_that_can_serve_the_request_counts(
    variants: tuple[str, ...], input_worst: int, output_rate: int
) -> None:
    model = price(variants=(DEAR, CHEAP))
    bound = bound_of(Asked(text_bytes=36, variants=variants), [model])
    assert (bound.input_worst_nano_usd, bound.output_rate_pico_usd) == (input_worst, output_rate)


def test_a_variant_that_a_default_elsewhere_may_choose_counts_where_the_price_has_it() -> None:
    asked = Asked(text_bytes=36, variants_if_priced=("priority",))
    plain = bound_of(asked, [price(variants=(CHEAP,))])
    assert plain == bound_of(Asked(text_bytes=36), [price()])
    dear = bound_of(asked, [price(variants=(DEAR, CHEAP))])
    assert (dear.input_worst_nano_usd, dear.output_rate_pico_usd) == (100 * 200, 800_000)


def test_a_request_that_may_be_served_as_an_unpriced_variant_has_no_bound() -> None:
    with pytest.raises(UnpriceableError, match="fast"):
        bound_of(Asked(text_bytes=1, variants=("", "fast")), [price(variants=(DEAR,))])


def test_what_another_catalogue_says_counts_for_the_bound_alone() -> None:
    disputed = Variant("disputed", (Tier(0, {kinds.INPUT: 300_000, kinds.OUTPUT: 400_000}),))
    flexed = Variant("disputed+flex", (Tier(0, {kinds.INPUT: 90_000, kinds.OUTPUT: 200_000}),))
    model = price(variants=(disputed, flexed, CHEAP))
    assert bound_of(Asked(text_bytes=36), [model]).input_worst_nano_usd == 100 * 300
    flex = bound_of(Asked(text_bytes=36, variants=("flex",)), [model])
    assert flex.input_worst_nano_usd == 100 * 90
    assert cost_nano_usd({kinds.INPUT: 1_000}, model) == 100_000


SPEECH = {kinds.CHARACTERS: 15_000_000}
PAINTING = {kinds.INPUT: 5_000_000, kinds.IMAGE_INPUT: 10_000_000, kinds.IMAGE_OUTPUT: 40_000_000}
SEARCHING = {**RATES, kinds.WEB_SEARCH: 10_000_000_000, kinds.CALLS: 5_000_000}


@pytest.mark.parametrize(
    ("asked", "model", "input_worst", "output_rate"),
    [
        pytest.param(
            Asked(text_bytes=900, pieces={kinds.CHARACTERS: 40}, output_limit=0),
            price(rates=SPEECH, output_max=0),
            40 * 15_000,
            0,
            id="speech by the character has no tokens",
        ),
        pytest.param(
            Asked(text_bytes=36, pieces={kinds.CHARACTERS: 40}),
            price(),
            100 * 100,
            400_000,
            id="speech by the token has no characters",
        ),
        pytest.param(
            Asked(
                text_bytes=36,
                pieces={kinds.IMAGES: 2},
                input_kinds=(kinds.INPUT, kinds.IMAGE_INPUT),
                output_kinds=(kinds.IMAGE_OUTPUT,),
            ),
            price(rates=PAINTING),
            100 * 10_000,
            40_000_000,
            id="a painted image by its tokens, and the prompt at its dearest kind",
        ),
        pytest.param(
            Asked(text_bytes=36, pieces={kinds.WEB_SEARCH: 3}),
            price(rates=SEARCHING),
            100 * 100 + 3 * 10_000_000 + 5_000,
            400_000,
            id="searches beside the tokens, and the fee for the call",
        ),
    ],
)
def test_what_is_billed_by_the_piece_is_bounded_by_the_most_pieces(
    asked: Asked, model: ModelPrice, input_worst: int, output_rate: int
) -> None:
    bound = bound_of(asked, [model])
    assert bound.input_worst_nano_usd == input_worst
    assert bound.output_rate_pico_usd == output_rate


@pytest.mark.parametrize(
    ("asked", "model", "missing"),
    [
        (Asked(text_bytes=1), price(rates=SPEECH, output_max=0), kinds.INPUT),
        (Asked(text_bytes=1, pieces={kinds.WEB_SEARCH: 1}), price(), kinds.WEB_SEARCH),
    ],
)
def test_pieces_without_a_rate_have_no_bound(asked: Asked, model: ModelPrice, missing: str) -> None:
    with pytest.raises(UnpriceableError, match=missing):
        bound_of(asked, [model])


@given(
    text_bytes=st.integers(0, 3_000),
    choices=st.integers(1, 4),
    limit=st.integers(0, 1_000),
    share=st.tuples(*[st.integers(0, 100)] * 4),
    implicit=st.booleans(),
)
def test_no_usage_within_the_request_costs_more_than_the_bound(
    text_bytes: int, choices: int, limit: int, share: tuple[int, int, int, int], implicit: bool
) -> None:
    tiers = (Tier(0, WRITES), Tier(500, {**WRITES, kinds.INPUT: 300_000}), Tier(900, RATES))
    model = price(tiers=tiers, implicit=implicit)
    asked = Asked(text_bytes=text_bytes, choices=choices, output_limit=limit)
    bound = bound_of(asked, [model])
    tokens = input_bound_tokens(asked, model)
    plain, cached, written, output = share
    parts = plain + cached + (written if implicit else 0) or 1
    used = {
        kinds.INPUT: tokens * plain // parts,
        kinds.CACHED: tokens * cached // parts,
        kinds.CACHE_WRITE: tokens * written // parts if implicit else 0,
        kinds.OUTPUT: choices * limit * output // 100,
    }
    assert cost_nano_usd(used, model) <= bound.worst_nano_usd(limit)


@pytest.mark.parametrize(
    ("text", "growth"),
    [
        ("plain", 0),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}", 0),
        ("\ufdfa", 30),
        ("a\ufdfab\ufdfa", 60),
        # A dot below goes before the accent, so that both stand by themselves: four bytes or five.
        ("\u00e9\u0323" * 9, 9),
        ("\u0231\u0323", 3),
        ("\ud55c\u0323", 0),
    ],
)
def test_texts_that_grow_when_normalised_are_counted(text: str, growth: int) -> None:
    assert expanded_bytes(text) == growth


@given(st.text())
def test_growth_is_never_less_than_what_normalising_adds(text: str) -> None:
    normal = unicodedata.normalize("NFKC", text)
    assert len(normal.encode()) - len(text.encode()) <= expanded_bytes(text)


def test_a_kind_that_needs_a_rate_of_its_own_is_not_bounded_by_its_parents() -> None:
    asked = Asked(text_bytes=10, own_rates=(kinds.AUDIO_INPUT,))
    with pytest.raises(UnpriceableError, match="audio_input"):
        bound_of(asked, [price()])
