"""What a call cost: from the usage that a provider reported, or from what was seen of its answer.

Rules:
1. What a provider is known to bill by its own sum, it is charged by that. Any other report is taken
   at its word only where every part of it can be priced. A part that is not
   known, or a variant that the price does not hold, is charged at the worst case that was held (or
   more, if the known parts already cost more) and flagged: never too low, never silently.
2. Without a report the cost is an estimate that is not too low: the input as far as it is known,
   else its bound; the output by the bytes that were seen and a little more, else its bound. A model
   that may bill what it does not show is charged its whole bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protos.values import quantities as kinds
from protos.values.quick import quick
from protos.values.rates import STANDARD, ModelPrice, UnpriceableError, cost_nano_usd
from sidecar.core.bounds import (
    Asked,
    input_bound_tokens,
    pieces_of,
    pieces_worst_pico_usd,
    reachable_tiers,
    reachable_variants,
)
from sidecar.core.calls import Hold
from sidecar.core.price_drift import PRICE_DRIFT, UNPRICED_USAGE, drifts

UNSEEN_TOKENS = 256
"""Output that a provider may have made between the last byte seen and the end of its work."""


@quick
@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider says a call used."""

    quantities: Mapping[str, int]
    """Units by kind; kinds do not overlap."""
    answered_model: str = ""
    """The model that it says it used."""
    tier: str = ""
    """The service tier that it says it used, in its own words."""
    variant: str = STANDARD
    """The variant of the price that served it, as `variant_of` names it: from the tier, the speed
    and the place that the provider reports."""
    unpriced: tuple[str, ...] = ()
    """What it reported that this program has no kind for, by name."""
    told_nano_usd: Mapping[str, int] = field(default_factory=dict)
    """What it says in money, by how it says so."""
    own_rates: tuple[str, ...] = ()
    """Kinds that must have a rate of their own, for their parent's would be too low."""


@quick
@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of an answer that came without its usage."""

    output_bytes: int = 0
    """UTF-8 bytes of all texts, reasoning and tool calls in it."""
    input_quantities: Mapping[str, int] | None = None
    """The prompt's quantities, when the provider told them early."""


@quick
@dataclass(frozen=True, slots=True)
class Charge:
    """What a call costs."""

    cost_nano_usd: int
    estimated: bool = False
    """It rests on a bound, not on a report."""
    quantities: Mapping[str, int] = field(default_factory=dict)
    """What was used, by kind; for an estimate, what it was taken to have used."""
    unpriced: tuple[str, ...] = ()
    """What was reported and could not be priced."""
    told: bool = False
    """It is what the provider said in money."""
    book_nano_usd: int | None = None
    """What the price book makes of what was told in money; None where it has no rate for it."""
    doubt: str = ""
    """Why the price book should be looked at, in a word; empty when it need not be."""


def charge_of(usage: Usage, price: ModelPrice, worst_nano_usd: int, money: str = "") -> Charge:
    """What a reported usage costs; `money` names the way of telling money that is believed."""
    unpriced = usage.unpriced
    told = usage.told_nano_usd.get(money)
    if told is not None:
        # What is billed beats what is computed, also of what nobody here knows the rate of.
        book = _book_nano_usd(usage, price)
        drifted = book is not None and drifts(told, book)
        return Charge(
            told,
            quantities=usage.quantities,
            told=True,
            book_nano_usd=book,
            doubt=PRICE_DRIFT if drifted else "",
        )
    used = _with_call(usage.quantities, price)
    try:
        cost = cost_nano_usd(used, price, usage.variant)
    except UnpriceableError as error:
        cost = _priced_part_nano_usd(used, price)
        unpriced = (*unpriced, error.kind)
    else:
        rates = price.tier(0, usage.variant).rates_pico_usd
        lacking = (kind for kind in usage.own_rates if used.get(kind) and kind not in rates)
        unpriced = (*unpriced, *lacking)
    if unpriced:
        cost = max(cost, worst_nano_usd)
    return Charge(cost, bool(unpriced), used, unpriced, doubt=UNPRICED_USAGE if unpriced else "")


def _book_nano_usd(usage: Usage, price: ModelPrice) -> int | None:
    """What the price book makes of a usage; None where it has no rate for all of it."""
    try:
        return cost_nano_usd(_with_call(usage.quantities, price), price, usage.variant)
    except UnpriceableError:
        return None


def usage_by_request(asked: Asked, price: ModelPrice) -> Usage | None:
    """What a whole answer has used though nothing in it tells; None when that is not known.

    A price by the character or by the picture, without a rate for tokens, is paid for what was
    asked for.
    """
    if not asked.pieces_exact or price.has_rate(kinds.INPUT):
        return None
    return Usage(pieces_of(asked, price.tiers[0]))


def _with_call(used: Mapping[str, int], price: ModelPrice) -> Mapping[str, int]:
    """What was used, and the call itself where calls have a rate."""
    return {**used, kinds.CALLS: 1} if price.has_rate(kinds.CALLS) else used


def _priced_part_nano_usd(used: Mapping[str, int], price: ModelPrice) -> int:
    """What the parts that have a standard rate cost."""
    return cost_nano_usd({kind: n for kind, n in used.items() if price.has_rate(kind)}, price)


def estimate_of(hold: Hold, asked: Asked, price: ModelPrice, seen: Seen) -> Charge:
    """What an answer without usage is taken to have cost."""
    if price.hides_reasoning and price.output_max:
        return worst_of(hold, asked, price)
    bound = hold.call.bound
    output = min(seen.output_bytes + UNSEEN_TOKENS, output_bound_tokens(hold))
    output_pico_usd = output * bound.output_rate_pico_usd
    known = seen.input_quantities
    if known is None:
        used = _taken(asked, price, output)
        cost = bound.input_worst_nano_usd - (-output_pico_usd // 1000)
    else:
        used = {**_taken(asked, price, output), kinds.INPUT: 0, **known}
        try:
            cost = _told_nano_usd(known, asked, price) - (-output_pico_usd // 1000)
        except UnpriceableError:
            cost = hold.worst_nano_usd
    return Charge(min(cost, hold.worst_nano_usd), estimated=True, quantities=_counted(used))


def _told_nano_usd(known: Mapping[str, int], asked: Asked, price: ModelPrice) -> int:
    """What a prompt that was told costs at the dearest, and all pieces that may have been used."""
    variants = reachable_variants(asked, price)
    prompt = max(cost_nano_usd(known, price, variant) for variant in variants)
    tiers = reachable_tiers(asked, price)
    return prompt - (-max(pieces_worst_pico_usd(tier, asked) for tier in tiers) // 1000)


def worst_of(hold: Hold, asked: Asked, price: ModelPrice) -> Charge:
    """The worst case, as the charge of a call of which nothing is known."""
    used = _taken(asked, price, output_bound_tokens(hold))
    return Charge(hold.worst_nano_usd, estimated=True, quantities=_counted(used))


def _taken(asked: Asked, price: ModelPrice, output: int) -> dict[str, int]:
    """What a call is taken to have used when its usage is not known."""
    used = pieces_of(asked, price.tiers[0])
    if price.has_rate(kinds.INPUT):
        used[kinds.INPUT] = input_bound_tokens(asked, price)
    used[asked.output_kinds[0]] = output
    return used


def output_bound_tokens(hold: Hold) -> int:
    """The most tokens that all answers of a call can have together."""
    bound = hold.call.bound
    limit = bound.output_most if hold.output_limit is None else hold.output_limit
    return bound.choices * limit


def _counted(used: Mapping[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in used.items() if count}
