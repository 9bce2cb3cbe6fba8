"""The dearest legal bill: what a request can use at most, times what that can cost at most.

Written from the providers' documents and the ledger's rules, with arithmetic of its own: it imports
neither the product's bounds nor its rates. Money is `Fraction` pico-dollars.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tests.bounds.cases import Rates, Tiers, Version

CALL_LASTS_MS = 600_000
"""A price that comes into force while the longest call lasts may be the one it is billed by."""
WINDOW = "window"
"""The kind of a prompt that is fetched elsewhere: any kind that its model takes, to the brim."""
_CHEAPER_NAME = {
    "cached": "input",
    "cache_write": "input",
    "cache_write_long": "cache_write",
    "audio_input": "input",
    "cached_audio": "audio_input",
    "image_input": "input",
    "cached_image": "image_input",
    "video_input": "input",
    "audio_output": "output",
    "image_output": "output",
}
"""What is billed as what, where it has no rate of its own."""
_AGAIN = {"audio_input": "cached_audio", "image_input": "cached_image", "input": "cached"}
"""What a part of a prompt is billed as when it was read from a cache."""


@dataclass(frozen=True, slots=True)
class Legal:
    """What an answer may use, at most."""

    prompts: tuple[Mapping[str, int], ...]
    """Tokens by kind of each prompt; each is cut to the window."""
    window_kinds: tuple[str, ...] = ("input",)
    """What may stand in a prompt that fills its window."""
    answers: int = 1
    limit: int | None = None
    """Tokens of each answer that the provider was told; None for the model's own limit."""
    output_kinds: tuple[str, ...] = ("output",)
    predicted: int = 0
    """Tokens of a prediction that each answer may reject, which is billed beside it."""
    pieces: Mapping[str, int] = field(default_factory=dict)
    variants: frozenset[str] = frozenset(("",))
    cache_kinds: tuple[str, ...] = ()
    """Kinds of cache write that the request asks for."""


def rate_of(rates: Rates, kind: str) -> Fraction | None:
    """What a unit costs; None where nothing says so."""
    name: str | None = kind
    while name is not None:
        if name in rates:
            return Fraction(rates[name])
        name = _CHEAPER_NAME.get(name)
    return None


def _dearest(rates: Rates, kinds: Iterable[str]) -> Fraction:
    found = [rate for kind in kinds if (rate := rate_of(rates, kind)) is not None]
    return max(found, default=Fraction(0))


def in_force(versions: tuple[Version, ...]) -> list[Version]:
    """Every version that holds at some instant of the longest call that begins now."""
    ordered = sorted(versions, key=lambda version: version.from_ms)
    found = [
        version
        for version, following in zip(ordered, [*ordered[1:], None], strict=True)
        if version.from_ms <= CALL_LASTS_MS and (following is None or following.from_ms > 0)
    ]
    assert found
    return found


def dearest_pico_usd(legal: Mapping[bool, Legal], versions: tuple[Version, ...]) -> Fraction:
    """The most that a legal answer is billed; `legal` by whether the tokenizer normalises."""
    return max(_by_version(legal[version.normalises], version) for version in in_force(versions))


def _by_version(legal: Legal, version: Version) -> Fraction:
    sets: list[Tiers] = []
    for name in legal.variants:
        named = version.tiers if not name else version.variants.get(name)
        disputed = "+".join(sorted({"disputed", *filter(None, name.split("+"))}))
        sets += [tiers for tiers in (named, version.variants.get(disputed)) if tiers is not None]
    return max((_by_tiers(legal, version, tiers) for tiers in sets), default=Fraction(0))


def _by_tiers(legal: Legal, version: Version, tiers: Tiers) -> Fraction:
    prompts = [_cut(prompt, version.window) for prompt in legal.prompts]
    whole = sum(sum(prompt.values()) for prompt in prompts)
    best = Fraction(0)
    for (above, rates), following in zip(tiers, [*tiers[1:], None], strict=True):
        if above and whole <= above:
            continue
        room = whole if following is None else min(whole, following[0])
        best = max(best, _by_rates(legal, version, prompts, room, rates))
    return best


def _cut(prompt: Mapping[str, int], window: int) -> dict[str, int]:
    if WINDOW in prompt:
        return {WINDOW: window}
    left, kept = window, {}
    # What the dearest kinds are is not known here: text gives way first, and the rates decide.
    for kind in sorted(prompt, key=lambda kind: kind == "input"):
        kept[kind] = min(left, prompt[kind])
        left -= kept[kind]
    return kept


def _by_rates(
    legal: Legal,
    version: Version,
    prompts: list[dict[str, int]],
    room: int,
    rates: Rates,
) -> Fraction:
    """What all costs at these rates, with at most so many tokens of prompt in all."""
    writes = (*legal.cache_kinds, *(("cache_write",) if version.writes_cache_unasked else ()))
    by_rate: list[tuple[Fraction, int]] = []
    if "input" in rates:
        for prompt in prompts:
            for kind, count in prompt.items():
                given = legal.window_kinds if kind == WINDOW else (kind,)
                names = [*given, *(_AGAIN[each] for each in given if each in _AGAIN), *writes]
                by_rate.append((_dearest(rates, names), count))
    total, left = Fraction(0), room
    for rate, count in sorted(by_rate, reverse=True):
        taken = min(left, count)
        total += rate * taken
        left -= taken
    written = version.writes if legal.limit is None else min(legal.limit, version.writes)
    if version.writes:
        output = _dearest(rates, legal.output_kinds)
        total += legal.answers * (written + legal.predicted) * output
    pieces = {"calls": 1, **legal.pieces}
    for kind, count in pieces.items():
        total += count * _dearest(rates, (kind,))
    return total
