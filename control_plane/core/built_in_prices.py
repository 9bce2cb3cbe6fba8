"""The price book that comes with the software: list prices of models that read and write text.

Rates are the providers' list prices in US dollars per million tokens as of BOOK_VERSION, taken
from the catalogue genai-prices 0.2.3 (MIT) and read exactly. That catalogue has no limits on
output; those here are the providers' published ones and, where a model's is not known for sure, the
family's largest: a limit that is too high only makes a hold larger, one that is too low would let a
bill pass it. An embedding request may carry many inputs, so its limit is the request's, not one
input's. Models that are served only on other surfaces than these are left out.
"""

from typing import Final

from control_plane.core.built_in_gemini import gemini_prices
from control_plane.core.built_in_media_prices import media_prices
from protos.values import quantities as kinds
from protos.values.money import usd_per_million_to_pico
from protos.values.rates import ModelPrice, Tier

BOOK_VERSION: Final = "built-in-2026-11-23"
"""What the ledger calls a price that stands here."""

_CLIFF: Final = 272_000
"""Above this prompt OpenAI bills input twice and output one and a half times."""
_EMBEDDING_REQUEST: Final = 300_000
"""Tokens that one embedding request takes over all its inputs."""

_MODERATION_REQUEST: Final = 1_000_000
"""No bound is needed of what is free; prices hold one."""

Rates = tuple[str, str | None, str | None, str | None, str]
"""USD per million: input, cached input, cache write, cache write for an hour, output."""


def _tier(above_input: int, rates: Rates) -> Tier:
    plain, cached, write, write_long, output = rates
    named = {
        kinds.INPUT: plain,
        kinds.CACHED: cached,
        kinds.CACHE_WRITE: write,
        kinds.CACHE_WRITE_LONG: write_long,
        kinds.OUTPUT: output,
    }
    found = {
        kind: usd_per_million_to_pico(rate) for kind, rate in named.items() if rate is not None
    }
    return Tier(above_input, found)


def _gpt(
    model: str,
    rates: tuple[str, str | None, str],
    limits: tuple[int, int],
    *aliases: str,
    reasons: bool = True,
) -> ModelPrice:
    """A model whose cache writes are free and whose price is flat."""
    plain, cached, output = rates
    tier = _tier(0, (plain, cached, None, None, output))
    return ModelPrice(
        "openai", model, aliases, *limits, (tier,), BOOK_VERSION, hides_reasoning=reasons
    )


def _gpt_tiered(
    model: str, rates: tuple[str, str, str], above: tuple[str, str, str], *aliases: str
) -> ModelPrice:
    """A model with a cliff, whose cache writes are free."""
    tiers = tuple(
        _tier(bound, (plain, cached, None, None, output))
        for bound, (plain, cached, output) in ((0, rates), (_CLIFF, above))
    )
    limits = (1_050_000, 128_000)
    return ModelPrice("openai", model, aliases, *limits, tiers, BOOK_VERSION, hides_reasoning=True)


def _gpt_writes(
    model: str,
    rates: tuple[str, str, str, str],
    above: tuple[str, str, str, str],
    *aliases: str,
) -> ModelPrice:
    """A model with a cliff, whose cache writes are billed without being asked for."""
    tiers = tuple(
        _tier(bound, (plain, cached, write, None, output))
        for bound, (plain, cached, write, output) in ((0, rates), (_CLIFF, above))
    )
    return ModelPrice(
        "openai",
        model,
        aliases,
        1_050_000,
        128_000,
        tiers,
        BOOK_VERSION,
        cache_write_implicit=True,
        hides_reasoning=True,
    )


def _embedding(model: str, rate: str) -> ModelPrice:
    tier = Tier(0, {kinds.INPUT: usd_per_million_to_pico(rate)})
    return ModelPrice("openai", model, (), _EMBEDDING_REQUEST, 0, (tier,), BOOK_VERSION)


def _moderation(model: str, *aliases: str) -> ModelPrice:
    """A model that the provider bills nothing for; it is priced so that it can be called."""
    tier = Tier(0, {kinds.INPUT: 0})
    return ModelPrice("openai", model, aliases, _MODERATION_REQUEST, 0, (tier,), BOOK_VERSION)


def _claude(
    model: str,
    rates: tuple[str, str, str, str, str],
    limits: tuple[int, int],
    *aliases: str,
    above: tuple[int, tuple[str, str, str, str, str]] | None = None,
) -> ModelPrice:
    """A model whose tokenizer normalises text, and which may think unseen."""
    tiers = (_tier(0, rates), *((_tier(*above),) if above else ()))
    return ModelPrice(
        "anthropic",
        model,
        aliases,
        *limits,
        tiers,
        BOOK_VERSION,
        expands_text=True,
        hides_reasoning=True,
    )


_GPT_5 = (400_000, 128_000)
_GPT_41 = (1_047_576, 32_768)
_O = (200_000, 100_000)
_CLAUDE_3 = (200_000, 8_192)
_CLAUDE_4 = (200_000, 64_000)
_CLAUDE = (1_000_000, 128_000)

_OPENAI: Final = (
    # USD per million: input, cached input, output; tokens: input, output
    _gpt(
        "gpt-3.5-turbo", ("0.5", None, "1.5"), (16_385, 4_096), "gpt-3.5-turbo-0125", reasons=False
    ),
    _gpt("gpt-4", ("30", None, "60"), (8_192, 8_192), "gpt-4-0613", reasons=False),
    _gpt(
        "gpt-4-turbo", ("10", None, "30"), (128_000, 4_096), "gpt-4-turbo-2024-04-09", reasons=False
    ),
    _gpt("gpt-4o-2024-05-13", ("5", None, "15"), (128_000, 16_384), reasons=False),
    _gpt(
        "gpt-4o",
        ("2.5", "1.25", "10"),
        (128_000, 16_384),
        "gpt-4o-2024-08-06",
        "gpt-4o-2024-11-20",
        reasons=False,
    ),
    _gpt(
        "gpt-4o-mini",
        ("0.15", "0.075", "0.6"),
        (128_000, 16_384),
        "gpt-4o-mini-2024-07-18",
        reasons=False,
    ),
    _gpt("gpt-4.1", ("2", "0.5", "8"), _GPT_41, "gpt-4.1-2025-04-14", reasons=False),
    _gpt("gpt-4.1-mini", ("0.4", "0.1", "1.6"), _GPT_41, "gpt-4.1-mini-2025-04-14", reasons=False),
    _gpt(
        "gpt-4.1-nano", ("0.1", "0.025", "0.4"), _GPT_41, "gpt-4.1-nano-2025-04-14", reasons=False
    ),
    _gpt("o1", ("15", "7.5", "60"), _O, "o1-2024-12-17"),
    _gpt("o3", ("2", "0.5", "8"), _O, "o3-2025-04-16"),
    _gpt("o3-mini", ("1.1", "0.55", "4.4"), _O, "o3-mini-2025-01-31"),
    _gpt("o4-mini", ("1.1", "0.275", "4.4"), _O, "o4-mini-2025-04-16"),
    _gpt("gpt-5", ("1.25", "0.125", "10"), _GPT_5, "gpt-5-2025-08-07", "gpt-5-chat-latest"),
    _gpt("gpt-5-mini", ("0.25", "0.025", "2"), _GPT_5, "gpt-5-mini-2025-08-07"),
    _gpt("gpt-5-nano", ("0.05", "0.005", "0.4"), _GPT_5, "gpt-5-nano-2025-08-07"),
    _gpt("gpt-5.1", ("1.25", "0.125", "10"), _GPT_5, "gpt-5.1-2025-11-13", "gpt-5.1-chat-latest"),
    _gpt("gpt-5.2", ("1.75", "0.175", "14"), _GPT_5, "gpt-5.2-2025-12-11", "gpt-5.2-chat-latest"),
    _gpt("gpt-5.3", ("1.75", "0.175", "14"), (128_000, 128_000), "gpt-5.3-chat-latest"),
    _gpt("gpt-5.4-mini", ("0.75", "0.075", "4.5"), _GPT_5, "gpt-5.4-mini-2026-03-17"),
    _gpt("gpt-5.4-nano", ("0.2", "0.02", "1.25"), _GPT_5, "gpt-5.4-nano-2026-03-17"),
    # the same above 272,000 tokens of prompt
    _gpt_tiered("gpt-5.4", ("2.5", "0.25", "15"), ("5", "0.5", "22.5"), "gpt-5.4-2026-03-05"),
    _gpt_tiered(
        "gpt-5.5",
        ("5", "0.5", "30"),
        ("10", "1", "45"),
        "gpt-5.5-2026-04-23",
        "gpt-5.5-2026-04-24",
        "gpt-5.5-chat-latest",
    ),
    # USD per million: input, cached input, cache write, output
    _gpt_writes("gpt-5.6-luna", ("0.2", "0.02", "0.25", "1.2"), ("0.4", "0.04", "0.5", "1.8")),
    _gpt_writes("gpt-5.6-terra", ("2", "0.2", "2.5", "12"), ("4", "0.4", "5", "18")),
    _gpt_writes("gpt-5.6-sol", ("4", "0.4", "5", "20"), ("8", "0.8", "10", "30"), "gpt-5.6"),
    _gpt_writes("gpt-6-luna", ("0.1", "0.01", "0.125", "0.5"), ("0.2", "0.02", "0.25", "0.75")),
    _gpt_writes("gpt-6-sol", ("2", "0.2", "2.5", "10"), ("4", "0.4", "5", "15")),
    _gpt_writes("gpt-6-astra", ("10", "1", "12.5", "50"), ("20", "2", "25", "75")),
    _gpt_writes("gpt-6.1-terra", ("1", "0.05", "1.25", "5"), ("2", "0.1", "2.5", "7.5")),
    _gpt_writes("gpt-6.1-sol", ("2", "0.1", "2.5", "10"), ("4", "0.2", "5", "15")),
    _embedding("text-embedding-3-small", "0.02"),
    _embedding("text-embedding-3-large", "0.13"),
    _moderation("omni-moderation-latest", "omni-moderation-2024-09-26"),
    _moderation("text-moderation-latest", "text-moderation-007", "text-moderation-stable"),
)

_ANTHROPIC: Final = (
    # USD per million: input, cache read, 5 minute write, 1 hour write, output; tokens
    _claude("claude-3-haiku-20240307", ("0.25", "0.03", "0.3", "0.5", "1.25"), _CLAUDE_3),
    _claude(
        "claude-3-5-haiku-20241022",
        ("0.8", "0.08", "1", "1.6", "4"),
        _CLAUDE_3,
        "claude-3-5-haiku-latest",
    ),
    _claude(
        "claude-3-7-sonnet-20250219",
        ("3", "0.3", "3.75", "6", "15"),
        (200_000, 128_000),
        "claude-3-7-sonnet-latest",
    ),
    _claude(
        "claude-sonnet-4-0",
        ("3", "0.3", "3.75", "6", "15"),
        (1_000_000, 64_000),
        "claude-sonnet-4-20250514",
        above=(200_000, ("6", "0.6", "7.5", "12", "22.5")),
    ),
    _claude(
        "claude-opus-4-0",
        ("15", "1.5", "18.75", "30", "75"),
        (200_000, 32_000),
        "claude-opus-4-20250514",
    ),
    _claude(
        "claude-opus-4-1",
        ("15", "1.5", "18.75", "30", "75"),
        (200_000, 32_000),
        "claude-opus-4-1-20250805",
    ),
    _claude(
        "claude-sonnet-4-5",
        ("3", "0.3", "3.75", "6", "15"),
        (1_000_000, 64_000),
        "claude-sonnet-4-5-20250929",
        above=(200_000, ("6", "0.6", "7.5", "12", "22.5")),
    ),
    _claude(
        "claude-haiku-4-5", ("1", "0.1", "1.25", "2", "5"), _CLAUDE_4, "claude-haiku-4-5-20251001"
    ),
    _claude(
        "claude-opus-4-5", ("5", "0.5", "6.25", "10", "25"), _CLAUDE_4, "claude-opus-4-5-20251101"
    ),
    _claude("claude-opus-4-6", ("5", "0.5", "6.25", "10", "25"), _CLAUDE),
    _claude("claude-sonnet-4-6", ("3", "0.3", "3.75", "6", "15"), _CLAUDE),
    _claude("claude-opus-4-7", ("5", "0.5", "6.25", "10", "25"), _CLAUDE),
    _claude("claude-opus-4-8", ("5", "0.5", "6.25", "10", "25"), _CLAUDE),
    _claude("claude-opus-5", ("5", "0.5", "6.25", "10", "25"), _CLAUDE),
    _claude("claude-sonnet-5", ("2", "0.2", "2.5", "4", "10"), _CLAUDE),
    _claude("claude-fable-5", ("10", "1", "12.5", "20", "50"), _CLAUDE),
    _claude("claude-fable-5-1", ("10", "0.25", "12.5", "20", "50"), _CLAUDE),
    _claude("claude-fable-5-2", ("8", "0.2", "10", "16", "40"), _CLAUDE),
    _claude("claude-mythos-5-2", ("8", "0.2", "10", "16", "40"), _CLAUDE),
    _claude(
        "claude-haiku-5-5",
        ("0.1", "0.01", "0.125", "0.2", "0.5"),
        _CLAUDE,
        "claude-haiku-5.5",
        above=(100_000, ("0.5", "0.05", "0.625", "1", "2.5")),
    ),
    _claude("claude-sonnet-5-5", ("2", "0.1", "2.5", "4", "10"), _CLAUDE, "claude-sonnet-5.5"),
    _claude("claude-opus-5-5", ("4", "0.2", "5", "8", "20"), _CLAUDE, "claude-opus-5.5"),
)

BOOK: Final[tuple[ModelPrice, ...]] = (
    *_OPENAI,
    *media_prices(BOOK_VERSION),
    *_ANTHROPIC,
    *gemini_prices(BOOK_VERSION),
)
"""Every price that comes with the software."""
