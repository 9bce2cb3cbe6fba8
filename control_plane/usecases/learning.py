"""Learning: a database that may be old grants nothing until every sidecar has spoken.

It begins by itself: at the start when the watermark has seen more of this database than it holds,
and later when a sidecar shows grants, an epoch or a generation that it does not know. It ends when
every sidecar has told, under the new generation, all that it holds; or when a person named those
that need not be waited for. What nobody showed by then stays held, see usecases/unknown.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from control_plane import limits
from control_plane.core import fields
from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder
from control_plane.core.sidecars import Sidecar
from control_plane.store import installation, leases, ledger, sidecars, watermark
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
    begin_generation(tx, generation_seen)
    detail = "the watermark has seen more of this database than it holds: it is an old copy"
    if holder != NOBODY:
        detail = "a sidecar has seen grants that this database does not have"
    detail += (
        "; nothing is granted until every sidecar has synced: for those that are gone for good, "
        "say so with `bursar learning finish --without NAME`"
    )
    ledger.raise_alarm(tx, Alarm(kind="OLD_DATABASE", holder=holder, detail=detail), now_unix_ms)


def begin_generation(tx: Tx, generation_seen: int = 0) -> int:
    """Begin learning under a generation above every known one; returns it."""
    meta = installation.get(tx)
    known = tx.watermark.state
    generation = max(meta.generation, generation_seen, known.generation) + 1
    tx.watermark.note_generation(generation)
    installation.begin_learning(tx, generation, known.change_no)
    unknown.hold(tx)
    return generation


def notice_old_database(tx: Tx, now_unix_ms: int) -> bool:
    """At the start: begin learning if the watermark proves that this database is an old copy.

    One that was copied while it learnt begins anew: what was told since the copy it does not know.
    """
    meta = installation.get(tx)
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


def state(tx: Tx) -> Learning:
    """What is known of a database that may be old."""
    meta = installation.get(tx)
    missing = sidecars.names_unheard(tx, meta.generation) if meta.learning else []
    return Learning(
        in_progress=meta.learning,
        missing=tuple(missing),
        unknown_nano_usd=leases.outstanding_nano_usd(tx, unknown.UNKNOWN),
        watermark_trouble=tx.watermark.trouble,
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
    begin_generation(tx)
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
