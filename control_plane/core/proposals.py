"""What a catalogue would change of the price book, and what of it needs a person.

Strategy: a dated catalogue (genai-prices) says what a model costs and from when; a table without
dates (litellm's) adds limits, what the first does not hold, and a second opinion. Where they
disagree, calls are charged by the first and bounded by the dearer of both.

Rules:
1. A model is proposed under an id that calls can name. An alias is an exact name of the
   catalogue, or the id with a date behind it where the table lists that at the same standard rates;
   a pattern or a prefix is never one.
2. What is dearer may be accepted by rule. What is new or cheaper needs a person: a wrong low price
   makes a cap worthless.
3. A price that an operator set is an override. It is shown, and replaced only by name.
4. A limit only ever rises: one that is too high holds more, one that is too low breaks a bound.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from control_plane import limits
from control_plane.core.offers import Entry, Listing, Offer, dearer_of, rates_above, with_rates
from control_plane.core.prices import OPERATOR, Price, in_force
from protos.values import quantities as kinds
from protos.values.money import pico_to_usd_per_million
from protos.values.rates import DISPUTED, STANDARD, ModelPrice, Tier, Variant, variant_of

IMPORTED: Final = "import"
"""The source of prices that were accepted from a catalogue."""
_BYTE_TOKENIZERS: Final = frozenset({"openai", "deepseek", "mistral"})
"""Providers whose tokenizers take texts as they are; of any other, normalising is assumed."""
_SPEECH_CHARACTERS: Final = 4_096
"""Characters that a speech request takes, where nothing says it."""
_TOKENS: Final = kinds.INPUT_KINDS | kinds.OUTPUT_KINDS
_DISPUTABLE: Final = frozenset(kinds.KINDS) - kinds.INFORMATIVE
_DATED: Final = r"-(latest|\d{4}|\d{8}|\d{4}-\d{2}-\d{2})"
"""What stands behind the id of a model where a snapshot of it is meant."""
_ADDED_KINDS: Final = (kinds.CACHE_WRITE_LONG, kinds.CONTAINER, kinds.WEB_SEARCH, kinds.GROUNDING)
"""What the table may add to the standard rates: dated catalogues have no unit for some of it."""


class Effect(Enum):
    """What accepting a change does."""

    NEW = "new"
    DEARER = "dearer"
    CHEAPER = "cheaper"
    MIXED = "mixed"
    """Some rates rise and some fall."""
    WIDER = "wider"
    """No rate changes; limits, names, variants or kinds are added."""


@dataclass(frozen=True, slots=True)
class Change:
    """One price that a catalogue proposes."""

    effect: Effect
    """What it does."""
    proposed: ModelPrice
    """The price; its version is empty."""
    begins_unix_ms: int
    """From when; 0 for as soon as it is accepted."""
    current: Price | None
    """What would hold then without it."""
    remarks: tuple[str, ...]
    """Where the sources disagree."""

    @property
    def is_override(self) -> bool:
        """An operator set the current price, so that only its model's name replaces it."""
        return self.current is not None and self.current.source == OPERATOR


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that no price could be proposed for."""

    provider: str
    """The provider."""
    model: str
    """The model's id in the catalogue."""
    why: str
    """What is missing."""


def changes_of(
    provider: str,
    known: Sequence[Price],
    entries: Sequence[Entry],
    listings: Mapping[str, Listing],
    now_unix_ms: int,
) -> tuple[list[Change], list[LeftOut]]:
    """Everything that would change of one provider's prices, in order of model and begin.

    `known` are all its prices, replaced ones and those to come too.
    """
    current = {model: price for (_, model), price in in_force(known, now_unix_ms).items()}
    taken = {
        name: model
        for model, price in current.items()
        for name in (*price.model_price.aliases, model)
    }
    found: list[Change] = []
    left_out: list[LeftOut] = []
    subjects = _subjects(current, taken, entries)
    taken |= {model: model for model in subjects}
    for model, entry in sorted(subjects.items()):
        names = [n for n in _names(model, entry, listings) if taken.setdefault(n, model) == model]
        before = current[model].model_price if model in current else None
        listing = next((listings[n] for n in (model, *names) if n in listings), None)
        drafts = _drafts(provider, model, before, entry, names, listing)
        if isinstance(drafts, LeftOut):
            left_out.append(drafts)
            continue
        later = [one for one in known if one.model_price.model == model]
        found += _differing(drafts, later, now_unix_ms)
    return found, left_out


def _subjects(
    current: Mapping[str, Price], taken: Mapping[str, str], entries: Sequence[Entry]
) -> dict[str, Entry]:
    """Which entry speaks of which model: those in the book, and those that are new."""
    found: dict[str, Entry] = {}
    used: set[str] = set()
    for model in current:
        entry = _entry_of(model, entries)
        if entry is not None:
            found[model] = entry
            used.add(entry.model)
    for entry in entries:
        if not (entry.model in used or entry.retired or entry.model in taken):
            found[entry.model] = entry
    return found


def _entry_of(model: str, entries: Sequence[Entry]) -> Entry | None:
    """The entry by its very id, by an exact name, or by what the catalogue takes for it."""
    for test in (
        lambda entry: entry.model == model,
        lambda entry: model in entry.names,
        lambda entry: entry.accepts(model),
    ):
        for entry in entries:
            if test(entry):
                return entry
    return None


def _names(model: str, entry: Entry, listings: Mapping[str, Listing]) -> Iterator[str]:
    """Exact ids that mean the same model at the same rates."""
    if not listings:
        yield from (name for name in entry.names if name != model)
        return
    tiers = listings[model].tiers if model in listings else None
    dated = re.compile(re.escape(model) + _DATED)
    for name, listing in listings.items():
        means_it = (
            name != model and entry.accepts(name) and (name in entry.names or dated.fullmatch(name))
        )
        if means_it and (tiers is None or listing.tiers == tiers):
            tiers = listing.tiers
            yield name


@dataclass(frozen=True, slots=True)
class Draft:
    """A price that a catalogue makes, from an instant on."""

    price: ModelPrice
    begins_unix_ms: int
    remarks: tuple[str, ...]


def _drafts(
    provider: str,
    model: str,
    before: ModelPrice | None,
    entry: Entry,
    names: Sequence[str],
    listing: Listing | None,
) -> list[Draft] | LeftOut:
    """The prices that an entry makes of a model, by their begin."""
    priced = set(entry.offers[0].tiers[0].rates_pico_usd) if entry.offers else set()
    if not priced:
        why = entry.unreadable or "it has no price there, or is free: set it by hand"
        return LeftOut(provider, entry.model, why)
    if before is None and listing is None and not entry.is_exact:
        return LeftOut(provider, entry.model, "no exact id of it is known")
    known = [] if listing is None or listing.output_max is None else [listing.output_max]
    known += [before.output_max] if before else []
    output_max = max(known, default=None) if priced & kinds.OUTPUT_KINDS else 0
    input_max = max(before.input_max if before else 0, listing.input_max if listing else 0)
    input_max = input_max or entry.input_max
    if not priced & kinds.INPUT_KINDS:
        input_max = input_max or _SPEECH_CHARACTERS
    if output_max is None or not input_max:
        what = "writes" if output_max is None else "takes"
        why = f"no source knows how many tokens it {what} at most: set its price by hand"
        return LeftOut(provider, entry.model, why)
    aliases = dict.fromkeys((*(before.aliases if before else ()), *names))
    frame = ModelPrice(
        provider=provider,
        model=model,
        aliases=tuple(aliases)[: limits.MODEL_ALIASES_MAX],
        input_max=input_max,
        output_max=output_max,
        tiers=entry.offers[0].tiers,
        version="",
        cache_write_implicit=provider == "openai" and kinds.CACHE_WRITE in priced,
        expands_text=provider not in _BYTE_TOKENIZERS,
        hides_reasoning=bool(output_max) and (listing is None or listing.reasons),
    )
    if before is not None:
        frame = replace(
            frame,
            cache_write_implicit=before.cache_write_implicit,
            expands_text=before.expands_text,
            hides_reasoning=before.hides_reasoning,
        )
    return [_draft(frame, offer, listing) for offer in entry.offers]


def _draft(frame: ModelPrice, offer: Offer, listing: Listing | None) -> Draft:
    """An offer as a price, with what the table adds and disputes."""
    tiers, variants = offer.tiers, dict(offer.variants)
    if listing is None or not listing.tiers:
        return Draft(
            replace(frame, tiers=tiers, variants=_variants(variants)), offer.begins_unix_ms, ()
        )
    theirs = {STANDARD: listing.tiers, **listing.variants}
    rates = tiers[0].rates_pico_usd
    added = [k for k in _ADDED_KINDS if k != kinds.CACHE_WRITE_LONG or kinds.CACHE_WRITE in rates]
    if not {kinds.INPUT, kinds.OUTPUT} <= rates.keys():
        added = []
    tiers = with_rates(tiers, listing.tiers, added)
    ours = {STANDARD: tiers} | {
        name: with_rates(mine, theirs.get(name, listing.tiers), added)
        for name, mine in variants.items()
    }
    remarks: list[str] = []
    for name, their in theirs.items():
        mine = ours.setdefault(name, their)
        if offer.begins_unix_ms:
            # The table has no dates: what it says now is no opinion on what begins later.
            continue
        # It does not say which tokens of a variant are at the standard rates.
        dearer = dearer_of(mine, their, _DISPUTABLE - (_TOKENS if name else frozenset()))
        if dearer != mine:
            ours[variant_of(DISPUTED, name)] = dearer
            remarks += _disputes(name, mine, dearer)
    price = replace(frame, tiers=ours.pop(STANDARD), variants=_variants(ours))
    return Draft(price, offer.begins_unix_ms, tuple(remarks))


def _variants(tiers: Mapping[str, tuple[Tier, ...]]) -> tuple[Variant, ...]:
    return tuple(Variant(name, tiers[name]) for name in sorted(tiers)[: limits.PRICE_VARIANTS_MAX])


def _disputes(name: str, mine: tuple[Tier, ...], dearer: tuple[Tier, ...]) -> Iterator[str]:
    """Every rate that is dearer there, in words."""
    for bound in sorted({tier.above_input for tier in dearer}):
        rates = rates_above(mine, bound)
        for kind, rate in sorted(rates_above(dearer, bound).items()):
            if rate > rates[kind]:
                above = f" above {bound:,} tokens" if bound else ""
                served = f" served as {name}" if name else ""
                yield (
                    f"{kind}{above}{served}: {pico_to_usd_per_million(rates[kind])} per million,"
                    f" the other source says {pico_to_usd_per_million(rate)}"
                )


def _differing(
    drafts: Sequence[Draft], known: Sequence[Price], now_unix_ms: int
) -> Iterator[Change]:
    """The drafts that would change something, each against what would hold when it begins."""
    accepted: list[Price] = list(known)
    for draft in drafts:
        begins = max(draft.begins_unix_ms, now_unix_ms)
        name = (draft.price.provider, draft.price.model)
        current = in_force(accepted, begins).get(name)
        before = current.model_price if current else None
        effect = effect_of(before, draft.price)
        if effect is not None:
            yield Change(
                effect=effect,
                proposed=draft.price,
                begins_unix_ms=draft.begins_unix_ms,
                current=current,
                remarks=draft.remarks,
            )
        accepted.append(Price(draft.price, begins, IMPORTED))


def effect_of(before: ModelPrice | None, after: ModelPrice) -> Effect | None:
    """What replacing a price does; None when nothing changes."""
    if before is None:
        return Effect.NEW
    if replace(before, version=after.version) == after:
        return None
    theirs = {variant.name: variant.tiers for variant in after.variants}
    rises = falls = False
    for name, tiers in ((STANDARD, before.tiers), *((v.name, v.tiers) for v in before.variants)):
        new = after.tiers if name == STANDARD else theirs.get(name)
        if new is None:
            continue
        for bound in sorted({tier.above_input for tier in (*tiers, *new)}):
            then = Tier(bound, rates_above(new, bound))
            for kind, rate in rates_above(tiers, bound).items():
                rises |= then.has_rate(kind) and then.rate_pico_usd(kind) > rate
                falls |= not then.has_rate(kind) or then.rate_pico_usd(kind) < rate
    if rises and falls:
        return Effect.MIXED
    return Effect.DEARER if rises else Effect.CHEAPER if falls else Effect.WIDER
