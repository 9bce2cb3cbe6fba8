"""Walks the waiting calls, oldest first, and says who gets money, who is next, and what is short.

Rules. The order (since, call) is the same at every decision, and waiting holds nothing: so there
is no cycle to deadlock in. A call gets what it misses from all its budgets at once or from none. A
call that waits for longer than half its patience and is the first such in all its budgets reserves
what it misses, so that smaller ones cannot pass it for ever; after a reservation ends, its budgets
make no new one for as long as it lasted, so that the small ones have their turn: and at least for
so long that one who is nudged can come and be named. What was named already comes before all
others: it is open, and has its money.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from control_plane import limits
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.situation import Demand, Reservation, Situation, Vector, by_order


@dataclass(slots=True)
class Walk:
    """What the walk has found so far; made by `walk`, read by the rest of a decision."""

    headroom_nano_usd: dict[PeriodKey, int]
    """What is left after the grants of this decision."""
    reserved_nano_usd: dict[PeriodKey, int] = field(default_factory=lambda: defaultdict(int))
    """What is kept for calls of other sidecars and for the oldest ones."""
    claimed_nano_usd: dict[tuple[str, PeriodKey], int] = field(
        default_factory=lambda: defaultdict(int)
    )
    """What a sidecar's own older demands will hold of what it has, this decision's grants
    included."""
    granted_nano_usd: dict[PeriodKey, int] = field(default_factory=lambda: defaultdict(int))
    """What this decision grants the asker."""
    shortage_nano_usd: dict[PeriodKey, int] = field(default_factory=lambda: defaultdict(int))
    """What is missing for calls that cannot be met."""
    vectors: list[Vector] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    """Other sidecars that have a call which could be named, or cannot be paid."""
    reservations: dict[PeriodKey, Reservation] = field(default_factory=dict)
    heads: set[PeriodKey] = field(default_factory=set)
    """Periods whose oldest call in need has been found."""
    beyond: dict[PeriodKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Other sidecars with a call that is larger than what is unspent of a period: they only need to
    know how much that is."""
    hopeless: list[str] = field(default_factory=list)
    unpayable: list[str] = field(default_factory=list)
    """Calls of the asker that are larger than what is left: its answer lets it refuse them."""

    def free_nano_usd(self, key: PeriodKey) -> int:
        """Headroom that is kept for nobody."""
        return self.headroom_nano_usd[key] - self.reserved_nano_usd[key]


def walk(situation: Situation) -> Walk:
    """Walk all live demands of all sidecars in their order, those that were named first."""
    found = Walk({key: period.headroom_nano_usd for key, period in situation.periods.items()})
    found.reservations = _still_valid(situation)
    reachable = {key: situation.reachable_nano_usd(key) for key in situation.periods}
    running: dict[tuple[BudgetRef, ...], tuple[PeriodKey, ...] | None] = {}
    for demand in _in_order(situation):
        if demand.budgets not in running:
            running[demand.budgets] = _running(situation, demand)
        keys = running[demand.budgets]
        if keys is None or _frozen(situation, demand, keys):
            if demand.sidecar_id == situation.asker and _no_period(situation, demand):
                found.hopeless.append(demand.call_id)
            continue
        if any(demand.worst_nano_usd > reachable[key] for key in keys):
            # Its next answer says so, and then it waits no more.
            if demand.sidecar_id == situation.asker:
                found.unpayable.append(demand.call_id)
            elif demand.call_id not in situation.answered:
                _beyond(situation, found, demand, keys)
            continue
        _visit(situation, found, demand, keys)
    return found


def _beyond(situation: Situation, found: Walk, demand: Demand, keys: tuple[PeriodKey, ...]) -> None:
    """Another sidecar's call cannot be paid: by what is left, or by what silent ones hold."""
    for key in keys:
        if demand.worst_nano_usd > situation.periods[key].unspent_nano_usd:
            found.beyond[key].add(demand.sidecar_id)
            return
    found.ready.add(demand.sidecar_id)


def _in_order(situation: Situation) -> list[Demand]:
    ordered = sorted(situation.demands, key=by_order)
    named = [demand for demand in ordered if demand.call_id in situation.named]
    return named + [demand for demand in ordered if demand.call_id not in situation.named]


def _running(situation: Situation, demand: Demand) -> tuple[PeriodKey, ...] | None:
    """The running periods of all its budgets; None when one has none."""
    keys = []
    for budget in demand.budgets:
        key = situation.current.get(budget)
        period = situation.periods.get(key) if key is not None else None
        if key is None or period is None or not period.running(situation.now_unix_ms):
            return None
        keys.append(key)
    return tuple(sorted(keys))


def _frozen(situation: Situation, demand: Demand, keys: tuple[PeriodKey, ...]) -> bool:
    """Whether a lease of its sidecar gives no money to new calls."""
    for key in keys:
        lease = situation.leases.get(key, {}).get(demand.sidecar_id)
        if lease is not None and lease.frozen(situation.periods[key].cap_version):
            return True
    return False


def _no_period(situation: Situation, demand: Demand) -> bool:
    return any(budget not in situation.current for budget in demand.budgets)


def _missing(
    situation: Situation, found: Walk, demand: Demand, keys: tuple[PeriodKey, ...]
) -> dict[PeriodKey, int]:
    missing = {}
    for key in keys:
        have = situation.have_nano_usd(demand.sidecar_id, key)
        if demand.sidecar_id == situation.asker:
            have += found.granted_nano_usd[key]
        claimed = found.claimed_nano_usd[demand.sidecar_id, key]
        missing[key] = max(0, demand.worst_nano_usd - (have - claimed))
    return missing


def _visit(situation: Situation, found: Walk, demand: Demand, keys: tuple[PeriodKey, ...]) -> None:
    missing = _missing(situation, found, demand, keys)
    tight = [key for key in keys if missing[key] > 0 and missing[key] > found.free_nano_usd(key)]
    if tight:
        _cannot_be_met(situation, found, demand, missing, tight)
        return
    if demand.sidecar_id != situation.asker:
        _set_aside(found, demand, missing)
        if demand.call_id not in situation.answered:
            found.ready.add(demand.sidecar_id)
        return
    for key in keys:
        found.headroom_nano_usd[key] -= missing[key]
        found.granted_nano_usd[key] += missing[key]
        found.claimed_nano_usd[demand.sidecar_id, key] += demand.worst_nano_usd
    amounts = tuple((key, missing[key]) for key in keys if missing[key])
    found.vectors.append(Vector(demand.call_id, amounts))


def _set_aside(found: Walk, demand: Demand, missing: dict[PeriodKey, int]) -> None:
    """Keep what a call misses, and leave its sidecar what it has of it: each once."""
    for key, amount in missing.items():
        found.reserved_nano_usd[key] += amount
        found.claimed_nano_usd[demand.sidecar_id, key] += demand.worst_nano_usd - amount


def _cannot_be_met(
    situation: Situation,
    found: Walk,
    demand: Demand,
    missing: dict[PeriodKey, int],
    tight: list[PeriodKey],
) -> None:
    for key in tight:
        found.shortage_nano_usd[key] += missing[key] - max(0, found.free_nano_usd(key))
    if not _may_reserve(situation, found, demand, missing, tight):
        return
    _set_aside(found, demand, missing)
    found.heads.update(missing)
    for key in tight:
        earlier = found.reservations.get(key)
        since = situation.now_unix_ms
        if earlier is not None and earlier.call_id == demand.call_id:
            since = earlier.since_unix_ms
        found.reservations[key] = Reservation(demand.call_id, since, situation.now_unix_ms)


def _may_reserve(
    situation: Situation,
    found: Walk,
    demand: Demand,
    missing: dict[PeriodKey, int],
    tight: list[PeriodKey],
) -> bool:
    waited_ms = situation.now_unix_ms - demand.since_unix_ms
    if waited_ms * 2 < demand.patience_ms or any(key in found.heads for key in missing):
        return False
    left_ms = demand.gives_up_unix_ms - situation.now_unix_ms
    if left_ms * limits.RESERVATION_LAST_PARTS < demand.patience_ms:
        # Nobody says when it gave up: what it reserved would lie idle until the next Sync.
        return False
    allowed = True
    for key in tight:
        earlier = found.reservations.get(key)
        if earlier is None or earlier.call_id == demand.call_id:
            continue
        if earlier.call_id:
            # Another call was the first here until now: its reservation ends with this decision.
            earlier = found.reservations[key] = _paused(earlier, situation.now_unix_ms)
        if situation.now_unix_ms < earlier.pause_until_unix_ms:
            allowed = False
    return allowed


def _still_valid(situation: Situation) -> dict[PeriodKey, Reservation]:
    """Reservations whose call still waits, and pauses that are not over."""
    live = {demand.call_id for demand in situation.demands}
    kept = {}
    for key, reservation in situation.reservations.items():
        held = reservation
        if held.call_id and held.call_id not in live:
            held = _paused(held, situation.now_unix_ms)
        if held.call_id or held.pause_until_unix_ms > situation.now_unix_ms:
            kept[key] = held
    return kept


def _paused(reservation: Reservation, now_unix_ms: int) -> Reservation:
    lasted_ms = reservation.last_unix_ms - reservation.since_unix_ms
    lasted_ms = max(lasted_ms, limits.RESERVATION_PAUSE_MIN_MS)
    return Reservation("", now_unix_ms, now_unix_ms, now_unix_ms + lasted_ms)
