"""What catalogues of others say that models cost, in our kinds, tiers and variants.

A catalogue is no price book: it may be wrong, and two of them disagree. So what it says is an
offer, which becomes a price only when a person, or a rule that a person gave, accepts it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from protos.values.rates import Tier

PICO_PER_USD = 10**12

Rates = Mapping[str, int]
"""Pico-dollars per unit, by kind."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a model costs from an instant on, as a catalogue says."""

    begins_unix_ms: int
    """From when; 0 for what holds already."""
    tiers: tuple[Tier, ...]
    """The standard rates."""
    variants: Mapping[str, tuple[Tier, ...]]
    """What it costs when it is served otherwise."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of a dated catalogue."""

    model: str
    """Its id there."""
    is_exact: bool
    """Whether that id is one that calls can name, and not what a family is called."""
    names: tuple[str, ...]
    """Other ids that mean it, each exact."""
    accepts: Callable[[str], bool]
    """Whether the catalogue takes an id for this model. It may go by prefixes, and so take ids
    that do not exist yet: ask it only of ids that are known from elsewhere."""
    retired: bool
    """The provider serves it no more, or is about to stop."""
    input_max: int
    """Tokens of prompt at most; 0 when it is not known."""
    offers: tuple[Offer, ...]
    """By rising begin; the first is what holds already."""
    unreadable: str = ""
    """Why it has no offers; empty when it has."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A model of a catalogue that knows limits, and no dates."""

    input_max: int
    """Tokens of prompt at most; 0 when it is not known."""
    output_max: int | None
    """Tokens of output at most; None when it is not known."""
    reasons: bool
    """Whether it thinks before it answers."""
    tiers: tuple[Tier, ...]
    """The standard rates; empty when they could not be read."""
    variants: Mapping[str, tuple[Tier, ...]]
    """What it costs when it is served otherwise."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the catalogues say of one provider."""

    entries: Sequence[Entry]
    """Dated prices."""
    listings: Mapping[str, Listing]
    """Limits, and rates without dates, by exact id."""


def rate_pico_usd(usd: Decimal, units: int) -> int:
    """So many dollars for so many units, as pico-dollars per unit, rounded up."""
    return int((usd * PICO_PER_USD / units).to_integral_value(rounding=ROUND_CEILING))


def tiers_at(bounds: Iterable[int], rates_above: Callable[[int], Rates]) -> tuple[Tier, ...]:
    """Tiers at 0 and at each bound, without those that change nothing."""
    tiers = [Tier(0, rates_above(0))]
    for bound in sorted({bound for bound in bounds if bound > 0}):
        rates = rates_above(bound)
        if rates != tiers[-1].rates_pico_usd:
            tiers.append(Tier(bound, rates))
    return tuple(tiers)


def rates_above(tiers: tuple[Tier, ...], bound: int) -> Rates:
    """The rates that hold for prompts just above a bound."""
    return max(
        (tier for tier in tiers if tier.above_input <= bound), key=lambda tier: tier.above_input
    ).rates_pico_usd


def dearer_of(
    ours: tuple[Tier, ...], theirs: tuple[Tier, ...], kinds: frozenset[str]
) -> tuple[Tier, ...]:
    """Our tiers, rates of some kinds raised to theirs where they name them and are dearer."""
    bounds = [tier.above_input for tier in (*ours, *theirs)]

    def dearer(bound: int) -> Rates:
        other = rates_above(theirs, bound)
        return {
            kind: max(rate, other.get(kind, 0)) if kind in kinds else rate
            for kind, rate in rates_above(ours, bound).items()
        }

    return tiers_at(bounds, dearer)


def with_rates(
    ours: tuple[Tier, ...], theirs: tuple[Tier, ...], kinds: Iterable[str]
) -> tuple[Tier, ...]:
    """Our tiers, and the rates of kinds that only they name, in every tier of ours."""
    wanted = set(kinds)

    def added(bound: int) -> Rates:
        other = rates_above(theirs, bound)
        mine = rates_above(ours, bound)
        return {**{kind: rate for kind, rate in other.items() if kind in wanted}, **mine}

    return tiers_at([tier.above_input for tier in ours], added) if theirs else ours


def times(tiers: tuple[Tier, ...], factor: Decimal, kinds: frozenset[str]) -> tuple[Tier, ...]:
    """Tiers with the rates of some kinds multiplied, rounded up."""
    return tuple(
        Tier(
            tier.above_input,
            {
                kind: int((rate * factor).to_integral_value(rounding=ROUND_CEILING))
                if kind in kinds
                else rate
                for kind, rate in tier.rates_pico_usd.items()
            },
        )
        for tier in tiers
    )
