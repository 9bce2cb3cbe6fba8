"""Money that came: who may open with it, and what is told of the rest."""

from collections.abc import Iterable, Sequence

from protos.bursar.sidecar import v1 as wire
from sidecar.core.leases import Lease
from sidecar.limits import FREED_WAIT_MS, RECORDS_WAIT_MS
from sidecar.runtime import translate
from sidecar.runtime.admission import Admission
from sidecar.runtime.journal import Journal


def spend(
    admission: Admission, leases: Sequence[Lease], named: Iterable[str], boot_ms: int
) -> None:
    """Let waiting calls open with what these leases have; `boot_ms` is when it was news."""
    admission.try_waiting(named, every=True)
    cadence = admission.cadence
    cadence.tell_by(admission.waiting.tell_by_boot_ms(cadence.sent_boot_ms))
    idle = [lease for lease in leases if lease.direct and lease.available_nano_usd > 0]
    if any(lease.wanted_at(boot_ms) for lease in idle):
        cadence.tell_by(boot_ms + FREED_WAIT_MS)
    elif idle:
        cadence.no_later_than(boot_ms + RECORDS_WAIT_MS)


def take_left(left: wire.Left, admission: Admission, *, generation: int) -> None:
    """Take how much is left of a period, if this database says so: calls may end by it."""
    key, unspent_nano_usd = translate.left_from_wire(left)
    if left.generation == generation and admission.allowance.lower(
        key, left.cap_version, unspent_nano_usd
    ):
        admission.try_waiting(every=True)


def take_offer(
    offer: wire.Offer,
    admission: Admission,
    journal: Journal,
    *,
    generation: int,
    answered_sync_no: int,
    boot_ms: int,
) -> None:
    """Take what the control plane decided unasked, if it is about this life and is no old news.

    A journal that was lost meanwhile has other leases of the same names, and a restored database
    may have granted something else: both are told by the next Sync. Authority stays as it is.
    """
    if (offer.epoch, offer.generation) != (journal.epoch, generation) or admission.fenced:
        return
    if offer.sync_no < answered_sync_no:
        return
    grants = map(translate.grant_from_wire, offer.leases)
    allowance = admission.allowance
    leases = [allowance.merge_offer(grant, boot_ms) for grant in grants if allowance.takes(grant)]
    journal.note_leases(leases, [])
    spend(admission, leases, offer.named_call_ids, boot_ms)
    admission.poked.set()
