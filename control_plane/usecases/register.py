"""Begins a life of a sidecar's process, and ends one: Register and Drain."""

from dataclasses import replace

from control_plane.core.leases import Holder
from control_plane.core.ledger import CHAIN_START
from control_plane.core.reports import Journal, Registered, Registration, Status
from control_plane.core.sidecars import PROTOCOL_VERSIONS, Sidecar
from control_plane.store import installation, leases, processes, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import learning, orphans
from control_plane.usecases.levels import Levels
from protos.values.errors import (
    FailedPreconditionError,
    UnauthenticatedError,
    UnavailableError,
)


def register(
    tx: Tx, sidecar_id: str, asked: Registration, levels: Levels, now_unix_ms: int
) -> Registered:
    """Go on with the journal's epoch, or begin a new one when the journal was lost.

    A registration that arrives again changes nothing: of the process in charge it is answered as
    before, of one that was superseded it is refused.
    """
    sidecar = sidecars.get(tx, sidecar_id)
    if sidecar is None:
        raise UnauthenticatedError("this sidecar is unknown here: let it join again")
    if asked.protocol_version not in PROTOCOL_VERSIONS:
        raise FailedPreconditionError(
            f"this control plane speaks version {PROTOCOL_VERSIONS[0]} of the sidecar protocol, "
            f"the sidecar version {asked.protocol_version}: upgrade the older of the two",
            served=str(PROTOCOL_VERSIONS[0]),
        )
    in_charge = asked.incarnation == sidecar.incarnation
    over = not in_charge and processes.is_known(tx, sidecar_id, asked.incarnation)
    if sidecar.revoked_unix_ms or over:
        return _answer(tx, sidecar, Status.FENCED, asked.journal.epoch)
    begins_anew = asked.journal.lost or asked.journal.epoch == 0
    if in_charge and begins_anew:
        # It began the epoch that goes on; its answer was lost, or this comes late.
        status = Status.FENCED if sidecar.state == "FENCED" else Status.OK
        return _answer(tx, sidecar, status, sidecar.epoch)
    if not begins_anew:
        refusal = _why_fenced(tx, sidecar, asked.journal, in_charge=in_charge)
        if refusal:
            detail = f"{refusal}: a copy of its journal is or was in use; start it with a new one"
            orphans.fence(tx, sidecar, asked.journal.epoch, detail, now_unix_ms)
            return _answer(tx, sidecar, Status.FENCED, asked.journal.epoch)
        if in_charge and asked.journal.epoch == sidecar.epoch:
            return _answer(tx, sidecar, Status.OK, sidecar.epoch)
    epoch = asked.journal.epoch
    if begins_anew:
        epoch = min(epoch, learning.newest_epoch(tx, sidecar))
        asked = replace(asked, journal=replace(asked.journal, epoch=epoch))
        epoch = max(sidecar.epoch, epoch) + 1
    if not tx.watermark.note_epoch(sidecar_id, epoch):
        raise UnavailableError("the watermark cannot be written: see the control plane's log")
    return _begin(tx, sidecar, asked, epoch, levels, now_unix_ms)


def _begin(
    tx: Tx,
    sidecar: Sidecar,
    asked: Registration,
    epoch: int,
    levels: Levels,
    now_unix_ms: int,
) -> Registered:
    """Put a process in charge, in the epoch that it goes on with or begins."""
    holder = Holder(sidecar.sidecar_id, epoch)
    if epoch > sidecar.epoch:
        orphans.begin_epoch(tx, sidecar, epoch, now_unix_ms)
    if asked.journal.epoch > sidecar.epoch:
        # Only this control plane begins epochs, and its database knows nothing of that one.
        learning.begin_learning(tx, holder, 0, now_unix_ms)
    if sidecars.cursor(tx, holder) is None:
        sidecars.begin_cursor(tx, holder)
    current = replace(
        sidecar,
        software_version=asked.software_version,
        machine_id=asked.machine_id,
        boot_id=asked.boot_id,
        incarnation=asked.incarnation,
        epoch=epoch,
        state="ACTIVE",
        last_sync_no=0 if epoch > sidecar.epoch else sidecar.last_sync_no,
        last_seen_unix_ms=now_unix_ms,
    )
    sidecars.register(tx, current)
    processes.add(tx, sidecar.sidecar_id, asked.incarnation)
    levels.forget(sidecar.sidecar_id)
    levels.superseded.discard(sidecar.sidecar_id)
    levels.queue(sidecar.sidecar_id, asked.incarnation, (), now_unix_ms)
    return _answer(tx, current, Status.OK, epoch)


def drain(
    tx: Tx, sidecar_id: str, epoch: int, incarnation: str, levels: Levels, now_unix_ms: int
) -> int:
    """Note that a process ended cleanly; what it leaves behind, in nano-dollars."""
    sidecar = sidecars.get(tx, sidecar_id)
    if sidecar is not None and (sidecar.epoch, sidecar.incarnation) == (epoch, incarnation):
        if sidecar.state == "ACTIVE":
            sidecars.set_state(tx, sidecar_id, "DRAINED")
        levels.forget(sidecar_id)
        levels.rates.leave(sidecar_id, now_unix_ms)
    return leases.outstanding_nano_usd(tx, Holder(sidecar_id, epoch))


def _why_fenced(tx: Tx, sidecar: Sidecar, journal: Journal, *, in_charge: bool) -> str:
    """Why this journal cannot go on; "" when it can."""
    if journal.epoch < sidecar.epoch:
        return "its journal is of an epoch that is over"
    if journal.epoch > learning.newest_epoch(tx, sidecar):
        return "its journal is of an epoch that was never given to it"
    if journal.epoch > sidecar.epoch:
        return ""
    if sidecar.state == "FENCED":
        return "it was fenced before"
    cursor = sidecars.cursor(tx, Holder(sidecar.sidecar_id, journal.epoch))
    if cursor is None:
        return ""
    if journal.last_seq < cursor.last_seq:
        # Of the process in charge this is an old message, sent before its latest records.
        return "" if in_charge else "its journal ends before what is booked"
    chain = journal.chain or CHAIN_START
    if journal.last_seq == cursor.last_seq and chain != cursor.chain:
        return "its journal is not the one that is booked"
    return ""


def _answer(tx: Tx, sidecar: Sidecar, status: Status, epoch: int) -> Registered:
    meta = installation.get(tx)
    cursor = sidecars.cursor(tx, Holder(sidecar.sidecar_id, epoch))
    return Registered(
        status=Status.LEARNING if status is Status.OK and meta.learning else status,
        epoch=epoch,
        generation=learning.told_generation(tx, meta, sidecar.generation_seen),
        last_seq=cursor.last_seq if cursor else 0,
        last_sync_no=sidecar.last_sync_no,
        sidecar_id=sidecar.sidecar_id,
        display_name=sidecar.display_name,
        region=sidecar.region,
        policy_version=meta.policy_version,
        revoked=sidecar.revoked_unix_ms > 0,
    )
