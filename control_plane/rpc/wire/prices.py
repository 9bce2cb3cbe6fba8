"""Prices on the wire."""

from control_plane.core import fields
from control_plane.core.prices import Price, check_tiers, check_variants
from control_plane.core.proposals import IMPORTED, Change, Effect
from control_plane.rpc.wire.instants import instant_to_wire
from control_plane.usecases.price_imports import Proposal
from protos.bursar.admin import v1
from protos.values.rates import ModelPrice, Tier, Variant


def price_to_wire(price: Price) -> v1.Price:
    """A price."""
    of = price.model_price
    return v1.Price(
        provider=of.provider,
        model=of.model,
        aliases=of.aliases,
        input_max_count=of.input_max,
        output_max_count=of.output_max,
        tiers=[_tier_to_wire(tier) for tier in of.tiers],
        valid_from_time=instant_to_wire(price.valid_from_unix_ms),
        version=of.version,
        cache_write_implicit=of.cache_write_implicit,
        expands_text=of.expands_text,
        hides_reasoning=of.hides_reasoning,
        source=price.source,
        variants=[
            v1.PriceVariant(name=variant.name, tiers=map(_tier_to_wire, variant.tiers))
            for variant in of.variants
        ],
    )


def model_price_from_wire(message: v1.Price) -> ModelPrice:
    """Limits and rates; their version is made by the control plane."""
    return ModelPrice(
        provider=message.provider,
        model=message.model,
        aliases=tuple(message.aliases),
        input_max=message.input_max_count,
        output_max=message.output_max_count,
        tiers=check_tiers(tuple(_tier_from_wire(tier) for tier in message.tiers)),
        version=message.version,
        cache_write_implicit=message.cache_write_implicit,
        expands_text=message.expands_text,
        hides_reasoning=message.hides_reasoning,
        variants=check_variants(tuple(map(_variant_from_wire, message.variants))),
    )


def _variant_from_wire(message: v1.PriceVariant) -> Variant:
    tiers = tuple(map(_tier_from_wire, message.tiers))
    return Variant(message.name, check_tiers(tiers, "price.variants.tiers"))


_EFFECTS = {
    Effect.NEW: v1.PriceEffect.PRICE_EFFECT_NEW,
    Effect.DEARER: v1.PriceEffect.PRICE_EFFECT_DEARER,
    Effect.CHEAPER: v1.PriceEffect.PRICE_EFFECT_CHEAPER,
    Effect.MIXED: v1.PriceEffect.PRICE_EFFECT_MIXED,
    Effect.WIDER: v1.PriceEffect.PRICE_EFFECT_WIDER,
}


def proposal_to_wire(proposal: Proposal, sources: list[str]) -> v1.QueryPriceChangesResponse:
    """What would change."""
    return v1.QueryPriceChangesResponse(
        changes=map(_change_to_wire, proposal.changes),
        left_out=[
            v1.PriceLeftOut(provider=one.provider, model=one.model, why=one.why)
            for one in proposal.left_out
        ],
        sources=sources,
        digest=proposal.digest,
    )


def _change_to_wire(change: Change) -> v1.PriceChange:
    proposed = price_to_wire(Price(change.proposed, change.begins_unix_ms, IMPORTED))
    if not change.begins_unix_ms:
        proposed.ClearField("valid_from_time")
    return v1.PriceChange(
        effect=_EFFECTS[change.effect],
        proposed=proposed,
        current=price_to_wire(change.current) if change.current else None,
        is_override=change.is_override,
        remarks=change.remarks,
    )


def accepted_to_wire(accepted: list[Price]) -> v1.AcceptPricesResponse:
    """What was accepted."""
    return v1.AcceptPricesResponse(
        accepted=[
            v1.AcceptedPrice(
                provider=price.model_price.provider,
                model=price.model_price.model,
                version=price.model_price.version,
            )
            for price in accepted
        ]
    )


def _tier_to_wire(tier: Tier) -> v1.PriceTier:
    rates = sorted(tier.rates_pico_usd.items())
    return v1.PriceTier(
        above_input_count=tier.above_input,
        rates=[v1.Rate(kind=kind, pico_usd=rate_pico_usd) for kind, rate_pico_usd in rates],
    )


def _tier_from_wire(message: v1.PriceTier) -> Tier:
    rates = {rate.kind: rate.pico_usd for rate in message.rates}
    if len(rates) != len(message.rates):
        raise fields.invalid("price.tiers.rates", "a kind stands there twice")
    return Tier(message.above_input_count, rates)
