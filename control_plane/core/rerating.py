"""What calls would have cost under another version of their model's price.

Rules:
1. A call is re-rated from what it used: its quantities, and the variant that the provider reported.
   An estimate rests on a bound and not on a report, and what a provider billed by its own sum on
   no price: both are left as they are, and counted.
2. A correction is the difference to what the call costs by now, so that doing it twice finds
   nothing to do.
3. It belongs to the periods that the call was charged to, whether they are closed or not. It moves
   no lease: what a sidecar holds and has spent is the sidecar's to say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from control_plane import limits
from control_plane.core.log import LoggedCall
from control_plane.core.prices import Price
from protos.values.errors import FailedPreconditionError
from protos.values.rates import ModelPrice, UnpriceableError, cost_nano_usd


@dataclass(frozen=True, slots=True)
class ReratingQuestion:
    """Which calls, and by which price."""

    provider: str
    model: str
    """The model that the price is for, by its id or an alias."""
    price_version: str
    """The version that should have held; empty for the one in force."""
    start_unix_ms: int
    """Calls that began from then on."""
    end_unix_ms: int
    """Calls that began before then."""
    after_position: int
    """Calls behind this place in the ledger."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What one call costs instead."""

    logged: LoggedCall
    after_nano_usd: int

    @property
    def delta_nano_usd(self) -> int:
        """What is added to its cost; negative when it was too dear."""
        return self.after_nano_usd - self.logged.call.cost_nano_usd


@dataclass(frozen=True, slots=True)
class ProjectSum:
    """The corrections of one project."""

    project_id: str
    call_count: int
    before_nano_usd: int
    after_nano_usd: int


@dataclass(frozen=True, slots=True)
class Rerating:
    """The corrections that some calls need."""

    corrections: tuple[Correction, ...] = ()
    estimated_count: int = 0
    """Calls that are left as they are, because they are estimates."""
    told_count: int = 0
    """Calls that are left as they are, because their provider said what they cost in money."""
    unpriceable_count: int = 0
    """Calls that used what the price has no rate for; left as they are too."""
    price_version: str = ""
    """The version that they were held against."""
    position: int = 0
    """How far the ledger was read."""
    more: bool = False
    """Whether more follows."""

    def projects(self) -> tuple[ProjectSum, ...]:
        """The sums by project, in the order of their ids."""
        found: dict[str, ProjectSum] = {}
        for one in self.corrections:
            call = one.logged.call
            so_far = found.get(call.project_id, ProjectSum(call.project_id, 0, 0, 0))
            found[call.project_id] = ProjectSum(
                call.project_id,
                so_far.call_count + 1,
                so_far.before_nano_usd + call.cost_nano_usd,
                so_far.after_nano_usd + one.after_nano_usd,
            )
        return tuple(found[project_id] for project_id in sorted(found))


def model_names(prices: Iterable[Price]) -> dict[str, str]:
    """The model that each id and alias of one provider means, over all its prices."""
    names: dict[str, str] = {}
    for price in prices:
        of = price.model_price
        names |= {alias: of.model for alias in of.aliases if alias not in names}
        names[of.model] = of.model
    return names


def rerate(calls: Sequence[LoggedCall], price: ModelPrice, names: Mapping[str, str]) -> Rerating:
    """The corrections that those of some calls need which the price's model answered.

    Raises FailedPreconditionError when one would cost more than a call can.
    """
    corrections: list[Correction] = []
    estimated = told = unpriceable = 0
    for logged in calls:
        call = logged.call
        answered = names.get(call.answered_model) or names.get(call.requested_model)
        if answered != price.model or not call.quantities:
            continue
        if call.estimated:
            estimated += 1
            continue
        if call.cost_told:
            told += 1
            continue
        try:
            after = cost_nano_usd(call.quantities, price, call.variant)
        except UnpriceableError:
            unpriceable += 1
            continue
        if after > limits.RECORD_NANO_USD_MAX:
            raise FailedPreconditionError(
                f"by that price {call.call_id} would cost more than any call can: it is wrong",
                call_id=call.call_id,
            )
        if after != call.cost_nano_usd:
            corrections.append(Correction(logged, after))
    return Rerating(tuple(corrections), estimated, told, unpriceable, price.version)


@dataclass(frozen=True, slots=True)
class PeriodParts:
    """What a period's spend is made of."""

    leased_nano_usd: int
    """By leases, corrections of it included."""
    counted_nano_usd: int
    """Without a lease."""
    overrun_nano_usd: int
    """Beyond worst cases."""


def corrected(parts: PeriodParts, delta_nano_usd: int) -> PeriodParts:
    """By how much each part of a period moves for a correction; none falls below nothing.

    What was too cheap is added beside the leases. What was too dear comes off what leases spent,
    then off what was counted, then off overruns.
    """
    if delta_nano_usd >= 0:
        return PeriodParts(delta_nano_usd, 0, 0)
    leased = max(delta_nano_usd, -max(0, parts.leased_nano_usd))
    counted = max(delta_nano_usd - leased, -parts.counted_nano_usd)
    overrun = max(delta_nano_usd - leased - counted, -parts.overrun_nano_usd)
    return PeriodParts(leased, counted, overrun)
