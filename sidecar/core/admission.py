"""Whether a call may open now: a pure decision over its leases, made anew at each attempt.

A call opens when every lease covers its worst case, beyond what the oldest local waiter of that
budget needs, while authority lasts. A call that touches a DIRECT budget opens only when the control
plane named it; naming is permission, not money, so every lease is checked all the same. A worst
case above what the control plane says is unspent is refused at once: that number only falls until
the cap changes, the window turns, another database serves, or what a lost journal held comes free.
Of the last nobody tells, so an old word is asked for again. Being busy is never remembered. What no
provider ever bills needs no money: it opens on no lease, whoever is there. A price of zero is no
such promise: its call opens on leases like any other, so that a bill all the same is charged to
them and stops the next one. It takes no money, so it waits for no turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from protos.values.quick import quick
from protos.values.selectors import Attributes
from sidecar.core.allowance import Allowance
from sidecar.core.calls import NewCall
from sidecar.core.clamping import (
    Limited,
    OutputLengths,
    WorkflowKey,
    clamp,
    clampable,
    fair_share_nano_usd,
    near_cap,
    unclamped,
)
from sidecar.core.instants import Now
from sidecar.core.leases import Account, AccountKey, Lease
from sidecar.core.policy import Budget, Policy
from sidecar.core.refusals import Reason, Refusal, Shortage, plain_refusal, refusal_of
from sidecar.core.routing import Level
from sidecar.limits import REACHABLE_FRESH_MS, SHORT_FRESH_MS, UNSPENT_FRESH_MS

NO_CLAIMS: Mapping[Account, int] = {}
_UNLIMITED_NANO_USD = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Route:
    """Which budgets the calls of one key, workflow and model are charged to."""

    budgets: tuple[Budget, ...]
    """The capped budgets, by ascending id."""
    accounts: tuple[Account, ...]
    """Their accounts, in the same order."""
    counted: tuple[AccountKey, ...]
    """Budgets without a cap that count the calls."""
    counted_names: tuple[str, ...] = ()
    """Their names, for messages."""

    def counted_beside(self, leases: Sequence[Lease]) -> tuple[AccountKey, ...]:
        """All that count a call which no lease pays for.

        A call that is free opens on none; should it be billed all the same, caps feel that, too.
        """
        return self.counted if leases else (*self.counted, *(each.key for each in self.accounts))


@dataclass(slots=True, eq=False)
class Case:
    """A call that asks to be admitted, for as long as it asks."""

    call_id: str
    call: NewCall
    since_boot_ms: int
    """When it came; its place in every queue."""
    patience_ms: int
    route: Route
    asked: Limited | None = None
    """The worst case that it was last told to wait for; it never rises while it waits."""
    told: bool = False
    """A Sync has carried it as a demand."""
    hopeful: bool = True
    """By what was heard last it could be named if it were told of."""


@quick
@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on besides the call and its leases."""

    now: Now
    away: bool
    """The last Sync failed: nobody can name a call, and what is here is all there is."""
    heard: bool
    """A Sync was answered lately enough for calls that no capped budget counts."""
    paused: bool
    """The machine may have slept or been copied: ask before anything opens."""
    lengths: OutputLengths


class Open(NamedTuple):
    """The call may open on these leases."""

    limited: Limited
    leases: tuple[Lease, ...]


class Wait(NamedTuple):
    """The call must wait its turn."""

    limited: Limited
    hopeful: bool = True
    """By what was heard last the control plane could name it."""


class Refuse(NamedTuple):
    """The call cannot be paid."""

    refusal: Refusal


Plan = Open | Wait | Refuse


def standing_refusal(policy: Policy, call: NewCall, unix_ms: int) -> Refusal | None:
    """Why the call's key may not be used for it under a policy; None when it may.

    Asked again whenever the call is tried: a key that ends while its call waits stops it.
    """
    attributes = call.attributes
    key = policy.secret(call.secret_id)
    if key is None or key.revoked:
        return plain_refusal(Reason.KEY_REVOKED)
    if key.expires_unix_ms is not None and unix_ms >= key.expires_unix_ms:
        return plain_refusal(Reason.KEY_EXPIRED)
    project = policy.project(attributes.project_id)
    if project is None or not project.active:
        return plain_refusal(Reason.PROJECT_SUSPENDED)
    if not key.allows(attributes.model):
        return Refusal(
            Reason.MODEL_NOT_ALLOWED,
            f'This key may not use the model "{attributes.model}". Ask your agency to allow it.',
        )
    return None


def route_of(policy: Policy, attributes: Attributes, allowance: Allowance) -> Route:
    """Which budgets a call is charged to."""
    matching = policy.matching(attributes)
    keys = [
        AccountKey(budget.budget_id, policy.partition(budget, attributes)) for budget in matching
    ]
    capped = [(budget, key) for budget, key in zip(matching, keys, strict=True) if budget.capped]
    free = [(budget, key) for budget, key in zip(matching, keys, strict=True) if not budget.capped]
    return Route(
        budgets=tuple(budget for budget, _ in capped),
        accounts=tuple(allowance.account(key) for _, key in capped),
        counted=tuple(key for _, key in free),
        counted_names=tuple(budget.display_name for budget, _ in free),
    )


def levels_of(route: Route, attributes: Attributes, unix_ms: int) -> list[Level]:
    """How the project's own budgets stand that a call is charged to, as far as that is known."""
    found = []
    for budget, account in zip(route.budgets, route.accounts, strict=True):
        if budget.selector.project_id != attributes.project_id:
            continue
        known = _known(budget, account.lease_at(unix_ms))
        if known is not None and known.latest is not None:
            found.append(Level(known.used_nano_usd, known.latest.cap_nano_usd))
    return found


def workflow_key(call: NewCall) -> WorkflowKey:
    """Whose answers this call's answer is like."""
    attributes = call.attributes
    return WorkflowKey(attributes.project_id, attributes.workflow or attributes.key_id)


def decide(
    case: Case,
    at: Circumstances,
    *,
    named: bool = False,
    claims: Mapping[Account, int] = NO_CLAIMS,
) -> Plan:
    """Say whether a call opens, waits or is refused; nothing changes by asking."""
    route = case.route
    if not route.accounts and not route.counted:
        return Refuse(plain_refusal(Reason.NO_BUDGET))
    if case.call.bound.unbilled:
        return Open(unclamped(case.call.bound), ())
    leases = [account.lease_at(at.now.unix_ms) for account in route.accounts]
    left_nano_usd = None
    if clampable(case.call.bound):
        left_nano_usd = _left_nano_usd(route, leases, at)
    limited = _limit(case, left_nano_usd, at)
    shortages = _hopeless_shortages(case, leases, limited.worst_nano_usd, away=at.away)
    if any(each.reason is not Reason.UNREACHABLE for each in shortages):
        return Refuse(refusal_of(shortages))
    if not limited.worst_nano_usd:
        named, claims = True, NO_CLAIMS  # It takes nothing from anybody, so it needs no turn.
    room_nano_usd = _room_nano_usd(route, leases, at, named=named, claims=claims)
    if limited.worst_nano_usd > room_nano_usd and near_cap(case.call.bound, left_nano_usd):
        floor = at.lengths.floor_count(workflow_key(case.call))
        smaller = clamp(case.call.bound, max(0, room_nano_usd), floor)
        if smaller.worst_nano_usd <= min(room_nano_usd, limited.worst_nano_usd):
            limited = smaller
    if 0 <= limited.worst_nano_usd <= room_nano_usd:
        return Open(limited, tuple(lease for lease in leases if lease is not None))
    if shortages:
        return Refuse(refusal_of(shortages))
    return Wait(limited, _is_hopeful(route, leases, limited.worst_nano_usd, at))


def _is_hopeful(
    route: Route, leases: Sequence[Lease | None], worst_nano_usd: int, at: Circumstances
) -> bool:
    """Whether asking could help now: not while others wait and less is free than the call needs."""
    if at.away:
        return True
    for budget, lease in zip(route.budgets, leases, strict=True):
        known = _known(budget, lease)
        if known is None or known.latest is None or not known.latest.short:
            continue
        fresh = known.heard_boot_ms + SHORT_FRESH_MS > at.now.boot_ms
        if fresh and worst_nano_usd > known.latest.free_nano_usd:
            return False
    return True


def _known(budget: Budget, lease: Lease | None) -> Lease | None:
    """The lease, when what was heard of it still holds: not for an earlier version of the cap.

    Nor for what a database said that was replaced since: versions of caps are counted by each.
    """
    if lease is None or lease.latest is None or lease.outdated:
        return None
    return lease if lease.latest.cap_version >= budget.cap_version else None


def _left_nano_usd(route: Route, leases: Sequence[Lease | None], at: Circumstances) -> int | None:
    """The least that is left in a budget for all calls that could open; None when not known."""
    least: int | None = None
    for budget, lease in zip(route.budgets, leases, strict=True):
        if at.away:
            left = None if lease is None else lease.available_nano_usd
        else:
            known = _known(budget, lease)
            if known is None or known.latest is None:
                continue
            held = max(known.latest.held_nano_usd, known.held_nano_usd)
            left = max(0, known.latest.unspent_nano_usd - held)
        if left is not None and (least is None or left < least):
            least = left
    return least


def left_nano_usd(route: Route, at: Circumstances) -> int | None:
    """The least that is left in a call's budgets, by what was heard last; None when not known."""
    leases = [account.lease_at(at.now.unix_ms) for account in route.accounts]
    return _left_nano_usd(route, leases, at)


def _limit(case: Case, left_nano_usd: int | None, at: Circumstances) -> Limited:
    """The call's worst case, under a limit of its own or under one that is chosen for it."""
    bound = case.call.bound
    if left_nano_usd is None or not near_cap(bound, left_nano_usd):
        limited = unclamped(bound)
    else:
        floor = at.lengths.floor_count(workflow_key(case.call))
        limited = clamp(bound, fair_share_nano_usd(left_nano_usd), floor)
    asked = case.asked
    if asked is not None and asked.worst_nano_usd < limited.worst_nano_usd:
        return asked
    return limited


def _room_nano_usd(
    route: Route,
    leases: Sequence[Lease | None],
    at: Circumstances,
    *,
    named: bool,
    claims: Mapping[Account, int],
) -> int:
    """The largest worst case that could open now; -1 when none may."""
    if at.paused:
        return -1
    if not leases:
        return _UNLIMITED_NANO_USD if at.heard else -1
    room_nano_usd = _UNLIMITED_NANO_USD
    for account, lease in zip(route.accounts, leases, strict=True):
        if lease is None or not lease.usable(at.now.boot_ms):
            return -1
        if not named and not at.away and lease.direct:
            return -1
        available_nano_usd = lease.available_nano_usd
        if claims:
            available_nano_usd -= claims.get(account, 0)
        room_nano_usd = min(room_nano_usd, available_nano_usd)
    return room_nano_usd


def _hopeless_shortages(
    case: Case, leases: Sequence[Lease | None], worst_nano_usd: int, *, away: bool
) -> list[Shortage]:
    """The budgets that waiting would not help, as far as the control plane's word still holds.

    While it is away its last word holds, however old: nobody could know better.
    """
    found = []
    for budget, lease in zip(case.route.budgets, leases, strict=True):
        known = _known(budget, lease)
        if known is None or known.latest is None:
            continue
        unspent_nano_usd = known.latest.unspent_nano_usd
        if known.latest.frozen:
            found.append(shortage(budget, known, Reason.EXHAUSTED, worst_nano_usd, 0))
        elif worst_nano_usd > unspent_nano_usd and (
            away or known.heard_boot_ms + UNSPENT_FRESH_MS >= case.since_boot_ms
        ):
            used_up = unspent_nano_usd < _smallest_nano_usd(known)
            reason = Reason.EXHAUSTED if used_up else Reason.TOO_LARGE
            found.append(shortage(budget, known, reason, worst_nano_usd, unspent_nano_usd))
        elif (
            worst_nano_usd > known.latest.reachable_nano_usd
            and known.heard_boot_ms + REACHABLE_FRESH_MS >= case.since_boot_ms
        ):
            reachable_nano_usd = known.latest.reachable_nano_usd
            found.append(
                shortage(budget, known, Reason.UNREACHABLE, worst_nano_usd, reachable_nano_usd)
            )
    return found


def _smallest_nano_usd(lease: Lease) -> int:
    """The smallest worst case seen lately, here or anywhere; 1 when none was."""
    assert lease.latest is not None
    seen = (lease.latest.smallest_worst_nano_usd, lease.account.smallest_worst_nano_usd)
    return min((worst for worst in seen if worst > 0), default=1)


def shortage(
    budget: Budget,
    lease: Lease | None,
    reason: Reason,
    worst_nano_usd: int,
    fits_nano_usd: int,
) -> Shortage:
    """Say how a budget stands, with what was last heard about it."""
    latest = lease.latest if lease is not None else None
    partition = lease.key.partition if lease is not None else ""
    name = f"{budget.display_name} ({partition})" if partition else budget.display_name
    return Shortage(
        reason=reason,
        budget_id=budget.budget_id,
        name=name,
        worst_nano_usd=worst_nano_usd,
        cap_nano_usd=latest.cap_nano_usd if latest else None,
        spent_nano_usd=latest.spent_nano_usd if latest else None,
        held_nano_usd=latest.held_nano_usd if latest else None,
        period_end_unix_ms=lease.period_end_unix_ms if lease is not None else None,
        fits_nano_usd=max(0, fits_nano_usd),
        conditions=budget.selector.conditions,
        silent_sidecar=latest.silent_sidecar if latest else "",
        frozen=latest.frozen if latest else False,
    )


def give_up(case: Case, at: Circumstances, reason: Reason) -> Refusal:
    """Put into words why a call's patience ended: busy, or no control plane (unreachable).

    Names the budgets that do not cover the call, or all when each would by itself. What it lacks is
    held by others and may come back, so this is never final: where too little is unspent, `decide`
    has said so, as soon as it was heard.
    """
    route = case.route
    leases = [account.lease_at(at.now.unix_ms) for account in route.accounts]
    worst_nano_usd = _limit(case, _left_nano_usd(route, leases, at), at).worst_nano_usd
    short: list[Shortage] = []
    rest: list[Shortage] = []
    for budget, lease in zip(route.budgets, leases, strict=True):
        known = _known(budget, lease)
        fits_nano_usd = 0
        if known is not None and known.latest is not None:
            fits_nano_usd = known.latest.unspent_nano_usd - known.latest.held_nano_usd
        covered = (
            lease is not None
            and lease.usable(at.now.boot_ms)
            and lease.available_nano_usd >= worst_nano_usd
        )
        (rest if covered else short).append(
            shortage(budget, lease, reason, worst_nano_usd, fits_nano_usd)
        )
    found = short or rest
    for ref, name in zip(route.counted, route.counted_names, strict=False):
        if not found:
            found = [Shortage(reason, ref.budget_id, name, worst_nano_usd)]
    return refusal_of(found)
