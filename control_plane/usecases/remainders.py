"""Tells sidecars by their streams what is left of a period, so that they refuse by themselves.

Rules.

1. What is unspent falls while a cap stands, and a sidecar only lowers what it knows by it. So
   losing, repeating or delaying it does nothing but let a call ask, or wait for its sidecar's next
   Sync.
   It rises only where a correction or late evidence takes a charge back. The first decision that
   sees so nudges all that use the period, again and again until each has spoken: a stream
   keeps its order, so the nudge comes after every lower figure on it, and the answer replaces
   them. A stream that breaks begins with a nudge. Telling the higher figure itself would need an
   order of its own; a Sync has one, and corrections are rare. After the last part of a re-rating,
   or when a person releases orphans, all streams are nudged at once. Late evidence, and the parts
   of a re-rating that somebody broke off, are seen by the next decision for a sidecar that uses
   the period: until then, 10 s at most, a call that could be paid again may be refused.
2. Whoever has a waiting call that is larger is told at once, instead of being asked to come. All
   others that use the period are told by steps, as their next calls may be larger: not before so
   little is left that it could matter, and only so often.
"""

from control_plane.core import limits
from control_plane.core.leases import PeriodKey
from control_plane.core.reports import Left
from control_plane.core.situation import Plan, Situation
from control_plane.usecases.levels import Levels
from control_plane.usecases.offering import Watching


def remainders(
    plan: Plan, situation: Situation, levels: Levels, watching: Watching, generation: int
) -> tuple[Left, ...]:
    """Whom to tell now what is left, of each period; calls that it ends count as answered."""
    made = []
    for key, period in sorted(situation.periods.items()):
        named = set(plan.beyond.get(key, ()))
        unspent = period.unspent_nano_usd
        levels.note_unspent(key, period.cap_version, unspent)
        if levels.left_fell(key, unspent, situation.now_unix_ms):
            named.update(levels.by_period[key])
        named.discard(situation.asker)
        told = [one for one in sorted(named) if watching(one, levels.process_of(one))]
        if told:
            told = told[: limits.LEFT_SIDECARS_MAX]
            _settle(situation, levels, key, unspent, frozenset(told))
            made.append(Left(tuple(told), key, generation, period.cap_version, unspent))
    return tuple(made)


def untold(plan: Plan, lefts: tuple[Left, ...]) -> frozenset[str]:
    """Sidecars with a call that nothing can pay, which no stream tells so: they are to come."""
    told = {(left.lease, one) for left in lefts for one in left.sidecar_ids}
    return frozenset(
        one for key, names in plan.beyond.items() for one in names if (key, one) not in told
    )


def _settle(
    situation: Situation, levels: Levels, key: PeriodKey, unspent: int, told: frozenset[str]
) -> None:
    for demand in situation.demands:
        larger = demand.sidecar_id in told and demand.worst_nano_usd > unspent
        if larger and any(situation.current.get(budget) == key for budget in demand.budgets):
            levels.remember_ended(demand.sidecar_id, demand.call_id)
