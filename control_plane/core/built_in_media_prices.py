"""The price book that comes with the software: pictures and sound.

List prices of OpenAI as the rest of the book has them: from genai-prices 0.2.3 (MIT), and for
`tts-1`, `tts-1-hd` and `whisper-1`, which it leaves out, as OpenAI publishes them. Pictures are
priced here only of the model that publishes how many tokens one makes; of the others an operator
must say what one can cost at most, as `images` or as the limit on output. How much a speaking model
writes at most is not published: the limit here is the family's.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from protos.values import quantities as kinds
from protos.values.money import usd_per_million_to_pico
from protos.values.rates import ModelPrice, Tier

_MS_PER_HOUR: Final = 3_600_000
_UNBOUNDED: Final = 1_000_000
"""Of models whose prompt is bounded by its bytes and not by a window that anybody publishes."""


_HEARS: Final = {kinds.INPUT: "2.5", kinds.AUDIO_INPUT: "6", kinds.OUTPUT: "10"}
_HEARS_LESS: Final = {kinds.INPUT: "1.25", kinds.AUDIO_INPUT: "3", kinds.OUTPUT: "5"}
_BY_TOKENS: Final = (
    # model and aliases; USD per million by kind; tokens: input, output
    (
        ("gpt-image-1-mini",),
        {
            kinds.INPUT: "2",
            kinds.CACHED: "0.2",
            kinds.IMAGE_INPUT: "2.5",
            kinds.CACHED_IMAGE: "0.25",
            kinds.IMAGE_OUTPUT: "8",
        },
        (_UNBOUNDED, 0),
    ),
    (
        ("gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"),
        {kinds.INPUT: "0.6", kinds.AUDIO_OUTPUT: "12"},
        (2_000, 16_384),
    ),
    (("gpt-4o-transcribe", "gpt-4o-transcribe-diarize"), _HEARS, (16_000, 2_000)),
    (
        ("gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15"),
        _HEARS_LESS,
        (16_000, 2_000),
    ),
    (
        ("gpt-audio", "gpt-audio-2025-08-28", "gpt-audio-1.5"),
        {
            kinds.INPUT: "2.5",
            kinds.OUTPUT: "10",
            kinds.AUDIO_INPUT: "32",
            kinds.AUDIO_OUTPUT: "64",
        },
        (128_000, 16_384),
    ),
    (
        ("gpt-audio-mini", "gpt-audio-mini-2025-10-06", "gpt-audio-mini-2025-12-15"),
        {
            kinds.INPUT: "0.6",
            kinds.OUTPUT: "2.4",
            kinds.AUDIO_INPUT: "10",
            kinds.AUDIO_OUTPUT: "20",
        },
        (128_000, 16_384),
    ),
)
_PER_MILLION_CHARACTERS: Final = (("tts-1", "15"), ("tts-1-hd", "30"))
_PER_HOUR: Final = (("whisper-1", "0.36"), ("gpt-transcribe", "0.27"))


def media_prices(version: str) -> tuple[ModelPrice, ...]:
    """The prices of pictures and sound, as a version of the book."""
    by_tokens = [
        ModelPrice("openai", model, tuple(aliases), *limits, (_tier(rates),), version)
        for (model, *aliases), rates, limits in _BY_TOKENS
    ]
    pieces = [
        *((model, {kinds.CHARACTERS: usd}) for model, usd in _PER_MILLION_CHARACTERS),
        *((model, {kinds.MILLISECONDS: _per_million_ms(usd)}) for model, usd in _PER_HOUR),
    ]
    by_piece = [
        ModelPrice("openai", model, (), _UNBOUNDED, 0, (_tier(rates),), version)
        for model, rates in pieces
    ]
    return (*by_tokens, *by_piece)


def _tier(usd_per_million: Mapping[str, str]) -> Tier:
    rates = {kind: usd_per_million_to_pico(usd) for kind, usd in usd_per_million.items()}
    return Tier(0, rates)


def _per_million_ms(usd_per_hour: str) -> str:
    """What a million milliseconds cost of what costs so much an hour, exactly."""
    return str(Decimal(usd_per_hour) * 1_000_000 / _MS_PER_HOUR)
