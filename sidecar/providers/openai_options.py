"""Options that OpenAI's text APIs share: the service tier and the prompt cache."""

from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from protos.values.rates import STANDARD, variant_of
from sidecar.providers import dialects, reading
from sidecar.providers.reading import BadRequestError, unbounded

_STANDARD_TIERS = frozenset(("", "default", "auto", "standard", "on_demand"))
"""What the usual rates are called; `on_demand` is Groq's word."""
_SAME_TIERS = {"fast": "priority"}
"""Tiers that answers name otherwise than requests do."""
_SHORT_CACHES = (None, "", "in_memory", "in-memory")
TIER_MAX_CHARACTERS = 64


def variants_asked(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Every variant of the price that a request may be served as: its tier's, or the standard."""
    tier = value.get("service_tier")
    if tier is None:
        return (STANDARD,)
    if type(tier) is not str or len(tier) > TIER_MAX_CHARACTERS:
        raise BadRequestError("service_tier must be the name of a tier", "service_tier")
    told = variant_told(tier)
    return (STANDARD,) if told == STANDARD else (STANDARD, told)


def variant_told(tier: str) -> str:
    """The variant of the price that a tier, as requests and answers name it, is charged by."""
    return STANDARD if tier in _STANDARD_TIERS else variant_of(_SAME_TIERS.get(tier, tier))


def default_tier(value: Mapping[str, Any], provider: str) -> dict[str, str]:
    """What must be put into a request so that its tier is not left to a setting at the provider."""
    if dialects.named(provider).sets_tier and value.get("service_tier") in (None, "auto"):
        return {"service_tier": "default"}
    return {}


def cache_write(value: Mapping[str, Any], body: bytes) -> str:
    """Caching for longer than usual is billed at the dearest rate of cache writes.

    Gateways to Anthropic's models take its cache_control in OpenAI's requests too.
    """
    options = value.get("prompt_cache_options")
    if type(options) is dict and options.get("ttl") not in (None, "30m"):
        raise unbounded("prompt_cache_options", "the price book holds no rate for a cache so long")
    if value.get("prompt_cache_retention") not in _SHORT_CACHES:
        return kinds.CACHE_WRITE_LONG
    if reading.is_given(value, "prompt_cache_options"):
        return kinds.CACHE_WRITE_LONG
    return reading.marked_caches(value, body)
