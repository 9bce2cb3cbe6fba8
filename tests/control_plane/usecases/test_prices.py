"""Prices: a later one replaces, nothing is deleted, and the built-in book keeps to itself."""

from dataclasses import replace
from functools import partial

import pytest

from control_plane.core.built_in_prices import BOOK
from control_plane.core.pages import Asked
from control_plane.core.prices import Price, in_force, since
from control_plane.store import prices as store
from control_plane.usecases import prices
from protos.values.errors import AlreadyExistsError, InvalidArgumentError
from protos.values.rates import ModelPrice, Tier, Variant
from tests.control_plane.desk import HOUR_MS, Desk


def price(model: str = "house-model", rate_pico_usd: int = 1_000, **fields: object) -> ModelPrice:
    made = ModelPrice(
        provider="openai",
        model=model,
        aliases=(),
        input_max=1_000,
        output_max=100,
        tiers=(Tier(0, {"input": rate_pico_usd, "output": 2 * rate_pico_usd}),),
        version="",
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def put(desk: Desk, wanted: ModelPrice, at: int | None = None) -> Price:
    return desk.do(lambda tx, act: prices.set_price(tx, wanted, at, "because", act))


def listed(desk: Desk, *, history: bool = False) -> list[Price]:
    found: list[Price] = []
    token = ""
    while True:
        page = desk.read(
            partial(
                prices.list_prices,
                asked=Asked(7, token),
                provider="openai",
                show_history=history,
                now_unix_ms=desk.now,
            )
        )
        found += page.items
        token = page.next_token
        if not token:
            return [row for row in found if row.model_price.model == "house-model"]


def test_the_built_in_book_is_there_from_the_first_start(desk: Desk) -> None:
    known = desk.read(store.everything)
    assert {row.name for row in known} == {(p.provider, p.model) for p in BOOK}
    assert all(row.source == "built in" for row in known)
    stored = {row.name: row.model_price for row in known}
    assert all(stored[p.provider, p.model] == p for p in BOOK)


def test_a_price_holds_until_a_later_one_begins(desk: Desk) -> None:
    first = put(desk, price())
    later = put(desk, price(rate_pico_usd=5_000), desk.now + HOUR_MS)
    assert listed(desk) == [first, later]
    assert in_force(listed(desk), desk.now)["openai", "house-model"] == first
    desk.pass_ms(HOUR_MS)
    assert listed(desk) == [later]
    assert listed(desk, history=True) == [first, later]
    # A sidecar still gets the one that calls under way began under.
    assert since(listed(desk, history=True), desk.now - HOUR_MS) == [first, later]
    desk.pass_ms(2 * HOUR_MS)
    assert since(listed(desk, history=True), desk.now - HOUR_MS) == [later]


def test_of_two_prices_that_begin_together_the_one_that_was_set_later_holds(desk: Desk) -> None:
    begins = desk.now + HOUR_MS
    put(desk, price(), begins)
    second = put(desk, price(rate_pico_usd=7), begins)
    desk.pass_ms(HOUR_MS)
    assert listed(desk) == [second]


def test_every_price_has_a_version_of_its_own_and_reaches_sidecars(desk: Desk) -> None:
    before = desk.policy_version()
    one, two = put(desk, price()), put(desk, price())
    assert one.model_price.version != two.model_price.version
    assert desk.policy_version() == before + 2


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (price(model=""), "price.model"),
        (price(model="a b"), "price.model"),
        (price(input_max=0), "price.input_max_count"),
        (price(output_max=-1), "price.output_max_count"),
        (price(aliases=("house-model",)), "price.aliases"),
        (price(aliases=("x", "x")), "price.aliases"),
        (price(tiers=(Tier(0, {"input": 1}),)), "price.tiers.rates"),
        (price(tiers=(Tier(0, {"output": 1}),)), "price.tiers.rates"),
        (price(tiers=(Tier(0, {"input": -1, "output": 1}),)), "price.tiers.rates.pico_usd"),
        (
            price(tiers=(Tier(0, {"input": 1, "output": 1, "reasoning": 1}),)),
            "price.tiers.rates.kind",
        ),
        (
            price(
                tiers=(
                    Tier(0, {"input": 1, "output": 1, "cached": 1}),
                    Tier(9, {"input": 1, "output": 1}),
                )
            ),
            "price.tiers",
        ),
        (price(tiers=(Tier(0, {"cached": 1, "characters": 1, "output": 1}),)), "price.tiers.rates"),
        (price(output_max=0, tiers=(Tier(0, {"web_search": 1}),)), "price.tiers.rates"),
        (price(output_max=0, tiers=(Tier(0, {}),)), "price.tiers.rates"),
        (
            price(variants=(Variant("flex", (Tier(0, {"input": 1}),)),)),
            "price.variants.tiers.rates",
        ),
    ],
)
def test_a_price_that_could_not_be_applied_is_refused(
    desk: Desk, wanted: ModelPrice, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        put(desk, wanted)
    assert caught.value.fields["field"] == field


PICTURES = {"input": 5, "image_input": 10, "image_output": 40}


@pytest.mark.parametrize(
    ("rates", "output_max"),
    [
        ({"characters": 15}, 0),
        ({"milliseconds": 100_000}, 0),
        ({"images": 40_000_000_000}, 0),
        (PICTURES, 100),
        ({"input": 1, "audio_output": 2}, 100),
        ({"calls": 1, "output": 2}, 100),
    ],
)
def test_a_price_may_be_by_the_piece_and_in_variants(
    desk: Desk, rates: dict[str, int], output_max: int
) -> None:
    tiers = (Tier(0, rates),)
    placed = put(
        desk, price(output_max=output_max, tiers=tiers, variants=(Variant("flex", tiers),))
    )
    assert listed(desk) == [placed]


def test_the_past_has_its_prices_already(desk: Desk) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        put(desk, price(), desk.now - 1)
    assert caught.value.fields["field"] == "price.valid_from_time"


def test_a_name_never_means_two_models(desk: Desk) -> None:
    for wanted in (price(aliases=("gpt-4o-2024-08-06",)), price(model="gpt-4o-2024-08-06")):
        with pytest.raises(AlreadyExistsError):
            put(desk, wanted)


def test_a_newer_book_brings_what_is_new_and_leaves_what_operators_set(desk: Desk) -> None:
    mine = put(desk, replace(BOOK[0], tiers=(Tier(0, {"input": 1, "output": 1, "cached": 1}),)))
    dearer = tuple(
        replace(
            p,
            version="built-in-next",
            tiers=tuple(
                Tier(t.above_input, {kind: rate + 1 for kind, rate in t.rates_pico_usd.items()})
                for t in p.tiers
            ),
        )
        if number in (0, 1)
        else replace(p, version="built-in-next")
        for number, p in enumerate(BOOK)
    )
    book = (*dearer, price("brand-new", version="built-in-next"))
    assert desk.do_alone(lambda tx: prices.install_built_in(tx, desk.now, book)) == 2
    assert desk.do_alone(lambda tx: prices.install_built_in(tx, desk.now, book)) == 0
    current = in_force(desk.read(store.everything), desk.now)
    assert current[mine.name] == mine
    assert current["openai", BOOK[1].model].model_price == dearer[1]
    assert current["openai", BOOK[2].model].model_price == BOOK[2]
    assert current["openai", "brand-new"].source == "built in"
