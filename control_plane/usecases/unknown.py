"""Money that a restored database may have forgotten: held until it is shown, or its window ends.

The watermark says how much may have been granted in all. What lies between that and the grants that
are known is `unclaimed`: so much may be missing. It is held as a lease of a holder that nobody
knows, whose journal is as good as lost: it counts in `allocated` like any orphan, is shown and
released and charged like one.

Why less than all of that is held, once all have spoken. In one period, let g and r be what a life
of a journal was granted and gave back in truth, G and R what this database
knows of it. It *spoke* when it told, under the new generation, all that it holds. The others are
those that a person excused, that were revoked, whose journals are lost.

1. All together never held more than the highest cap, for their sum was below the cap in force at
   the last grant: sum(g - r) <= cap. That goes on being so while it is learnt: what is granted
   then is granted beside all that is unclaimed, so beside all that may be missing.
2. Of each that spoke, G - R <= g - r: no grant is known that was not made, and all that it gave
   back it has told.
3. So the others hold at most room = cap - sum(G - R of those that spoke). All of it is covered when
   held = room - sum(G - R of the others): that is what `narrow` leaves. What a person released is
   held by nobody, so it covers nothing: neither there nor in the sum.
4. No more than `unclaimed` can be missing, so no more than that is held.

The room is that of all others together. One of them may have given back long ago what the copy
takes it to hold, and another may have got it. When the one tells that, late, its G - R falls and
the room does not: what is held has to grow by as much. So it has to when a person releases what
one of the others holds. When it shows grants, its G - R grows and what is held falls. Whatever the
others tell and people release, held = min(unclaimed, room - sum(G - R of the others))
must go on being so, and `follow` sees to it. By that `allocated` never grows. Once another has told
all, room and sum lose the same G - R, and it is one of those that spoke: what it gives back from
then on was its own for certain, and is free.

One of them may lie, with a stolen credential, and be the first to claim all that may be missing.
Then the true claim of another finds nothing unclaimed. It is evidence, so it is booked beside the
lie, with an alarm: `allocated` may pass the cap by what was lied, so that nothing is granted until
a person has released it, and what honest ones hold is held whatever the liar gives back or a person
takes from it. Nobody is fenced for what another said; who alone claims more than the ceiling is.
"""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import evidence
from control_plane.core.leases import Holder, Lease, PeriodKey
from control_plane.core.situation import PeriodState
from control_plane.core.watermark import Mark
from control_plane.store import budgets, leases, periods
from control_plane.store.engine import Tx
from control_plane.usecases.moves import carry_out

UNKNOWN = Holder("unknown", 0)
"""Holds what may have been granted beyond a restored database."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sidecar's proof of more grants means."""

    database_is_old: bool = False
    """Only a database that is older than the sidecar does not know them."""
    contested: bool = False
    """Not all that sidecars showed since a restore can be so, and nobody knows who is wrong."""
    impossible: bool = False
    """The watermark says that they were never made."""


def hold(tx: Tx) -> None:
    """Hold what the watermark says may have been granted beyond what is known, in every period."""
    for key, mark in sorted(tx.watermark.state.marks.items()):
        if periods.get(tx, key) is None:
            if budgets.get(tx, key.budget_id) is None:
                continue  # made after the copy: no cap is known, so nothing is granted either
            periods.adopt(tx, key)
        period = periods.get(tx, key)
        assert period is not None
        more = mark.ceiling_nano_usd - period.granted_total_nano_usd - period.unclaimed_nano_usd
        held = leases.get(tx, UNKNOWN, key)
        if (more <= 0 and held is not None) or not periods.is_unclosed(tx, key):
            continue
        # Also where nothing is left to hold: that there is such a lease says that claims came.
        periods.expect_claims(tx, key, max(0, more))
        _hold_more(tx, held or Lease(UNKNOWN, key), max(0, more))


def judge(
    tx: Tx, key: PeriodKey, more_nano_usd: int, total_nano_usd: int, now_unix_ms: int
) -> Claim:
    """Judge a proof of grants beyond those that are known of a lease, `total_nano_usd` with them.

    Where a restored database took claims, somebody else may have shown what never was, and first.
    So a claimer is proven wrong by its own total alone.
    """
    period = periods.get(tx, key)
    known = period.granted_total_nano_usd if period else 0
    unclaimed = period.unclaimed_nano_usd if period else 0
    if known + more_nano_usd > limits.PERIOD_NANO_USD_MAX:
        return Claim(impossible=True)
    if more_nano_usd <= unclaimed:
        return Claim()
    if not tx.watermark.bounds_claims:
        return Claim(database_is_old=True)
    if _is_forgotten(tx, key, now_unix_ms):
        return Claim()  # it is booked, and no cap can feel it any more
    mark = tx.watermark.state.marks.get(key)
    ceiling = mark.ceiling_nano_usd if mark is not None else 0
    if known + more_nano_usd <= ceiling:
        return Claim(database_is_old=True)
    if total_nano_usd <= ceiling and leases.get(tx, UNKNOWN, key) is not None:
        return Claim(contested=True)
    return Claim(impossible=True)


def take(tx: Tx, key: PeriodKey, more_nano_usd: int, claim: Claim, now_unix_ms: int) -> int:
    """Let known grants grow by what a sidecar has shown; how much of it was thought possible.

    What is held for it has to `follow`, once all that goes with it is known. No ceiling follows
    what is contested: else the next claim could be larger, and so on. What was granted in truth is
    below it, and a later grant raises it above all that is known by then.
    """
    period = periods.get(tx, key)
    assert period is not None
    covered = min(more_nano_usd, period.unclaimed_nano_usd)
    periods.claim(tx, key, more_nano_usd, covered)
    forgotten = _is_forgotten(tx, key, now_unix_ms)
    may_raise = not (forgotten or claim.contested)
    if more_nano_usd > covered and period.cap_nano_usd is not None and may_raise:
        # Whether or not the second place can say so: what is spent is spent.
        total = period.granted_total_nano_usd + period.unclaimed_nano_usd
        tx.watermark.cover({key: Mark(total + more_nano_usd - covered, period.cap_nano_usd)})
    return covered


def follow(tx: Tx, key: PeriodKey, more_nano_usd: int, now_unix_ms: int) -> None:
    """Hold so much more, or less, for what nobody has shown, within what may be missing.

    `more_nano_usd` is by how much known holdings of those that had not spoken fell. What was
    charged as a lump for it is undone; what a person had released is an overshoot.
    """
    period = periods.get(tx, key)
    assert period is not None
    held = leases.get(tx, UNKNOWN, key)
    if held is None:
        return
    before = held.outstanding_nano_usd
    after = min(max(0, before + more_nano_usd), period.unclaimed_nano_usd)
    if after < before:
        carry_out(tx, evidence.shown(held, before - after), now_unix_ms)
    elif after > before:
        _hold_more(tx, held, after - before)


def _hold_more(tx: Tx, held: Lease, more_nano_usd: int) -> None:
    periods.move(tx, held.key, allocated_nano_usd=more_nano_usd, orphan_hold_nano_usd=more_nano_usd)
    granted = held.granted_nano_usd + more_nano_usd
    leases.put(
        tx,
        replace(held, granted_nano_usd=granted, state="ORPHANED", orphan_cause="restored"),
    )


def _is_forgotten(tx: Tx, key: PeriodKey, now_unix_ms: int) -> bool:
    """Whether the watermark dropped a period with its window, so that it proves nothing there."""
    known = tx.watermark.state.marks
    return key not in known and periods.is_over(tx, key, now_unix_ms)


def held_nano_usd(tx: Tx, key: PeriodKey) -> int:
    """What is held of a period for grants that nobody has shown."""
    held = leases.get(tx, UNKNOWN, key)
    return held.outstanding_nano_usd if held is not None else 0


def expected(tx: Tx, period: PeriodState) -> PeriodState:
    """A period as it is to be told and shared out while it is learnt what is missing of it.

    What is held shrinks with each sidecar that speaks. So nobody is told that a budget is used up
    because of it, and nobody gives back what he has to make room for it: calls wait, within their
    patience. It is no less held: what is granted is checked where it is booked.
    """
    held = held_nano_usd(tx, period.key)
    less = min(held, period.orphan_hold_nano_usd)
    allocated = period.allocated_nano_usd
    over = allocated - period.cap_nano_usd if period.cap_nano_usd is not None else 0
    return replace(
        period,
        orphan_hold_nano_usd=period.orphan_hold_nano_usd - less,
        allocated_nano_usd=allocated - max(0, min(held, over)),
    )


def narrow(tx: Tx) -> None:
    """When every sidecar has spoken: let go what cannot be missing, beside what others hold."""
    for held in leases.of_holder(tx, UNKNOWN):
        period = periods.get(tx, held.key)
        assert period is not None
        mark = tx.watermark.state.marks.get(held.key)
        if mark is not None:
            known = leases.held_or_spent_nano_usd(
                tx, held.key, without_sidecar_id=UNKNOWN.sidecar_id
            )
            most = max(0, mark.cap_nano_usd - known)
            covered = held.outstanding_nano_usd - held.released_nano_usd
            less = min(held.held_back_nano_usd, covered - most)
            if less > 0:
                periods.move(tx, held.key, allocated_nano_usd=-less, orphan_hold_nano_usd=-less)
                leases.put(tx, replace(held, returned_nano_usd=held.returned_nano_usd + less))
