"""Leases whose journal is lost or not trusted any more, and what becomes of their money.

It stays allocated until there is evidence, until the window is over and it is charged as a lump, or
until a named person decides. Whatever is decided, evidence that comes later takes its place.
"""

from dataclasses import replace

from control_plane import limits
from control_plane.core import evidence
from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder
from control_plane.core.sidecars import Sidecar
from control_plane.store import leases, ledger, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases.moves import carry_out

LOST, FENCED, REVOKED = "lost", "fenced", "revoked"
"""Why leases are orphaned: the journal was lost, two went under its name, or a person said so."""


def cause_of(tx: Tx, holder: Holder) -> str:
    """Why leases of a holder are orphans; "" while its journal is alive."""
    sidecar = sidecars.get(tx, holder.sidecar_id)
    if sidecar is None:
        return ""
    if sidecar.revoked_unix_ms:
        return REVOKED
    if holder.epoch < sidecar.epoch:
        return LOST
    return FENCED if sidecar.state == "FENCED" and holder.epoch == sidecar.epoch else ""


def orphan_leases(tx: Tx, holder: Holder, cause: str, now_unix_ms: int) -> int:
    """Orphan a holder's active leases and those of all epochs before it; what may be spent."""
    total = 0
    for lease in leases.active_until(tx, holder):
        total += lease.outstanding_nano_usd
        carry_out(tx, evidence.orphaned(lease, cause, now_unix_ms), now_unix_ms)
    return total


def begin_epoch(tx: Tx, sidecar: Sidecar, new_epoch: int, now_unix_ms: int) -> None:
    """The journals of all epochs before a new one are lost."""
    before = Holder(sidecar.sidecar_id, new_epoch - 1)
    total = orphan_leases(tx, before, LOST, now_unix_ms)
    if total:
        ledger.raise_alarm(
            tx,
            Alarm(
                kind="JOURNAL_LOST",
                holder=before,
                detail="a sidecar lost its journal: what it held stays out of the budgets until "
                "the journal turns up, a person decides, or their windows end and it is charged; "
                "see `bursar lease orphans`",
                amount_nano_usd=total,
            ),
            now_unix_ms,
        )


def fence(tx: Tx, sidecar: Sidecar, epoch: int, detail: str, now_unix_ms: int) -> Sidecar:
    """Stop a life of a journal for good; the same sidecar when that was done or it is over."""
    if epoch < sidecar.epoch or sidecar.state == "FENCED":
        return sidecar
    sidecars.set_state(tx, sidecar.sidecar_id, "FENCED")
    held = orphan_leases(tx, Holder(sidecar.sidecar_id, sidecar.epoch), FENCED, now_unix_ms)
    alarm = Alarm("FENCED", Holder(sidecar.sidecar_id, epoch), detail, amount_nano_usd=held)
    ledger.raise_alarm(tx, alarm, now_unix_ms)
    return replace(sidecar, state="FENCED")


def charge_ended(tx: Tx, now_unix_ms: int) -> int:
    """Charge as lumps what orphans hold in windows that are over, so that these can close."""
    found = leases.orphans_of_ended(tx, limits.CHARGED_LEASES_MAX)
    for lease in found:
        carry_out(tx, evidence.charged(lease), now_unix_ms)
    return len(found)
