"""Decides, for one Sync, who gets money: named calls, refills, recalls, reservations.

The use case gathers a Situation, this makes a Plan of it, and the use case books the plan's grants
one conditional UPDATE at a time. So a plan that rests on something old costs a grant, never a cap.
"""

from control_plane.core.leases import PeriodKey
from control_plane.core.sharing import keep_nano_usd
from control_plane.core.situation import Plan, Recall, Situation
from control_plane.core.waiting import Walk, walk


def decide(situation: Situation) -> Plan:
    """The plan for the asker's Sync."""
    found = walk(situation)
    for key, period in situation.periods.items():
        if period.headroom_nano_usd < 0:
            found.shortage_nano_usd[key] += -period.headroom_nano_usd
    keeps, refills = _refill(situation, found)
    return Plan(
        vectors=tuple(found.vectors),
        refills=refills,
        keeps=keeps,
        recalls=_recalls(situation, found),
        nudges=_holders_to_wake(situation, found),
        reservations=found.reservations,
        hopeless=tuple(found.hopeless),
        unpayable=tuple(found.unpayable),
        short=frozenset(key for key, amount in found.shortage_nano_usd.items() if amount > 0),
        ready=frozenset(found.ready),
        beyond={key: frozenset(names) for key, names in found.beyond.items()},
        free_nano_usd=_left_free(situation, found, refills),
    )


def _refill(
    situation: Situation, found: Walk
) -> tuple[dict[PeriodKey, int], tuple[tuple[PeriodKey, int], ...]]:
    keeps: dict[PeriodKey, int] = {}
    refills = []
    for key in sorted(set(situation.wanted)):
        keeps[key] = 0
        short = key in situation.short or found.shortage_nano_usd.get(key, 0) > 0
        if short or not _may_hold(situation, key):
            continue
        free = found.free_nano_usd(key)
        keep = keep_nano_usd(situation, key, free)
        keeps[key] = keep
        have = situation.have_nano_usd(situation.asker, key) + found.granted_nano_usd[key]
        spare = have - found.claimed_nano_usd[situation.asker, key]
        amount = min(keep - spare, free)
        if amount > 0:
            refills.append((key, amount))
    return keeps, tuple(refills)


def _left_free(
    situation: Situation, found: Walk, refills: tuple[tuple[PeriodKey, int], ...]
) -> dict[PeriodKey, int]:
    refilled = dict(refills)
    return {
        key: max(0, found.free_nano_usd(key) - refilled.get(key, 0)) for key in situation.periods
    }


def _may_hold(situation: Situation, key: PeriodKey) -> bool:
    """Whether the asker may hold money of this period ahead of its calls."""
    period = situation.periods.get(key)
    if period is None or period.cap_nano_usd is None:
        return False
    lease = situation.leases.get(key, {}).get(situation.asker)
    if lease is not None and lease.frozen(period.cap_version):
        return False
    if key in situation.starters:
        return period.open
    return period.running(situation.now_unix_ms)


def _holders_to_wake(situation: Situation, found: Walk) -> frozenset[str]:
    """Let holders speak of whom nothing is known yet, where money is short.

    Others need not be asked: what they settled they tell within a second anyhow.
    """
    woken = set()
    for key, shortage in found.shortage_nano_usd.items():
        if shortage <= 0:
            continue
        for sidecar_id, lease in situation.leases.get(key, {}).items():
            unheard = sidecar_id not in situation.levels.get(key, {})
            if unheard and lease.outstanding_nano_usd > 0:
                woken.add(sidecar_id)
    return frozenset(woken)


def _recalls(situation: Situation, found: Walk) -> tuple[Recall, ...]:
    """Take the shortage back from others, idlest first, leaving what their own calls claim.

    Whoever did not answer the last time comes last: nobody is kept waiting for one that is gone
    while another could give.
    """
    recalls = []
    for key in sorted(found.shortage_nano_usd):
        need = found.shortage_nano_usd[key]
        holders = []
        for sidecar_id, level in situation.levels.get(key, {}).items():
            # A holder that synced before its latest grant arrived reports less than it has.
            have = situation.have_nano_usd(sidecar_id, key)
            if sidecar_id == situation.asker or sidecar_id in situation.silent:
                continue
            expected = situation.pending.get((sidecar_id, key), 0)
            if expected:
                need -= expected
                continue
            claimed = found.claimed_nano_usd.get((sidecar_id, key), 0)
            spare = have - claimed
            if spare > 0:
                late = (sidecar_id, key) in situation.unanswered
                holders.append((late, level.used_unix_ms, sidecar_id, spare, have))
        for _, _, sidecar_id, spare, have in sorted(holders):
            if need <= 0:
                break
            amount = min(spare, need)
            need -= amount
            recalls.append(Recall(sidecar_id, key, have - amount, amount))
    return tuple(recalls)
