"""The built-in book can be applied, and agrees with the outside truth of demos and tests."""

from collections.abc import Mapping
from fractions import Fraction

from clients.rehearsal import prices as rehearsal
from control_plane.core.built_in_prices import BOOK, BOOK_VERSION
from control_plane.core.prices import Price, check_names_free, check_price, models_by_name
from protos.values.money import usd_per_million_to_pico

PRICES = [Price(price, 0, "built in") for price in BOOK]
BY_NAME = {
    (price.provider, name): price for price in BOOK for name in (price.model, *price.aliases)
}


def test_every_price_can_be_applied_and_no_name_means_two_models() -> None:
    for price in BOOK:
        check_price(price)
        check_names_free(price, PRICES)
        assert price.version == BOOK_VERSION
    assert len({(price.provider, price.model) for price in BOOK}) == len(BOOK)
    assert all(len(models) == 1 for models in models_by_name(PRICES).values())


def test_tiers_only_get_dearer() -> None:
    for price in BOOK:
        for below, above in zip(price.tiers, price.tiers[1:], strict=False):
            for kind, rate_pico_usd in below.rates_pico_usd.items():
                assert above.rates_pico_usd[kind] > rate_pico_usd


def test_the_rehearsal_provider_bills_what_the_book_says() -> None:
    compared = 0
    for model in rehearsal.MODELS:
        if "rehearsal" in model.name:
            continue
        for name in (model.name, *model.aliases):
            price = BY_NAME[model.provider, name]
            rates = price.tier(0).rates_pico_usd
            assert price.model == model.name
            if "input" in rates:
                assert rates["input"] == usd_per_million_to_pico(model.input)
            else:
                assert model.input == "0"
            assert rates.get("cached") == pico(model.cached_input)
            assert rates.get("cache_write") == pico(model.cache_write)
            assert rates.get("cache_write_long") == pico(model.cache_write_1h)
            assert price.output_max >= model.max_output_tokens
            assert price.input_max >= model.max_input_tokens
            # The rehearsal provider takes no prompt that would fall in a higher tier.
            assert price.tier(model.max_input_tokens) == price.tiers[0]
            if model.provider != "gemini":
                # The rehearsed Gemini hears and sees nothing, and tells no rates for it.
                compare_media(rates, model.media)
            if price.output_max and model.serves != rehearsal.SPEECH:
                assert rates["output"] == usd_per_million_to_pico(model.output)
            compared += 1
    assert compared > 20


def compare_media(rates: Mapping[str, int], told: rehearsal.MediaRates) -> None:
    assert rates.get("image_input") == pico(told.image_input)
    assert rates.get("image_output") == pico(told.image_output)
    assert rates.get("audio_input") == pico(told.audio_input)
    assert rates.get("audio_output") == pico(told.audio_output)
    assert rates.get("characters") == pico(told.per_million_characters)
    minute = None if told.per_minute is None else Fraction(told.per_minute) * 10**12
    assert rates.get("milliseconds") == (None if minute is None else minute / 60_000)


def pico(rate: str | None) -> int | None:
    return None if rate is None else usd_per_million_to_pico(rate)


def test_what_only_one_family_does_is_marked() -> None:
    assert all(price.expands_text == (price.provider != "openai") for price in BOOK)
    writers = {price.model for price in BOOK if price.cache_write_implicit}
    assert writers
    assert all(model.startswith(("gpt-5.6", "gpt-6")) for model in writers)
    assert not any(price.hides_reasoning for price in BOOK if price.output_max == 0)
