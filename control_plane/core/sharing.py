"""How much of a budget's headroom a sidecar may hold ahead of its calls.

Half of what is free, shared by water-filling over those who want some: idle money shrinks
geometrically towards the cap. Far from the cap half of all that is left stays free: wants that are
larger than it would have all of it leased soon, and then the first call above its sidecar's share
would call every share back, so that each next call of everybody has to ask.

A share below two median worst cases is not worth holding: then the lease is DIRECT (keep = 0):
everything goes back with every Sync, and calls open when named.
"""

from collections.abc import Sequence

from control_plane import limits
from control_plane.core.leases import PeriodKey
from control_plane.core.limits import FAR_PARTS
from control_plane.core.situation import Level, PeriodState, Situation

NOTHING = Level(0, 0, 0, 0, 0, 0, 0, 0, 0)


def water_fill(pool: int, wants: Sequence[int], mine: int) -> int:
    """The part of `wants[mine]` that an equal division of the pool allows; rounded down.

    Whoever wants less than an equal part gets all of it, and what is left is divided anew.
    """
    rest = max(0, pool)
    order = sorted(range(len(wants)), key=lambda index: (wants[index], index))
    for place, index in enumerate(order):
        part = min(wants[index], rest // (len(order) - place))
        if index == mine:
            return part
        rest -= part
    raise AssertionError("mine is one of the wants")


def effective_level(situation: Situation, key: PeriodKey) -> Level:
    """What the asker wants of a lease.

    A lease that it has not reported yet is judged by the calls that wait for it; the first lease of
    a next period by the lease of the running one.
    """
    reported = situation.levels.get(situation.starters.get(key, key), {}).get(situation.asker)
    if reported is not None and reported.median_worst_nano_usd:
        return reported
    waiting = [
        demand.worst_nano_usd
        for demand in situation.demands
        if demand.sidecar_id == situation.asker
        and any(situation.current.get(budget) == key for budget in demand.budgets)
    ]
    if not waiting:
        return reported or NOTHING
    worst = max(waiting)
    base = reported or NOTHING
    return Level(
        granted_seen_nano_usd=base.granted_seen_nano_usd,
        available_nano_usd=base.available_nano_usd,
        held_nano_usd=base.held_nano_usd,
        open_calls=base.open_calls,
        want_nano_usd=max(base.want_nano_usd, 2 * worst),
        median_worst_nano_usd=worst,
        smallest_worst_nano_usd=min(waiting),
        used_unix_ms=situation.now_unix_ms,
        reported_unix_ms=situation.now_unix_ms,
    )


def keep_nano_usd(situation: Situation, key: PeriodKey, free_nano_usd: int) -> int:
    """What the asker may keep available; 0 is DIRECT. `free` is headroom less reservations."""
    level = effective_level(situation, key)
    median = level.median_worst_nano_usd
    if level.want_nano_usd > 0:
        keep = _share(situation, key, level, free_nano_usd)
    else:
        keep = _floor(situation, key, level, free_nano_usd)
    return keep if median > 0 and keep >= 2 * median else 0


def _active(situation: Situation, key: PeriodKey) -> dict[str, Level]:
    """Other sidecars that want money of this period, or of the one it will follow."""
    since = situation.now_unix_ms - limits.ACTIVE_HOLDER_MS
    levels = situation.levels.get(situation.starters.get(key, key), {})
    return {
        sidecar_id: level
        for sidecar_id, level in levels.items()
        if level.want_nano_usd > 0
        and level.reported_unix_ms >= since
        and sidecar_id != situation.asker
    }


def _share(situation: Situation, key: PeriodKey, level: Level, free_nano_usd: int) -> int:
    others = _active(situation, key)
    held = situation.have_nano_usd(situation.asker, key) + sum(
        situation.have_nano_usd(sidecar_id, key) for sidecar_id in others
    )
    wants = [level.want_nano_usd, *(other.want_nano_usd for other in others.values())]
    if _is_far(situation.periods[key]):
        return water_fill((free_nano_usd + held) // 2, wants, 0)
    half = free_nano_usd // 2 if free_nano_usd > 0 else free_nano_usd
    return water_fill(half + held, wants, 0)


def _is_far(period: PeriodState) -> bool:
    """Whether so much of the cap is left that nobody need hold more than half of it."""
    assert period.cap_nano_usd is not None
    return period.unspent_nano_usd * FAR_PARTS >= period.cap_nano_usd


def _floor(situation: Situation, key: PeriodKey, level: Level, free_nano_usd: int) -> int:
    """What a quiet lease keeps, so that its workflow survives an outage.

    First money of a next period goes to all that used the running one, however long ago: a client
    that was used up by the twentieth calls at midnight of the first, from everywhere at once.
    """
    cap = situation.periods[key].cap_nano_usd
    assert cap is not None
    age_ms = situation.now_unix_ms - level.used_unix_ms
    nearly_spent = situation.periods[key].unspent_nano_usd * 10 < cap
    stale = age_ms > limits.IDLE_FLOOR_LIFE_MS and key not in situation.starters
    if stale or nearly_spent:
        return 0
    holders = len(_active(situation, key)) + 1
    room = max(0, free_nano_usd + situation.have_nano_usd(situation.asker, key)) // (4 * holders)
    return min(limits.IDLE_FLOOR_MEDIANS * level.median_worst_nano_usd, room)
