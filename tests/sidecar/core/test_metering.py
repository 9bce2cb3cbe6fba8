"""A report is charged exactly where it can be priced, and everything else never too low."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, Variant
from protos.values.selectors import Attributes
from sidecar.core import metering
from sidecar.core.bounds import Asked, bound_of
from sidecar.core.calls import Hold, NewCall
from sidecar.core.metering import Seen, Usage

PRICE = ModelPrice(
    provider="p",
    model="m",
    aliases=(),
    input_max=10_000,
    output_max=1_000,
    tiers=(Tier(0, {kinds.INPUT: 100_000, kinds.CACHED: 10_000, kinds.OUTPUT: 400_000}),),
    version="1",
)
HIDING = ModelPrice(
    provider="p",
    model="m",
    aliases=(),
    input_max=10_000,
    output_max=1_000,
    tiers=PRICE.tiers,
    version="1",
    hides_reasoning=True,
)
ASKED = Asked(text_bytes=936, choices=2)


def hold(asked: Asked = ASKED, clamped: int | None = None, price: ModelPrice = PRICE) -> Hold:
    bound = bound_of(asked, [price])
    call = NewCall(
        attributes=Attributes("prj", "key", "", "m"),
        secret_id="sec",
        provider="p",
        surface="/v1/chat/completions",
        alias="",
        execution="",
        step="",
        streamed=True,
        price_version="1",
        bound=bound,
    )
    limit = clamped if clamped is not None else bound.output_limit
    worst = bound.worst_nano_usd(bound.output_max if limit is None else limit)
    return Hold("call", call, worst, clamped, 0)


def test_a_usage_that_can_be_priced_is_charged_to_the_nano_dollar() -> None:
    used = {kinds.INPUT: 1, kinds.CACHED: 3, kinds.OUTPUT: 7}
    charge = metering.charge_of(Usage(used), PRICE, worst_nano_usd=10**9)
    assert charge.cost_nano_usd == -(-(100_000 + 30_000 + 2_800_000) // 1000)
    assert not charge.estimated


def test_a_usage_above_the_worst_case_is_charged_as_it_is() -> None:
    charge = metering.charge_of(Usage({kinds.OUTPUT: 100}), PRICE, worst_nano_usd=1)
    assert charge.cost_nano_usd == 40_000


@pytest.mark.parametrize(
    "usage",
    [
        Usage({kinds.OUTPUT: 1}, unpriced=("new_tokens",)),
        Usage({kinds.OUTPUT: 1, kinds.IMAGES: 1}),
        Usage({kinds.OUTPUT: 1}, variant="priority"),
    ],
)
def test_what_cannot_be_priced_is_charged_at_the_worst_case_and_flagged(usage: Usage) -> None:
    charge = metering.charge_of(usage, PRICE, worst_nano_usd=5_000)
    assert charge.cost_nano_usd == 5_000
    assert charge.estimated
    assert charge.unpriced
    assert charge.quantities == usage.quantities


def test_what_cannot_be_priced_is_never_charged_below_its_known_part() -> None:
    usage = Usage({kinds.OUTPUT: 100}, unpriced=("x",))
    assert metering.charge_of(usage, PRICE, worst_nano_usd=1).cost_nano_usd == 40_000


FLEX = Variant("flex", (Tier(0, {kinds.INPUT: 50_000, kinds.OUTPUT: 200_000}),))


def test_the_variant_that_the_provider_reports_decides_the_price() -> None:
    price = replace(PRICE, variants=(FLEX,))
    charge = metering.charge_of(Usage({kinds.OUTPUT: 100}, variant="flex"), price, 10**9)
    assert charge.cost_nano_usd == 20_000
    assert not charge.estimated


def test_an_unknown_variant_is_never_charged_below_the_standard_price() -> None:
    usage = Usage({kinds.OUTPUT: 100}, variant="ultrafast")
    charge = metering.charge_of(usage, PRICE, worst_nano_usd=1)
    assert charge.cost_nano_usd == 40_000
    assert charge.unpriced == ("the variant ultrafast",)


def test_a_fee_for_the_call_is_charged_once_and_told() -> None:
    rates = {**PRICE.tiers[0].rates_pico_usd, kinds.CALLS: 5_000_000}
    price = replace(PRICE, tiers=(Tier(0, rates),))
    charge = metering.charge_of(Usage({kinds.OUTPUT: 1}), price, worst_nano_usd=10**9)
    assert charge.cost_nano_usd == 400 + 5_000
    assert charge.quantities == {kinds.OUTPUT: 1, kinds.CALLS: 1}


def test_speech_of_which_nothing_is_told_is_taken_to_be_all_its_characters() -> None:
    price = replace(PRICE, output_max=0, tiers=(Tier(0, {kinds.CHARACTERS: 15_000_000}),))
    asked = Asked(text_bytes=900, pieces={kinds.CHARACTERS: 40}, output_limit=0)
    held = hold(asked, price=price)
    for charge in (
        metering.estimate_of(held, asked, price, Seen(output_bytes=9)),
        metering.worst_of(held, asked, price),
    ):
        assert charge.cost_nano_usd == 40 * 15_000
        assert charge.quantities == {kinds.CHARACTERS: 40}


def test_a_told_prompt_is_charged_at_the_dearest_variant_and_with_all_pieces() -> None:
    rates = {**PRICE.tiers[0].rates_pico_usd, kinds.WEB_SEARCH: 10_000_000}
    dear = {kind: 2 * rate for kind, rate in rates.items()}
    price = replace(PRICE, tiers=(Tier(0, rates),), variants=(Variant("fast", (Tier(0, dear),)),))
    asked = Asked(text_bytes=936, variants=("", "fast"), pieces={kinds.WEB_SEARCH: 3})
    held = hold(asked, price=price)
    seen = Seen(output_bytes=0, input_quantities={kinds.INPUT: 10})
    charge = metering.estimate_of(held, asked, price, seen)
    assert charge.cost_nano_usd == 10 * 200 + 3 * 20_000 + 256 * 800
    assert charge.quantities == {kinds.INPUT: 10, kinds.WEB_SEARCH: 3, kinds.OUTPUT: 256}


def test_a_told_prompt_is_charged_as_the_dearer_default_may_have_served_it() -> None:
    rates = PRICE.tiers[0].rates_pico_usd
    dear = {kind: 2 * rate for kind, rate in rates.items()}
    price = replace(PRICE, variants=(Variant("us", (Tier(0, dear),)),))
    asked = replace(ASKED, variants_if_priced=("us",))
    seen = Seen(output_bytes=0, input_quantities={kinds.INPUT: 10})
    charge = metering.estimate_of(hold(asked, price=price), asked, price, seen)
    assert charge.cost_nano_usd == 10 * 200 + 256 * 800


def test_an_answer_that_broke_off_is_charged_for_the_input_bound_and_what_was_seen() -> None:
    charge = metering.estimate_of(hold(), ASKED, PRICE, Seen(output_bytes=44))
    assert charge.cost_nano_usd == 1_000 * 100 + 300 * 400
    assert charge.quantities == {kinds.INPUT: 1_000, kinds.OUTPUT: 300}
    assert charge.estimated


def test_an_input_that_was_told_early_is_charged_exactly() -> None:
    seen = Seen(output_bytes=0, input_quantities={kinds.INPUT: 10, kinds.CACHED: 10})
    charge = metering.estimate_of(hold(), ASKED, PRICE, seen)
    assert charge.cost_nano_usd == 1_100 + 256 * 400


def test_a_model_that_hides_reasoning_is_charged_its_whole_bound() -> None:
    held = hold()
    charge = metering.estimate_of(held, ASKED, HIDING, Seen(output_bytes=1))
    assert charge.cost_nano_usd == held.worst_nano_usd
    assert charge.quantities == {kinds.INPUT: 1_000, kinds.OUTPUT: 2_000}


@pytest.mark.parametrize(("clamped", "tokens"), [(None, 2_000), (300, 600)])
def test_the_limit_on_the_wire_bounds_the_output(clamped: int | None, tokens: int) -> None:
    assert metering.output_bound_tokens(hold(clamped=clamped)) == tokens


@given(seen=st.integers(0, 10_000), clamped=st.none() | st.integers(0, 1_000))
def test_an_estimate_is_never_above_what_was_held(seen: int, clamped: int | None) -> None:
    held = hold(clamped=clamped)
    charge = metering.estimate_of(held, ASKED, PRICE, Seen(output_bytes=seen))
    assert charge.cost_nano_usd <= held.worst_nano_usd


def test_a_kind_without_a_rate_of_its_own_is_not_charged_at_its_parents() -> None:
    used = {kinds.INPUT: 10, kinds.AUDIO_INPUT: 10}
    needy = Usage(used, own_rates=(kinds.AUDIO_INPUT, kinds.AUDIO_OUTPUT))
    charge = metering.charge_of(needy, PRICE, 5_000)
    assert (charge.cost_nano_usd, charge.unpriced) == (5_000, (kinds.AUDIO_INPUT,))
    assert not metering.charge_of(Usage(used), PRICE, 5_000).estimated


@pytest.mark.parametrize(
    ("rates", "exact", "used"),
    [
        ({kinds.CHARACTERS: 1_000}, True, {kinds.CHARACTERS: 7}),
        ({kinds.CHARACTERS: 1_000}, False, None),
        ({kinds.INPUT: 1, kinds.CHARACTERS: 1_000}, True, None),
    ],
)
def test_a_request_tells_what_it_cost_where_it_is_paid_by_what_was_asked_for(
    rates: dict[str, int], exact: bool, used: dict[str, int] | None
) -> None:
    price = replace(PRICE, tiers=(Tier(0, rates),))
    asked = Asked(text_bytes=9, pieces={kinds.CHARACTERS: 7, kinds.IMAGES: 2}, pieces_exact=exact)
    usage = metering.usage_by_request(asked, price)
    assert (None if usage is None else usage.quantities) == used
