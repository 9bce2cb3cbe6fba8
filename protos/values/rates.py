"""What a model costs, and the one place where a cost is computed.

A rate is a whole number of pico-dollars per unit of one kind. A model's price holds tiers: the one
with the largest `above_input` that the prompt exceeds applies to the whole call ("cliff"). A kind
that a tier does not price falls back to its parent kind (cache writes and cached input to `input`,
audio and images to text), so that nothing that was used is free by omission; a kind without a
parent and without a rate makes the call unpriceable, which is an error, not zero.

Beside its standard tiers a price may hold variants: whole sets of tiers for what the same model
costs when it is served otherwise (a service tier, a speed, a place). A variant that the price does
not hold is unpriceable too: it never costs the standard price in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protos.values import quantities as kinds
from protos.values.money import PICO_PER_NANO
from protos.values.quantities import INFORMATIVE, Quantities, input_total

_PARENT: Mapping[str, str] = {
    kinds.CACHED: kinds.INPUT,
    kinds.CACHE_WRITE: kinds.INPUT,
    kinds.CACHE_WRITE_LONG: kinds.CACHE_WRITE,
    kinds.AUDIO_INPUT: kinds.INPUT,
    kinds.CACHED_AUDIO: kinds.AUDIO_INPUT,
    kinds.AUDIO_OUTPUT: kinds.OUTPUT,
    kinds.IMAGE_INPUT: kinds.INPUT,
    kinds.CACHED_IMAGE: kinds.IMAGE_INPUT,
    kinds.IMAGE_OUTPUT: kinds.OUTPUT,
    kinds.VIDEO_INPUT: kinds.INPUT,
}
STANDARD: Final = ""
"""The variant of a call that was served as calls usually are."""
DISPUTED: Final = "disputed"
"""Part of the name of a variant that no call is charged by, but that its bound covers: what another
catalogue says that the model costs."""


class UnpriceableError(ValueError):
    """A quantity has no rate, so that its cost cannot be known."""

    def __init__(self, kind: str) -> None:
        """Name the kind, or the variant, that has no rate."""
        super().__init__(f"the price has no rate for {kind}")
        self.kind = kind


def variant_of(*parts: str) -> str:
    """The one name of a combination, such as "batch+us"; parts that are empty say nothing."""
    named = {name for part in parts for name in part.lower().split("+") if name}
    return "+".join(sorted(named))


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a price that hold when the prompt is larger than a bound."""

    above_input: int
    """Applies to calls whose whole prompt has more tokens than this; 0 for the base tier."""
    rates_pico_usd: Mapping[str, int]
    """Pico-dollars per unit, by quantity kind."""

    def rate_pico_usd(self, kind: str) -> int:
        """The rate of a kind or of its nearest priced parent. Raises UnpriceableError."""
        name: str | None = kind
        while name is not None:
            rate = self.rates_pico_usd.get(name)
            if rate is not None:
                return rate
            name = _PARENT.get(name)
        raise UnpriceableError(kind)

    def has_rate(self, kind: str) -> bool:
        """Whether a kind or one of its parents is priced."""
        name: str | None = kind
        while name is not None:
            if name in self.rates_pico_usd:
                return True
            name = _PARENT.get(name)
        return False


@dataclass(frozen=True, slots=True)
class Variant:
    """What a model costs when it is served in a way of its own."""

    name: str
    """As `variant_of` writes it: "flex", "priority", "batch+us"."""
    tiers: tuple[Tier, ...]
    """By rising `above_input`; the first has 0. They replace the standard ones whole."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """One model's limits and rates in one version of the price book."""

    provider: str
    """The provider that serves it, such as "openai"."""
    model: str
    """The model's id at the provider."""
    aliases: tuple[str, ...]
    """Other ids that mean the same model, each matched exactly."""
    input_max: int
    """Tokens of prompt that the model takes at most."""
    output_max: int
    """Tokens that the model writes at most; 0 for models that write none (embeddings)."""
    tiers: tuple[Tier, ...]
    """By rising `above_input`; the first has 0."""
    version: str
    """The price book version that this stands in; every ledger entry names it."""
    cache_write_implicit: bool = False
    """The provider bills cache writes without being asked to cache."""
    expands_text: bool = False
    """The tokenizer normalises text (NFKC), so that bytes alone are no bound on tokens."""
    hides_reasoning: bool = False
    """The model may bill output tokens that it never shows."""
    variants: tuple[Variant, ...] = ()
    """What it costs when it is served otherwise, each name once."""

    def __post_init__(self) -> None:
        """Refuse a price that could not be applied."""
        for tiers in (self.tiers, *(variant.tiers for variant in self.variants)):
            assert tiers
            assert tiers[0].above_input == 0
            assert all(a.above_input < b.above_input for a, b in pairwise(tiers))
        names = {STANDARD, *(variant.name for variant in self.variants)}
        assert len(names) == 1 + len(self.variants)

    def tiers_of(self, variant: str) -> tuple[Tier, ...]:
        """The tiers of a variant. Raises UnpriceableError when the price does not hold it."""
        if variant == STANDARD:
            return self.tiers
        for known in self.variants:
            if known.name == variant:
                return known.tiers
        raise UnpriceableError(f"the variant {variant[:64]}")

    def tier(self, input_count: int, variant: str = STANDARD) -> Tier:
        """The tier that a prompt of so many tokens falls in. Raises UnpriceableError."""
        tiers = self.tiers_of(variant)
        chosen = tiers[0]
        for tier in tiers[1:]:
            if input_count > tier.above_input:
                chosen = tier
        return chosen

    def disputed_tiers_of(self, variant: str) -> tuple[Tier, ...]:
        """What another catalogue says that a variant costs; empty when none is dearer."""
        if not self.variants:
            return ()
        wanted = variant_of(DISPUTED, variant)
        return next((one.tiers for one in self.variants if one.name == wanted), ())

    def has_rate(self, kind: str) -> bool:
        """Whether the standard tiers price a kind, or one of its parents."""
        return self.tiers[0].has_rate(kind)


def cost_nano_usd(used: Quantities, price: ModelPrice, variant: str = STANDARD) -> int:
    """What a call costs: the sum of quantity x rate, rounded up once to whole nano-dollars.

    Raises UnpriceableError when a kind that was used, or the variant that served it, has no rate.
    """
    tier = price.tier(input_total(used), variant)
    total_pico_usd = 0
    for kind, count in used.items():
        if count and kind not in INFORMATIVE:
            total_pico_usd += count * tier.rate_pico_usd(kind)
    return -(-total_pico_usd // PICO_PER_NANO)
