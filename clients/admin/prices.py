"""Prices: what models cost, from an instant on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire, instant_to_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.rates import Tier, Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's limits and rates from an instant on. A version never changes."""

    provider: str
    """The provider that serves the model."""
    model: str
    """The model's id at the provider."""
    aliases: tuple[str, ...] = ()
    """Other ids of the same model, matched exactly."""
    input_max_count: int
    """Tokens of prompt that the model takes at most."""
    output_max_count: int
    """Tokens that it writes at most; 0 for embeddings."""
    tiers: tuple[Tier, ...]
    """Rates by size of the prompt, from above_input 0 up."""
    valid_from_time: datetime | None = None
    """From when it holds; None for now."""
    cache_write_implicit: bool = False
    """Cache writes are billed without being asked for."""
    expands_text: bool = False
    """The tokenizer may make more tokens than bytes."""
    hides_reasoning: bool = False
    """Output tokens may be billed that are never shown."""
    variants: tuple[Variant, ...] = ()
    """What it costs when it is served otherwise than usual."""
    version: str = ""
    """The version of the price book that brought it; made by the control plane."""
    source: str = ""
    """Where it comes from, such as "built in" or "operator"; made by the control plane."""


class Prices:
    """Reads prices and sets them. Nothing is deleted: a price holds until a later one begins."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.PriceServiceStub(wire.channel)

    def list(self, *, provider: str = "", show_history: bool = False) -> Iterator[Price]:
        """Yield the prices in force and those to come."""

        def fetch(token: str) -> v1.ListPricesResponse:
            request = v1.ListPricesRequest(
                page_size=PAGE_ITEMS,
                page_token=token,
                provider=provider,
                show_history=show_history,
            )
            return self._wire.ask(self._stub.ListPrices, request)

        return self._wire.pages(fetch, lambda page: map(price_from_wire, page.prices))

    def set(self, price: Price, *, reason: str = "", request_id: str = "") -> Price:
        """Set the price of one model, from now or from a later instant on."""
        request = v1.SetPriceRequest(
            request_id=request_id or self._wire.request_id(),
            price=price_to_wire(price),
            reason=reason,
        )
        return price_from_wire(self._wire.ask(self._stub.SetPrice, request))


def price_to_wire(price: Price) -> v1.Price:
    """Write a price, without what the control plane makes."""
    return v1.Price(
        provider=price.provider,
        model=price.model,
        aliases=price.aliases,
        input_max_count=price.input_max_count,
        output_max_count=price.output_max_count,
        tiers=_tiers_to_wire(price.tiers),
        valid_from_time=instant_to_wire(price.valid_from_time),
        cache_write_implicit=price.cache_write_implicit,
        expands_text=price.expands_text,
        hides_reasoning=price.hides_reasoning,
        variants=[
            v1.PriceVariant(name=variant.name, tiers=_tiers_to_wire(variant.tiers))
            for variant in price.variants
        ],
    )


def _tiers_to_wire(tiers: Sequence[Tier]) -> Iterator[v1.PriceTier]:
    for tier in tiers:
        rates = [v1.Rate(kind=kind, pico_usd=rate) for kind, rate in tier.rates_pico_usd.items()]
        yield v1.PriceTier(above_input_count=tier.above_input, rates=rates)


def price_from_wire(wire: v1.Price) -> Price:
    """Read a price."""
    return Price(
        provider=wire.provider,
        model=wire.model,
        aliases=tuple(wire.aliases),
        input_max_count=wire.input_max_count,
        output_max_count=wire.output_max_count,
        tiers=_tiers_from_wire(wire.tiers),
        valid_from_time=instant_or_none_from_wire(wire.valid_from_time),
        cache_write_implicit=wire.cache_write_implicit,
        expands_text=wire.expands_text,
        hides_reasoning=wire.hides_reasoning,
        variants=tuple(
            Variant(variant.name, _tiers_from_wire(variant.tiers)) for variant in wire.variants
        ),
        version=wire.version,
        source=wire.source,
    )


def _tiers_from_wire(tiers: Iterable[v1.PriceTier]) -> tuple[Tier, ...]:
    return tuple(
        Tier(
            above_input=tier.above_input_count,
            rates_pico_usd={rate.kind: rate.pico_usd for rate in tier.rates},
        )
        for tier in tiers
    )
