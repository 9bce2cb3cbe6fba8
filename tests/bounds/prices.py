"""Prices from a seed: any kind may be the dear one, and cliffs, variants and versions lie close."""

import random
from collections.abc import Mapping, Sequence
from math import exp, log

from protos.values.rates import ModelPrice, Tier, Variant
from sidecar.core.policy import DatedPrice
from tests.bounds.cases import Tiers, Version

_OPTIONAL = (
    *("cached", "cache_write", "cache_write_long", "audio_input", "cached_audio"),
    *("image_input", "cached_image", "video_input", "audio_output", "image_output"),
)
_STARTS_MS = (-60_000, 1, 299_000, 600_000, 600_001, 3_600_000)
"""When further versions come into force: some within the longest call, some behind it."""
VERSIONS_MAX = 3


def spread(rng: random.Random, least: int, most: int) -> int:
    """A whole number whose size is as likely small as large."""
    return int(exp(rng.uniform(log(least), log(most + 1))))


def _rates(rng: random.Random, wanted: Sequence[str]) -> dict[str, int]:
    kinds = [*wanted, *(kind for kind in _OPTIONAL if rng.random() < 0.3)]
    if rng.random() < 0.1:
        kinds.append("calls")
    return {kind: 0 if rng.random() < 0.02 else spread(rng, 1_000, 50_000_000) for kind in kinds}


def _tiers(rng: random.Random, wanted: Sequence[str]) -> Tiers:
    above = {0}
    while rng.random() < 0.3 and len(above) < 3:
        above.add(spread(rng, 20, 20_000))
    return tuple((start, _rates(rng, wanted)) for start in sorted(above))


def version(
    rng: random.Random,
    wanted: Sequence[str],
    variants: Sequence[str],
    *,
    writes: bool,
    from_ms: int,
) -> Version:
    """One version of a price with a rate for each kind that is wanted."""
    named = {name: _tiers(rng, wanted) for name in variants if rng.random() < 0.6}
    if rng.random() < 0.1:
        name = rng.choice(["", *named])
        parts = {"disputed", *filter(None, name.split("+"))}
        named["+".join(sorted(parts))] = _tiers(rng, wanted)
    return Version(
        from_ms=from_ms,
        window=spread(rng, 300, 200_000),
        writes=spread(rng, 1, 20_000) if writes else 0,
        tiers=_tiers(rng, wanted),
        variants=named,
        writes_cache_unasked=rng.random() < 0.2,
        normalises=rng.random() < 0.4,
    )


def versions(
    rng: random.Random, wanted: Sequence[str], variants: Sequence[str], *, writes: bool = True
) -> tuple[Version, ...]:
    """The version in force, and perhaps others before and behind it."""
    starts = [-3_600_000]
    if rng.random() < 0.3:
        starts += rng.sample(_STARTS_MS, rng.randint(1, VERSIONS_MAX - 1))
    return tuple(
        version(rng, wanted, variants, writes=writes, from_ms=start) for start in sorted(starts)
    )


def _as_tiers(tiers: Tiers) -> tuple[Tier, ...]:
    return tuple(Tier(above, rates) for above, rates in tiers)


def _as_variants(variants: Mapping[str, Tiers]) -> tuple[Variant, ...]:
    return tuple(Variant(name, _as_tiers(tiers)) for name, tiers in variants.items())


def dated(provider: str, model: str, known: Version, now_ms: int) -> DatedPrice:
    """A version as the price book has it."""
    price = ModelPrice(
        provider=provider,
        model=model,
        aliases=(),
        input_max=known.window,
        output_max=known.writes,
        tiers=_as_tiers(known.tiers),
        version=f"from {known.from_ms}",
        cache_write_implicit=known.writes_cache_unasked,
        expands_text=known.normalises,
        variants=_as_variants(known.variants),
    )
    return DatedPrice(price, now_ms + known.from_ms)
