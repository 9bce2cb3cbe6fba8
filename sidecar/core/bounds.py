"""The most that a call can cost, known before it is sent.

No tokenizer is needed for a bound: every token of a byte-level or byte-fallback tokenizer covers at
least one byte of the text that it was made from, and a request's JSON is never shorter than the
texts in it. What bytes do not bound is added: what normalising may make of a text, images by their
largest size, hidden preambles, and for what is only named and fetched elsewhere the whole window.
Rates are the dearest that can apply: over all price versions in force until the longest call would
end, all variants that it may be served as (and what another catalogue says of them), all tiers that
the prompt can reach, and cache writes where they can happen. What is billed by the piece is bounded
by the most pieces.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from protos.values import quantities as kinds
from protos.values.quick import quick
from protos.values.rates import STANDARD, ModelPrice, Tier, UnpriceableError
from sidecar.core.calls import Bound

SLACK_TOKENS = 64
"""What a provider adds around a prompt."""
CHARACTERS_REMEMBERED = 4096
"""Characters whose expansion is remembered; more are worked out again."""
_EITHER = kinds.PIECE_KINDS | kinds.OUTPUT_KINDS
_CACHED: Mapping[str, str] = {
    kinds.INPUT: kinds.CACHED,
    kinds.AUDIO_INPUT: kinds.CACHED_AUDIO,
    kinds.IMAGE_INPUT: kinds.CACHED_IMAGE,
}


@quick
@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, as far as it decides what the call can cost."""

    text_bytes: int
    """Bytes of the request that may be text: all of it but the payloads of images."""
    expanded_bytes: int = 0
    """By how much the text may grow when it is normalised (NFKC)."""
    media_tokens: int = 0
    """The most that its images make."""
    preamble_tokens: int = 0
    """What the provider adds for tools, where nobody sees it."""
    opaque: bool = False
    """Part of the input is fetched elsewhere or packed, so only the model's window bounds it."""
    inputs: int = 1
    """How many prompts are sent at once, each with a window for itself."""
    choices: int = 1
    """How many answers are asked for."""
    output_limit: int | None = None
    """The caller's limit on the output of one answer; None when it set none."""
    prediction_bytes: int = 0
    """A predicted output, of which what is rejected is billed as output."""
    cache_write: str = ""
    """The dearest kind of cache write that is asked for; empty for none."""
    variants: tuple[str, ...] = (STANDARD,)
    """Every variant of the price that the request may be served as."""
    variants_if_priced: tuple[str, ...] = ()
    """Those that it may be served as besides, if its model has them: where the price has none of
    such a name, the model is not served so."""
    input_kinds: tuple[str, ...] = (kinds.INPUT,)
    """What its prompt may hold: text, and by their kinds audio, images and video."""
    output_kinds: tuple[str, ...] = (kinds.OUTPUT,)
    """What the output may be; where it is unknown which, the dearest counts."""
    pieces: Mapping[str, int] = field(default_factory=dict)
    """The most units of what is counted ahead (searches, characters, pictures' tokens…), by kind.
    Those of _EITHER are ways to bill the same thing: they count where the price has them."""
    pieces_exact: bool = False
    """The pieces are what will be billed, if the price is by them, and not only a bound."""
    own_rates: tuple[str, ...] = ()
    """Kinds that must have a rate of their own, for their parent's would be too low."""


def input_bound_tokens(asked: Asked, price: ModelPrice) -> int:
    """The most tokens of prompt that a request can make."""
    window = price.input_max * asked.inputs
    if asked.opaque:
        return window
    text = asked.text_bytes + (asked.expanded_bytes if price.expands_text else 0)
    return min(window, text + asked.media_tokens + asked.preamble_tokens + SLACK_TOKENS)


def bound_of(asked: Asked, prices: Sequence[ModelPrice]) -> Bound:
    """The most that a call can cost. `prices` are all versions that may come into force.

    Raises UnpriceableError when a price has no rate for what can be used.
    """
    assert prices
    output_max = max(price.output_max for price in prices)
    input_pico_usd = output_rate_pico_usd = 0
    for price in prices:
        tokens = input_bound_tokens(asked, price)
        input_rate = output_rate = pieces_pico_usd = 0
        for tier in _tiers_below(tokens, asked, price):
            input_rate = max(input_rate, _input_rate_pico_usd(tier, price, asked))
            pieces_pico_usd = max(pieces_pico_usd, pieces_worst_pico_usd(tier, asked))
            _check_rates(tier, price, asked)
            if price.output_max:
                for kind in asked.output_kinds:
                    output_rate = max(output_rate, tier.rate_pico_usd(kind))
        predicted = _predicted_tokens(asked, price) * asked.choices * output_rate
        input_pico_usd = max(input_pico_usd, tokens * input_rate + pieces_pico_usd + predicted)
        output_rate_pico_usd = max(output_rate_pico_usd, output_rate)
    limit = asked.output_limit
    return Bound(
        input_worst_nano_usd=-(-input_pico_usd // 1000),
        output_rate_pico_usd=output_rate_pico_usd,
        choices=asked.choices,
        output_max=output_max,
        output_limit=None if limit is None else min(limit, output_max),
        input_tokens=max(input_bound_tokens(asked, price) for price in prices),
    )


def _predicted_tokens(asked: Asked, price: ModelPrice) -> int:
    """The most tokens of a prediction, whose text is normalised like any other."""
    grown = asked.expanded_bytes if price.expands_text and asked.prediction_bytes else 0
    return asked.prediction_bytes + grown


def _check_rates(tier: Tier, price: ModelPrice, asked: Asked) -> None:
    """Find something that bounds what is written. Raises UnpriceableError."""
    for kind in asked.own_rates:
        if kind not in tier.rates_pico_usd:
            raise UnpriceableError(kind)
    either = _EITHER & asked.pieces.keys()
    if any(map(tier.has_rate, either)) or (price.output_max and asked.output_limit != 0):
        return
    if either or asked.output_limit != 0:
        raise UnpriceableError(f"{asked.output_kinds[0]}, or no limit on it")


def reachable_tiers(asked: Asked, price: ModelPrice) -> list[Tier]:
    """Every tier that a request may be charged by. Raises UnpriceableError."""
    return _tiers_below(input_bound_tokens(asked, price), asked, price)


def reachable_variants(asked: Asked, price: ModelPrice) -> tuple[str, ...]:
    """Every variant that a request may be charged by."""
    if not asked.variants_if_priced or not price.variants:
        return asked.variants
    held = {variant.name for variant in price.variants}
    return (*asked.variants, *(name for name in asked.variants_if_priced if name in held))


def _tiers_below(tokens: int, asked: Asked, price: ModelPrice) -> list[Tier]:
    return [
        tier
        for variant in reachable_variants(asked, price)
        for tier in (*price.tiers_of(variant), *price.disputed_tiers_of(variant))
        if not tier.above_input or tier.above_input < tokens
    ]


def pieces_worst_pico_usd(tier: Tier, asked: Asked) -> int:
    """The most that all cost that is not counted in tokens. Raises UnpriceableError.

    A rate for calls is charged once for each.
    """
    rates = tier.rates_pico_usd
    if not asked.pieces and kinds.INPUT in rates and kinds.CALLS not in rates:
        return 0
    priced = pieces_of(asked, tier)
    if kinds.INPUT not in rates and kinds.PIECE_KINDS.isdisjoint(priced):
        raise UnpriceableError(kinds.INPUT)
    return sum(count * tier.rate_pico_usd(kind) for kind, count in priced.items())


def pieces_of(asked: Asked, tier: Tier) -> dict[str, int]:
    """The most units of all that is not counted in tokens, as far as the call is billed by it."""
    used = {kinds.CALLS: 1, **asked.pieces}
    return {
        kind: count
        for kind, count in used.items()
        if count and (kind not in _EITHER or tier.has_rate(kind))
    }


def _input_rate_pico_usd(tier: Tier, price: ModelPrice, asked: Asked) -> int:
    if kinds.INPUT not in tier.rates_pico_usd:
        return 0
    rate = tier.rates_pico_usd[kinds.INPUT]
    for kind in asked.input_kinds:
        rate = max(rate, tier.rate_pico_usd(kind), tier.rate_pico_usd(_CACHED.get(kind, kind)))
    if asked.cache_write or price.cache_write_implicit:
        rate = max(rate, tier.rate_pico_usd(kinds.CACHE_WRITE))
    if asked.cache_write == kinds.CACHE_WRITE_LONG:
        rate = max(rate, tier.rate_pico_usd(kinds.CACHE_WRITE_LONG))
    return rate


def expanded_bytes(text: str) -> int:
    """By how many bytes a text may grow when it is normalised; what shrinks does not help.

    A mark may push apart what stood before it as one character ("e" with an acute accent, and a dot
    below that goes first): where there is any, each character counts as all of its parts. Putting
    parts together again never makes them longer.
    """
    if text.isascii():
        return 0
    characters = [character for character in set(text) if character > "\x7f"]
    growth = _growth_apart_bytes if any(map(_is_mark, characters)) else _growth_bytes
    return sum(growth(character) * text.count(character) for character in characters)


@lru_cache(maxsize=CHARACTERS_REMEMBERED)
def _growth_bytes(character: str) -> int:
    normal = unicodedata.normalize("NFKC", character)
    return max(0, len(normal.encode()) - len(character.encode()))


@lru_cache(maxsize=CHARACTERS_REMEMBERED)
def _growth_apart_bytes(character: str) -> int:
    if "\uac00" <= character <= "\ud7a3":
        # No mark comes between the parts of a Korean syllable, which are always put together again.
        return 0
    parts = unicodedata.normalize("NFKD", character)
    return max(0, len(parts.encode()) - len(character.encode()))


@lru_cache(maxsize=CHARACTERS_REMEMBERED)
def _is_mark(character: str) -> bool:
    """Whether a character may join the one before it."""
    return unicodedata.category(unicodedata.normalize("NFKD", character)[0]).startswith("M")
