"""Learning: a database that may be old asks every sidecar what it holds.

It begins by itself: at the start when the watermark has seen more of this database than it holds,
and later when a sidecar shows grants, an epoch or a generation that it does not know. It ends when
every sidecar has told, under the new generation, all that it holds; or when a person named those
that need not be waited for. Revoked and fenced ones are never waited for: nothing that they say now
counts for a living lease. What nobody showed by then stays held, see usecases/unknown.py.

No money is granted at first, so that what sidecars show is found before anything is given to
others. It need not last: from the first moment all that the watermark says may be missing is held,
grants beside it break no cap, and one that is silent, dead or stolen must not stop everybody. So
after a while grants go on beside what is held, while learning does; and a mere claim stops them
once in a while only. Without a watermark that knows, nothing is granted before learning ends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from control_plane import limits
from control_plane.core import fields
from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder
from control_plane.core.sidecars import Sidecar
from control_plane.store import installation, leases, ledger, outbox, sidecars, watermark
from control_plane.store.engine import Tx
from control_plane.usecases import unknown
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import FailedPreconditionError, NotFoundError

EPOCH_MAX = 2**62
"""More than any epoch."""
NOBODY = Holder("", 0)
"""Stands for no sidecar."""


def begin_learning(tx: Tx, holder: Holder, generation_seen: int, now_unix_ms: int) -> None:
    """Stop granting until every sidecar has spoken; nothing when that is so already."""
    meta = installation.get(tx)
    if meta.learning and generation_seen <= meta.generation:
        return
    _begin_learning(tx, holder, generation_seen, now_unix_ms)


def _begin_learning(tx: Tx, holder: Holder, generation_seen: int, now_unix_ms: int) -> None:
    begin_generation(tx, now_unix_ms, generation_seen, claimed=holder != NOBODY)
    detail = "the watermark has seen more of this database than it holds: it is an old copy"
    if holder == NOBODY:
        outbox.distrust(tx, now_unix_ms)
    else:
        detail = "a sidecar has seen grants that this database does not have"
    detail += (
        "; what may have been granted beyond it is held until every sidecar has synced: for those "
        "that are gone for good, say so with `bursar learning finish --without NAME`"
    )
    ledger.raise_alarm(tx, Alarm(kind="OLD_DATABASE", holder=holder, detail=detail), now_unix_ms)


def begin_generation(
    tx: Tx, now_unix_ms: int, generation_seen: int = 0, *, claimed: bool = False
) -> int:
    """Begin learning under a generation above every known one; returns it.

    `claimed` when nothing but a sidecar's word says that the database is old.
    """
    meta = installation.get(tx)
    if not claimed or now_unix_ms >= meta.grants_stop_until_unix_ms + limits.LEARNING_REST_MS:
        installation.stop_grants(tx, now_unix_ms + limits.LEARNING_STOP_MS)
    known = tx.watermark.state
    generation = max(meta.generation, generation_seen, known.generation) + 1
    tx.watermark.note_generation(generation)  # else again before anybody is told: told_generation
    installation.begin_learning(tx, generation, known.change_no)
    unknown.hold(tx)
    return generation


def told_generation(tx: Tx, meta: installation.Meta, seen: int) -> int:
    """The generation that a sidecar is told, which has seen `seen`.

    One that the watermark does not know is told to nobody: another copy of this database would
    begin it once more, and who had heard of the first would tell the second nothing. So nobody
    counts as heard either, and learning does not end before the watermark can be written.
    """
    if tx.watermark.problem or tx.watermark.note_generation(meta.generation):
        return meta.generation
    return max(tx.watermark.state.generation, min(seen, meta.generation))


def notice_old_database(tx: Tx, now_unix_ms: int) -> bool:
    """At the start: begin learning if the watermark proves that this database is an old copy.

    One that was copied while it learnt begins anew: what was told since the copy it does not know.
    """
    meta = installation.get(tx)
    if meta.learning:
        # Sidecars have the same time again: they could tell nothing while nobody listened.
        installation.stop_grants(tx, now_unix_ms + limits.LEARNING_STOP_MS)
    if not tx.watermark.proves_old(meta.change_no, meta.generation):
        return False
    _begin_learning(tx, NOBODY, tx.watermark.state.generation, now_unix_ms)
    return True


def end_if_all_spoke(tx: Tx, meta: installation.Meta) -> bool:
    """End learning when nobody is missing any more; whether it is over."""
    if not meta.learning:
        return True
    if tx.watermark.problem or sidecars.unheard(tx, meta.generation):
        return False
    unknown.narrow(tx)
    installation.end_learning(tx)
    return True


def stops_grants(tx: Tx, meta: installation.Meta, now_unix_ms: int) -> bool:
    """Whether nothing may be granted while the database learns."""
    return not _is_watched(tx) or now_unix_ms < meta.grants_stop_until_unix_ms


def _is_watched(tx: Tx) -> bool:
    """Whether the watermark bounds what may be missing."""
    return tx.watermark.bounds_claims and not tx.watermark.trouble


@dataclass(frozen=True, slots=True)
class Learning:
    """What is known of a database that may be old."""

    in_progress: bool
    missing: tuple[str, ...]
    """Names of sidecars that have not told what they hold."""
    unknown_nano_usd: int
    """What may have been granted beyond this database, over all periods."""
    watermark_trouble: str
    """Why the watermark cannot be trusted or written; empty when it can."""
    grants_unix_ms: int | None
    """From when money is granted beside what is held for those that are missing; None when it does
    not learn, or when no watermark knows how much that is."""


def state(tx: Tx) -> Learning:
    """What is known of a database that may be old."""
    meta = installation.get(tx)
    missing = sidecars.names_unheard(tx, meta.generation) if meta.learning else []
    return Learning(
        in_progress=meta.learning,
        missing=tuple(missing),
        unknown_nano_usd=leases.outstanding_nano_usd(tx, unknown.UNKNOWN),
        watermark_trouble=tx.watermark.trouble,
        grants_unix_ms=(
            meta.grants_stop_until_unix_ms if meta.learning and _is_watched(tx) else None
        ),
    )


def finish_learning(tx: Tx, sidecar_ids: Sequence[str], reason: str, act: Act) -> Learning:
    """Let a named person say who need not be waited for.

    Raises FailedPreconditionError when nothing is learnt, NotFoundError for a sidecar that is none.
    """
    fields.check_reason(reason)
    if not installation.get(tx).learning:
        raise FailedPreconditionError("the database is not learning: nobody is waited for")
    for sidecar_id in sidecar_ids:
        fields.check_id(sidecar_id, ids.SIDECAR, "sidecar_ids")
        if sidecars.get(tx, sidecar_id) is None:
            raise NotFoundError(f"there is no sidecar {sidecar_id}", sidecar_id=sidecar_id)
    excuse(tx, sidecar_ids)
    record(tx, act, "learning", without=list(sidecar_ids), reason=reason)
    return state(tx)


def begin_watermark(tx: Tx, reason: str, act: Act) -> Learning:
    """Let a named person give up a watermark that is gone; learn what sidecars hold.

    Raises FailedPreconditionError while the watermark can be trusted.
    """
    fields.check_reason(reason)
    lost = tx.watermark.problem
    if not lost:
        raise FailedPreconditionError("the watermark is there and can be trusted: it is kept")
    watermark.begin(tx, act.entropy, late=True)
    begin_generation(tx, act.now_unix_ms)
    record(tx, act, "watermark", lost=lost, reason=reason)
    return state(tx)


def excuse(tx: Tx, sidecar_ids: Iterable[str]) -> bool:
    """A person says that these sidecars need not be waited for; whether learning is over then.

    They may come back: what they hold is held for them until their windows end.
    """
    meta = installation.get(tx)
    sidecars.excuse(tx, list(sidecar_ids), meta.generation)
    return end_if_all_spoke(tx, meta)


def newest_epoch(tx: Tx, sidecar: Sidecar) -> int:
    """The newest epoch that a sidecar can have; beyond it a claim is untrue."""
    noted = tx.watermark.state.epochs.get(sidecar.sidecar_id)
    if noted is None or not tx.watermark.bounds_claims:
        return EPOCH_MAX
    return max(noted, sidecar.epoch)


def newest_generation(tx: Tx, generation: int) -> int:
    """The newest generation that a sidecar of a database in this one can have seen.

    Beyond it a claim is untrue. Without a watermark that knows, it is bounded all the same:
    generations are begun one by one, and one near the end of all numbers could never be followed by
    another.
    """
    newest = max(tx.watermark.state.generation, generation)
    return newest + (0 if tx.watermark.bounds_claims else limits.AHEAD_GENERATIONS_MAX)
