"""Decides for sidecars that did not ask just now: money for their waiting calls, by their streams.

Rules.

1. An offer is what a Sync would be answered that says again what the sidecar said last: what its
   waiting calls miss, all of a call's or none, and what is left, so that it can refuse by itself.
   Nothing is granted ahead of calls.
2. It carries the same numbers as an answer and is merged like one, so that losing, repeating or
   delaying it does nothing. It is sent after its COMMIT. It renews no authority, as nothing shows
   that the sidecar still hears.
3. It goes only to a living epoch whose process watches (the stream of one that ended may stay open
   for long), and only a few go before the sidecar speaks again:
   money for one that is gone lies idle.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from control_plane import limits
from control_plane.core.decision import decide
from control_plane.core.leases import Holder
from control_plane.core.reports import GrantAnswer, Offer
from control_plane.store import sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import granting
from control_plane.usecases.granting import Gathering
from control_plane.usecases.levels import Levels

Watching = Callable[[str, str], bool]
"""Whether a process of a sidecar has a stream open, by the sidecar's id and its incarnation."""


def nobody_watches(_sidecar_id: str, _incarnation: str) -> bool:
    """Where there are no streams."""
    return False


@dataclass(frozen=True, slots=True)
class Decided:
    """What a sidecar would be answered now."""

    leases: tuple[GrantAnswer, ...]
    named: tuple[str, ...]


def choose(ready: Iterable[str], levels: Levels, watching: Watching, now_unix_ms: int) -> list[str]:
    """Those of the sidecars whose calls could be named or refused that an offer may go to."""
    fit = [
        one
        for one in sorted(ready)
        if watching(one, levels.process_of(one)) and levels.may_be_offered(one, now_unix_ms)
    ]
    return fit[: limits.SYNC_OFFERS_MAX]


def next_sync_ms(
    told: Iterable[GrantAnswer],
    now_unix_ms: int,
    *,
    waits: bool,
    watches: bool,
    nudged: bool,
) -> int:
    """When a sidecar shall speak again, whose calls wait or not.

    Soon while no stream brings them money; whether one that is open reaches it, a sidecar sees by
    its heartbeats. When those that were `nudged` have not come, as their
    calls hold nobody up then. And just after a window turns in which calls wait: they are met from
    the next one.
    """
    if waits and not watches:
        return limits.SYNC_SOON_MS
    if waits and nudged:
        return limits.NUDGE_UNANSWERED_MS + limits.NUDGE_INTERVAL_MS
    turns = (
        grant.period_end_unix_ms - now_unix_ms + limits.AFTER_TURN_MS
        for grant in told
        if (waits or grant.short) and grant.period_end_unix_ms is not None
    )
    return min([limits.SYNC_INTERVAL_MS, *(after for after in turns if after > 0)])


def decide_for(
    holder: Holder, levels: Levels, found: Gathering, now_unix_ms: int
) -> Decided | None:
    """Grant what its waiting calls miss; None when there is nothing new to say."""
    situation = granting.gather(found, holder, levels, (), now_unix_ms)
    plan = decide(situation)
    ends = {*plan.unpayable, *(vector.call_id for vector in plan.vectors)}
    if ends <= situation.answered:
        return None
    granted = granting.apply(holder, plan.without_refills(), found)
    levels.reservations = dict(plan.reservations)
    levels.remember_answered(holder.sidecar_id, named=granted.named, refused=plan.unpayable)
    levels.remember_offer(holder.sidecar_id, now_unix_ms)
    return Decided(granting.answers(holder, levels, situation, plan, found), granted.named)


def offers(
    tx: Tx,
    chosen: Iterable[str],
    levels: Levels,
    found: Gathering,
    generation: int,
    now_unix_ms: int,
) -> tuple[Offer, ...]:
    """Offers to these sidecars, as far as they may hold money and there is something to say."""
    made = []
    for sidecar_id in chosen:
        sidecar = sidecars.get(tx, sidecar_id)
        if sidecar is None or sidecar.revoked_unix_ms or sidecar.state != "ACTIVE":
            continue
        if sidecar.generation_seen < generation:
            continue  # What it holds is not known: see usecases/sync.py.
        holder = Holder(sidecar_id, sidecar.epoch)
        decided = decide_for(holder, levels, found, now_unix_ms)
        if decided is not None:
            made.append(
                Offer(
                    sidecar_id=sidecar_id,
                    epoch=sidecar.epoch,
                    generation=generation,
                    sync_no=sidecar.last_sync_no,
                    leases=decided.leases,
                    named=decided.named,
                )
            )
    return tuple(made)
