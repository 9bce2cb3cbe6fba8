"""Reads genai-prices (MIT): dated prices in decimal dollars, with tiers and variants.

Rules:
1. Every unit is mapped to one kind, exactly; a model with a unit that has no kind here (pages,
   messages) is left out and says why. The catalogue counts in thousands, millions and hours.
2. Its ids go by prefixes and patterns; here only the exact ones count as names.
3. A price that changes over the day is taken at its dearest.
4. A variant replaces single rates, and names no fee: what it does not name is standard.
5. Decimal arithmetic is exact at its 28 digits; a rate that is finer than a pico-dollar is rounded
   up, once.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from genai_prices import data
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from control_plane.core.offers import Entry, Offer, Rates, rate_pico_usd, tiers_at
from protos.values import quantities as kinds
from protos.values.rates import STANDARD, Tier, variant_of

_MILLION: Final = 10**6
_THOUSAND: Final = 10**3
_HOUR_MS: Final = 3_600_000
_UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "input_mtok": (kinds.INPUT, _MILLION),
    "cache_read_mtok": (kinds.CACHED, _MILLION),
    "cache_write_mtok": (kinds.CACHE_WRITE, _MILLION),
    "cache_write_1h_mtok": (kinds.CACHE_WRITE_LONG, _MILLION),
    "output_mtok": (kinds.OUTPUT, _MILLION),
    "output_reasoning_mtok": (kinds.OUTPUT, _MILLION),
    "input_audio_mtok": (kinds.AUDIO_INPUT, _MILLION),
    "cache_audio_read_mtok": (kinds.CACHED_AUDIO, _MILLION),
    "output_audio_mtok": (kinds.AUDIO_OUTPUT, _MILLION),
    "input_image_mtok": (kinds.IMAGE_INPUT, _MILLION),
    "cache_image_read_mtok": (kinds.CACHED_IMAGE, _MILLION),
    "output_image_mtok": (kinds.IMAGE_OUTPUT, _MILLION),
    "input_video_mtok": (kinds.VIDEO_INPUT, _MILLION),
    "web_searches_kcount": (kinds.WEB_SEARCH, _THOUSAND),
    "storage_searches_kcount": (kinds.FILE_SEARCH, _THOUSAND),
    "requests_kcount": (kinds.CALLS, _THOUSAND),
    "input_mchars": (kinds.CHARACTERS, _MILLION),
    "audio_hours": (kinds.MILLISECONDS, _HOUR_MS),
    "input_audio_hours": (kinds.MILLISECONDS, _HOUR_MS),
}
_GROUNDED: Final = frozenset({"google"})
"""Whose searches are counted as queries that ground an answer."""
_STANDARD_WORDS: Final = frozenset({"default", "standard"})
_WHEN: Final = frozenset({"service_tier", "processing", "speed"})
"""What a variant may depend on; any other is left out."""

_Prices = Mapping[str, Decimal | TieredPrices]


class UnitError(ValueError):
    """A price is by a unit that has no kind here."""


def entries(provider_id: str, now_unix_ms: int) -> list[Entry]:
    """Every model of one of the catalogue's providers; none for one that it does not know."""
    return [
        _entry(provider, model, now_unix_ms)
        for provider in data.providers
        if provider.id == provider_id
        for model in provider.models
    ]


def _entry(provider: Provider, model: ModelInfo, now_unix_ms: int) -> Entry:
    offers: tuple[Offer, ...] = ()
    unreadable = ""
    try:
        offers = tuple(_offers(provider.id, model, now_unix_ms))
    except UnitError as error:
        unreadable = str(error)
    return Entry(
        model=model.id,
        is_exact=model.id in _exact(model.match),
        names=tuple(name for name in _exact(model.match) if name != model.id),
        accepts=model.is_match,
        retired=bool(model.deprecated),
        input_max=model.context_window or 0,
        offers=offers,
        unreadable=unreadable,
    )


def _exact(match: MatchLogic) -> Iterator[str]:
    """The ids that a rule takes as they are."""
    if isinstance(match, ClauseEquals):
        yield match.equals
    elif isinstance(match, ClauseOr):
        for part in match.or_:
            yield from _exact(part)


def _offers(provider_id: str, model: ModelInfo, now_unix_ms: int) -> Iterator[Offer]:
    """What holds now, and what begins later and differs."""
    begins = {_unix_ms(day) for day in _start_dates(model)}
    before: Offer | None = None
    for at in (now_unix_ms, *sorted(begin for begin in begins if begin > now_unix_ms)):
        moment = datetime.fromtimestamp(at / 1000, UTC)
        standard = _standard(model, moment)
        variants = {
            name: _tiers(provider_id, {**standard, **prices})
            for name, prices in _variants(model, moment).items()
        }
        offer = Offer(0 if before is None else at, _tiers(provider_id, standard), variants)
        if before is None or (before.tiers, before.variants) != (offer.tiers, offer.variants):
            before = offer
            yield offer


def _start_dates(model: ModelInfo) -> Iterator[date]:
    conditional = model.prices if isinstance(model.prices, list) else []
    priced: list[ConditionalPrice | PriceVariant] = [*conditional, *(model.price_variants or [])]
    for one in priced:
        if isinstance(one.constraint, StartDateConstraint):
            yield one.constraint.start_date


def _unix_ms(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1000


def _standard(model: ModelInfo, moment: datetime) -> _Prices:
    if isinstance(model.prices, ModelPrice):
        return _named(model.prices)
    found = _named(model.prices[0].prices)
    by_hour: list[_Prices] = []
    for one in model.prices:
        if isinstance(one.constraint, TimeOfDateConstraint):
            by_hour.append(_named(one.prices))
        elif one.constraint is None or one.constraint.active(moment):
            found = _named(one.prices)
    for other in by_hour:
        found = {
            **found,
            **{unit: _dearer(found.get(unit), price) for unit, price in other.items()},
        }
    return found


def _variants(model: ModelInfo, moment: datetime) -> dict[str, _Prices]:
    """The prices of each variant; of two that hold, the first one's, as the catalogue has it."""
    found: dict[str, _Prices] = {}
    for one in model.price_variants or []:
        if one.constraint is not None and not one.constraint.active(moment):
            continue
        if not _WHEN.issuperset(one.when):
            continue
        name = variant_of(*(set(one.when.values()) - _STANDARD_WORDS))
        if name != STANDARD:
            found[name] = {**_named(one.prices), **found.get(name, {})}
    return found


def _named(prices: ModelPrice) -> _Prices:
    return {
        unit: price
        for unit, price in vars(prices).items()
        if isinstance(price, Decimal | TieredPrices)
    }


def _dearer(
    one: Decimal | TieredPrices | None, other: Decimal | TieredPrices
) -> Decimal | TieredPrices:
    return other if one is None or _at(one, 0) < _at(other, 0) else one


def _tiers(provider_id: str, prices: _Prices) -> tuple[Tier, ...]:
    unknown = sorted(set(prices) - set(_UNITS))
    if unknown:
        raise UnitError(f"it is priced by {unknown[0]}, which has no kind here")
    bounds = [
        tier.start
        for price in prices.values()
        if isinstance(price, TieredPrices)
        for tier in price.tiers
    ]

    def rates(bound: int) -> Rates:
        found: dict[str, int] = {}
        for unit, price in prices.items():
            kind, units = _UNITS[unit]
            if kind == kinds.WEB_SEARCH and provider_id in _GROUNDED:
                kind = kinds.GROUNDING
            # Two units of one kind (reasoning and output): the dearer.
            found[kind] = max(found.get(kind, 0), rate_pico_usd(_at(price, bound), units))
        return found

    return tiers_at(bounds, rates)


def _at(price: Decimal | TieredPrices, bound: int) -> Decimal:
    """What holds for prompts just above a bound."""
    if isinstance(price, Decimal):
        return price
    found = price.base
    for tier in price.tiers:
        if tier.start <= bound:
            found = tier.price
    return found
