"""Gemini's part of the price book that comes with the software.

Rates are list prices from the same catalogue and of the same day as the rest of the book. Models
whose price is to change on a day that is known already are left out: an imported catalogue has
dates, this book has none. Limits are the models' published ones.
"""

from typing import Final

from protos.values import quantities as kinds
from protos.values.money import usd_per_million_to_pico
from protos.values.rates import ModelPrice, Tier

_WINDOW: Final = (1_048_576, 65_536)
_CLIFF: Final = 200_000
"""Above this prompt the Pro models are dearer."""


def _tier(above_input: int, plain: str, cached: str, output: str) -> Tier:
    named = {kinds.INPUT: plain, kinds.CACHED: cached, kinds.OUTPUT: output}
    return Tier(above_input, {kind: usd_per_million_to_pico(rate) for kind, rate in named.items()})


def _gemini(version: str, model: str, tiers: tuple[Tier, ...], *aliases: str) -> ModelPrice:
    """A model that thinks unseen, and whose tokenizer is not known to leave text as it is."""
    return ModelPrice(
        "gemini",
        model,
        aliases,
        *_WINDOW,
        tiers,
        version,
        expands_text=True,
        hides_reasoning=True,
    )


def _hears(tier: Tier, audio: str, cached_audio: str) -> Tier:
    """A tier in which sound has rates of its own."""
    heard = {
        kinds.AUDIO_INPUT: usd_per_million_to_pico(audio),
        kinds.CACHED_AUDIO: usd_per_million_to_pico(cached_audio),
    }
    return Tier(tier.above_input, {**tier.rates_pico_usd, **heard})


def _embedding(version: str, model: str, input_max: int, rates: dict[str, str]) -> ModelPrice:
    """A model whose limit is that of one content; a request may carry many."""
    tier = Tier(0, {kind: usd_per_million_to_pico(rate) for kind, rate in rates.items()})
    return ModelPrice("gemini", model, (), input_max, 0, (tier,), version, expands_text=True)


def gemini_prices(version: str) -> tuple[ModelPrice, ...]:
    """Every price of Gemini's in a version of the book."""
    return (
        # USD per million: input, cached input, output; sound, cached sound
        _gemini(version, "gemini-2.5-flash", (_hears(_tier(0, "0.3", "0.03", "2.5"), "1", "0.1"),)),
        _gemini(
            version,
            "gemini-2.5-flash-lite",
            (_hears(_tier(0, "0.1", "0.01", "0.4"), "0.3", "0.03"),),
        ),
        _gemini(
            version,
            "gemini-2.5-pro",
            (_tier(0, "1.25", "0.125", "10"), _tier(_CLIFF, "2.5", "0.25", "15")),
        ),
        _gemini(
            version,
            "gemini-3-flash-preview",
            (_hears(_tier(0, "0.5", "0.05", "3"), "1", "0.1"),),
        ),
        _gemini(
            version,
            "gemini-3.1-flash-lite",
            (_hears(_tier(0, "0.25", "0.025", "1.5"), "0.5", "0.05"),),
            "gemini-3.1-flash-lite-preview",
        ),
        _gemini(
            version,
            "gemini-3.1-pro-preview",
            (_tier(0, "2", "0.2", "12"), _tier(_CLIFF, "4", "0.4", "18")),
        ),
        _gemini(version, "gemini-3.5-flash", (_tier(0, "1.5", "0.15", "9"),)),
        _gemini(version, "gemini-3.5-flash-lite", (_tier(0, "0.3", "0.03", "2.5"),)),
        _embedding(version, "gemini-embedding-001", 2_048, {kinds.INPUT: "0.15"}),
        _embedding(
            version,
            "gemini-embedding-2",
            8_192,
            {
                kinds.INPUT: "0.2",
                kinds.AUDIO_INPUT: "6.5",
                kinds.IMAGE_INPUT: "0.45",
                kinds.VIDEO_INPUT: "12",
            },
        ),
    )
