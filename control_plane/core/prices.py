"""What models cost, from which instant on.

A price never changes and is never deleted: a later one replaces it when it begins. Of the prices
of a model that have begun the one that began last is in force; of two that begin together, the one
that was set later.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from control_plane import limits
from control_plane.core import fields
from protos.values import quantities as kinds
from protos.values.errors import AlreadyExistsError
from protos.values.rates import ModelPrice, Tier, Variant, variant_of

BUILT_IN: Final = "built in"
"""The source of prices that come with the software."""
OPERATOR: Final = "operator"
"""The source of prices that somebody set."""

PRICED_KINDS: Final = frozenset(kinds.KINDS) - kinds.INFORMATIVE
"""The kinds that may have a rate."""
_VARIANT = re.compile(r"[a-z0-9][a-z0-9_.-]*(\+[a-z0-9][a-z0-9_.-]*)*")


@dataclass(frozen=True, slots=True)
class Price:
    """One model's price from an instant on."""

    model_price: ModelPrice
    """Limits and rates, and the version that the ledger names."""
    valid_from_unix_ms: int
    """From when it holds."""
    source: str
    """Where it comes from."""

    @property
    def name(self) -> tuple[str, str]:
        """Which model it is for: the provider and the model's id."""
        return self.model_price.provider, self.model_price.model

    @property
    def order(self) -> tuple[int, str]:
        """Later prices are larger."""
        return self.valid_from_unix_ms, self.model_price.version


def in_force(prices: Iterable[Price], now_unix_ms: int) -> dict[tuple[str, str], Price]:
    """The price of each model that holds at an instant."""
    found: dict[tuple[str, str], Price] = {}
    for price in prices:
        if price.valid_from_unix_ms <= now_unix_ms:
            before = found.get(price.name)
            if before is None or before.order < price.order:
                found[price.name] = price
    return found


def since(prices: Iterable[Price], from_unix_ms: int) -> list[Price]:
    """Every price that holds at an instant or at any later one, in order."""
    known = list(prices)
    first = in_force(known, from_unix_ms)
    kept = [
        price
        for price in known
        if price.valid_from_unix_ms > from_unix_ms or first[price.name] is price
    ]
    return sorted(kept, key=lambda price: (*price.name, *price.order))


def models_by_name(prices: Iterable[Price]) -> dict[str, set[str]]:
    """The ids of models by each id and alias that means them, over all providers."""
    names: dict[str, set[str]] = {}
    for price in prices:
        model = price.model_price.model
        for name in (model, *price.model_price.aliases):
            names.setdefault(name, set()).add(model)
    return names


def resolve_models(prices: Iterable[Price], names: Iterable[str], field: str) -> tuple[str, ...]:
    """The ids of models by ids and aliases, each once. Refuses a name without a price."""
    known = models_by_name(prices)
    found: dict[str, None] = {}
    for name in names:
        if name not in known:
            raise fields.invalid(
                field, f"there is no price for {name!r}: set its price first, or see ListPrices"
            )
        found.update(dict.fromkeys(sorted(known[name])))
    return tuple(found)


def resolve_model(prices: Iterable[Price], name: str, field: str) -> str:
    """The id of one model by its id or alias. Refuses a name without a price."""
    models = resolve_models(prices, [name], field)
    if len(models) > 1:
        raise fields.invalid(field, f"{name!r} means several models: {', '.join(models)}")
    return models[0]


def check_price(price: ModelPrice) -> ModelPrice:
    """A price that can be applied to every call of its model."""
    _check_model(price.provider, "price.provider")
    _check_model(price.model, "price.model")
    if len(price.aliases) > limits.MODEL_ALIASES_MAX:
        raise fields.invalid("price.aliases", f"at most {limits.MODEL_ALIASES_MAX}")
    for alias in price.aliases:
        _check_model(alias, "price.aliases")
    if len({price.model, *price.aliases}) != 1 + len(price.aliases):
        raise fields.invalid("price.aliases", "a name stands there twice")
    fields.check_between(price.input_max, 1, limits.MODEL_TOKENS_MAX, "price.input_max_count")
    fields.check_between(price.output_max, 0, limits.MODEL_TOKENS_MAX, "price.output_max_count")
    _check_applies(price.tiers, price.output_max, "price.tiers")
    for variant in price.variants:
        _check_applies(variant.tiers, price.output_max, "price.variants.tiers")
    return price


def _check_applies(tiers: tuple[Tier, ...], output_max: int, field: str) -> None:
    """Refuse tiers by which some call of the model could not be charged.

    A price is by the tokens of the prompt, and then has a rate for its text, or by the piece.
    """
    for tier in tiers:
        _check_rates(tier.rates_pico_usd, field)
    priced = set(tiers[0].rates_pico_usd)
    if any(set(tier.rates_pico_usd) != priced for tier in tiers):
        raise fields.invalid(field, "every tier must have a rate for the same kinds")
    by_piece = not priced & kinds.INPUT_KINDS and bool(priced & kinds.PIECE_KINDS)
    if kinds.INPUT not in priced and not by_piece:
        raise fields.invalid(f"{field}.rates", "a rate for input is missing")
    if output_max and not priced & kinds.OUTPUT_KINDS:
        raise fields.invalid(f"{field}.rates", "a rate for output is missing")


def check_tiers(tiers: tuple[Tier, ...], field: str = "price.tiers") -> tuple[Tier, ...]:
    """Tiers that rise from 0; checked before a price is made of them."""
    if not 1 <= len(tiers) <= limits.PRICE_TIERS_MAX:
        raise fields.invalid(field, f"1 to {limits.PRICE_TIERS_MAX} tiers")
    if tiers[0].above_input != 0:
        raise fields.invalid(field, "the first tier begins above_input_count 0")
    bounds = [tier.above_input for tier in tiers]
    if any(later <= earlier for earlier, later in pairwise(bounds)):
        raise fields.invalid(field, "above_input_count must rise from tier to tier")
    return tiers


def check_variants(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Variants by name, each once; checked before a price is made of them."""
    if len(variants) > limits.PRICE_VARIANTS_MAX:
        raise fields.invalid("price.variants", f"at most {limits.PRICE_VARIANTS_MAX}")
    for variant in variants:
        name = variant.name
        if not _VARIANT.fullmatch(name) or len(name) > limits.VARIANT_CHARACTERS_MAX:
            raise fields.invalid(
                "price.variants.name",
                f"1 to {limits.VARIANT_CHARACTERS_MAX} small letters, digits, - _ and ., such as"
                " flex; parts of a combination are joined by +",
            )
        if name != variant_of(name):
            raise fields.invalid("price.variants.name", f"write {variant_of(name)} for {name}")
    if len({variant.name for variant in variants}) != len(variants):
        raise fields.invalid("price.variants.name", "a name stands there twice")
    return tuple(sorted(variants, key=lambda variant: variant.name))


def check_names_free(price: ModelPrice, others: Iterable[Price]) -> None:
    """Refuse a model id or alias that already means another model of the provider."""
    taken: dict[str, str] = {}
    for other in others:
        if other.model_price.provider == price.provider and other.model_price.model != price.model:
            for name in (other.model_price.model, *other.model_price.aliases):
                taken[name] = other.model_price.model
    for name in (price.model, *price.aliases):
        if name in taken:
            raise AlreadyExistsError(
                f"{name!r} already means {taken[name]!r} at {price.provider}: take another alias",
                field="price.aliases",
                model=taken[name],
            )


def _check_model(name: str, field: str) -> None:
    good = 1 <= len(name) <= limits.MODEL_CHARACTERS_MAX and name.isascii() and name.isprintable()
    if not good or " " in name:
        raise fields.invalid(
            field, f"1 to {limits.MODEL_CHARACTERS_MAX} ASCII characters, no spaces"
        )


def _check_rates(rates_pico_usd: Mapping[str, int], field: str) -> None:
    for kind, rate_pico_usd in rates_pico_usd.items():
        if kind not in PRICED_KINDS:
            known = ", ".join(sorted(PRICED_KINDS))
            raise fields.invalid(f"{field}.rates.kind", f"one of {known}")
        fields.check_between(rate_pico_usd, 0, limits.RATE_PICO_USD_MAX, f"{field}.rates.pico_usd")
