"""What the rehearsal provider charges: one table, list prices as exact strings, read by `Fraction`.

Prices are USD per million tokens and flat: a model whose real price jumps above some prompt length
has its context window end there, so the jump is never reached. A price of None means that the kind
does not exist for the model. Tiers, speed and geography multiply the whole call.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

TOKENS_PER_PRICE = 1_000_000
NANO_USD_PER_USD = 1_000_000_000


TEXT, PICTURES, SPEECH, TRANSCRIPTS = "text", "pictures", "speech", "transcripts"


@dataclass(frozen=True, slots=True)
class MediaRates:
    """What pictures and sound cost at a model."""

    image_input: str | None = None
    """USD per million tokens of pictures that are to be edited; None: as text."""
    image_output: str | None = None
    """USD per million tokens of pictures made."""
    audio_input: str | None = None
    """USD per million tokens of sound heard; None: it hears none."""
    audio_output: str | None = None
    """USD per million tokens of sound made; None: it makes none."""
    per_picture: str | None = None
    """USD for a picture, where tokens cost nothing."""
    per_million_characters: str | None = None
    """USD for a million characters spoken, where tokens cost nothing."""
    per_minute: str | None = None
    """USD for a minute heard, where tokens cost nothing."""


NO_MEDIA = MediaRates()


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the price table."""

    name: str
    """The canonical model name."""
    provider: str
    """`openai`, `anthropic` or `gemini`: whose wire format serves it."""
    input: str
    """USD per million prompt tokens that were neither read from nor written to a cache."""
    cached_input: str | None
    """USD per million prompt tokens read from a cache."""
    cache_write: str | None
    """USD per million prompt tokens written to a cache with the shorter life (5 minutes)."""
    cache_write_1h: str | None
    """USD per million prompt tokens written to a cache for an hour."""
    output: str
    """USD per million generated tokens, reasoning included."""
    max_input_tokens: int
    """Longer prompts are refused with 400; for embeddings, all inputs together."""
    max_output_tokens: int
    """The most a call may ask for; 0 for embeddings."""
    aliases: tuple[str, ...] = ()
    """Other names the model answers to, at the same price."""
    default_reply_tokens: int | None = None
    """Length of an answer when no knob says; None: whole sentences chosen by the prompt."""
    dimensions: int = 0
    """Length of an embedding vector; 0 for models that write text."""
    moderates: bool = False
    """Whether this model judges texts, for nothing."""
    serves: str = TEXT
    """What it makes: text (or vectors, or judgements), pictures, speech or transcripts."""
    media: MediaRates = NO_MEDIA
    """What pictures and sound cost."""

    @property
    def embeds(self) -> bool:
        """Whether this model makes vectors and not text."""
        return self.dimensions > 0


def _openai(
    name: str,
    prices: tuple[str, str | None, str | None, str],
    tokens: tuple[int, int],
    *aliases: str,
) -> Model:
    charged, cached, write, output = prices
    return Model(name, "openai", charged, cached, write, None, output, *tokens, aliases)


def _claude(
    name: str, prices: tuple[str, str, str, str, str], tokens: tuple[int, int], *aliases: str
) -> Model:
    return Model(name, "anthropic", *prices, *tokens, aliases)


def _gemini(name: str, prices: tuple[str, str, str], *aliases: str) -> Model:
    charged, cached, output = prices
    # The prompt of a Pro model gets dearer above 200,000 tokens.
    context = 200_000 if "pro" in name else 1_000_000
    return Model(name, "gemini", charged, cached, None, None, output, context, 65_536, aliases)


def _gemini_embedding(name: str, price: str, tokens: int) -> Model:
    return Model(name, "gemini", price, None, None, None, "0", tokens, 0, dimensions=3_072)


def _embedding(name: str, price: str, dimensions: int) -> Model:
    return Model(name, "openai", price, None, None, None, "0", 300_000, 0, dimensions=dimensions)


def _moderation(name: str, *aliases: str) -> Model:
    return Model(name, "openai", "0", None, None, None, "0", 1_000_000, 0, aliases, moderates=True)


def _media(
    name: str,
    serves: str,
    rates: MediaRates,
    *aliases: str,
    texts: tuple[str, str] = ("0", "0"),
    cached: str | None = None,
    tokens: tuple[int, int] = (1_000_000, 0),
) -> Model:
    """A model of pictures or sound, and what a million tokens of text cost at it."""
    read, written = texts
    row = Model(name, "openai", read, cached, None, None, written, *tokens, aliases)
    return replace(row, serves=serves, media=rates)


def _cent(name: str, provider: str) -> Model:
    """Ten output tokens cost exactly one cent, a prompt nothing; 40 tokens are the most."""
    return Model(name, provider, "0", "0", "0", "0", "1000", 1_000_000, 40, default_reply_tokens=10)


MODELS: tuple[Model, ...] = (
    # input, cached input, cache write, output; context, output limit
    _openai("gpt-6-luna", ("0.1", "0.01", "0.125", "0.5"), (272_000, 128_000)),
    _openai("gpt-6.1-terra", ("1", "0.05", "1.25", "5"), (272_000, 128_000)),
    _openai("gpt-5.6-luna", ("0.2", "0.02", "0.25", "1.2"), (272_000, 128_000)),
    _openai("gpt-5.6-terra", ("2", "0.2", "2.5", "12"), (272_000, 128_000)),
    _openai("gpt-5", ("1.25", "0.125", None, "10"), (272_000, 128_000), "gpt-5-2025-08-07"),
    _openai(
        "gpt-5-mini", ("0.25", "0.025", None, "2"), (272_000, 128_000), "gpt-5-mini-2025-08-07"
    ),
    _openai(
        "gpt-5-nano", ("0.05", "0.005", None, "0.4"), (272_000, 128_000), "gpt-5-nano-2025-08-07"
    ),
    _openai("gpt-4.1", ("2", "0.5", None, "8"), (1_000_000, 32_768), "gpt-4.1-2025-04-14"),
    _openai(
        "gpt-4.1-mini", ("0.4", "0.1", None, "1.6"), (1_000_000, 32_768), "gpt-4.1-mini-2025-04-14"
    ),
    _openai(
        "gpt-4o",
        ("2.5", "1.25", None, "10"),
        (128_000, 16_384),
        "gpt-4o-2024-08-06",
        "gpt-4o-2024-11-20",
    ),
    _openai(
        "gpt-4o-mini", ("0.15", "0.075", None, "0.6"), (128_000, 16_384), "gpt-4o-mini-2024-07-18"
    ),
    _embedding("text-embedding-3-small", "0.02", 1_536),
    _embedding("text-embedding-3-large", "0.13", 3_072),
    _moderation("omni-moderation-latest", "omni-moderation-2024-09-26"),
    _media(
        "gpt-image-1-mini",
        PICTURES,
        MediaRates(image_input="2.5", image_output="8"),
        texts=("2", "0"),
        cached="0.2",
    ),
    _media("tts-1", SPEECH, MediaRates(per_million_characters="15")),
    _media("tts-1-hd", SPEECH, MediaRates(per_million_characters="30")),
    _media(
        "gpt-4o-mini-tts",
        SPEECH,
        MediaRates(audio_output="12"),
        texts=("0.6", "0"),
        tokens=(2_000, 16_384),
    ),
    _media("whisper-1", TRANSCRIPTS, MediaRates(per_minute="0.006")),
    _media(
        "gpt-4o-transcribe",
        TRANSCRIPTS,
        MediaRates(audio_input="6"),
        texts=("2.5", "10"),
        tokens=(16_000, 2_000),
    ),
    _media(
        "gpt-audio",
        TEXT,
        MediaRates(audio_input="32", audio_output="64"),
        "gpt-audio-2025-08-28",
        texts=("2.5", "10"),
        tokens=(128_000, 16_384),
    ),
    _media(
        "rehearsal-picture",
        PICTURES,
        MediaRates(image_input="8", image_output="30"),
        texts=("5", "0"),
        tokens=(100_000, 40_000),
    ),
    _media("rehearsal-cent-picture", PICTURES, MediaRates(per_picture="0.01")),
    _media("rehearsal-cent-speech", SPEECH, MediaRates(per_million_characters="1000")),
    _media("rehearsal-cent-transcript", TRANSCRIPTS, MediaRates(per_minute="0.06")),
    # input, cache read, 5 minute write, 1 hour write, output; context, output limit
    _claude(
        "claude-opus-5-5", ("4", "0.2", "5", "8", "20"), (1_000_000, 128_000), "claude-opus-5.5"
    ),
    _claude(
        "claude-sonnet-5-5",
        ("2", "0.1", "2.5", "4", "10"),
        (1_000_000, 128_000),
        "claude-sonnet-5.5",
    ),
    _claude(
        "claude-sonnet-4-5",
        ("3", "0.3", "3.75", "6", "15"),
        (200_000, 64_000),
        "claude-sonnet-4-5-20250929",
    ),
    _claude(
        "claude-haiku-5-5",
        ("0.1", "0.01", "0.125", "0.2", "0.5"),
        (100_000, 128_000),
        "claude-haiku-5.5",
    ),
    _claude(
        "claude-haiku-4-5",
        ("1", "0.1", "1.25", "2", "5"),
        (200_000, 64_000),
        "claude-haiku-4-5-20251001",
    ),
    # input, cached input, output
    _gemini("gemini-2.5-flash", ("0.3", "0.03", "2.5")),
    _gemini("gemini-2.5-flash-lite", ("0.1", "0.01", "0.4")),
    _gemini("gemini-2.5-pro", ("1.25", "0.125", "10")),
    _gemini("gemini-3.1-flash-lite", ("0.25", "0.025", "1.5"), "gemini-3.1-flash-lite-preview"),
    _gemini("gemini-3.1-pro-preview", ("2", "0.2", "12")),
    _gemini("gemini-3.5-flash", ("1.5", "0.15", "9")),
    _gemini_embedding("gemini-embedding-001", "0.15", 2_048),
    _cent("rehearsal-cent", "openai"),
    _cent("claude-rehearsal-cent", "anthropic"),
    _cent("gemini-rehearsal-cent", "gemini"),
)

TIERS: dict[str, dict[str, Fraction]] = {
    "openai": {"default": Fraction(1), "priority": Fraction(2), "flex": Fraction(1, 2)},
    "anthropic": {"standard": Fraction(1), "priority": Fraction(1), "batch": Fraction(1, 2)},
    "gemini": {"standard": Fraction(1), "priority": Fraction(9, 5), "flex": Fraction(1, 2)},
}
"""What a service tier, as the answer names it, does to the price of the whole call."""

STANDARD_TIER = {"openai": "default", "anthropic": "standard", "gemini": "standard"}

FAST_SPEED = Fraction(2)
"""What `speed: fast` does to the price of a call to Anthropic."""

SEARCH_USD_PER_THOUSAND = {"web_search": "10", "file_search": "2.5"}
"""What OpenAI's hosted tools cost beside the tokens; no tier changes it."""

WEB_SEARCH_NANO_USD, FILE_SEARCH_NANO_USD = (
    Fraction(SEARCH_USD_PER_THOUSAND[name]) * NANO_USD_PER_USD / 1_000
    for name in ("web_search", "file_search")
)

US_INFERENCE = Fraction(11, 10)
"""What `inference_geo: us` does to the price of a call to Anthropic."""

_BY_NAME = {name: model for model in MODELS for name in (model.name, *model.aliases)}
assert len(_BY_NAME) == sum(1 + len(model.aliases) for model in MODELS)


def find(name: str, provider: str) -> Model | None:
    """Return the model of that name or alias, if that provider serves it."""
    model = _BY_NAME.get(name)
    return model if model is not None and model.provider == provider else None


def served_by(provider: str) -> tuple[Model, ...]:
    """Return the models of one provider, in the table's order."""
    return tuple(model for model in MODELS if model.provider == provider)


@cache
def nano_usd_per_token(price: str | None) -> Fraction:
    """Return an exact price per token; a kind that does not exist costs nothing."""
    return Fraction(price or "0") * NANO_USD_PER_USD / TOKENS_PER_PRICE
