"""What a new process makes of its journal: leases go on, and calls without an end are charged.

A call whose OPEN has no end may have cost up to its worst case, and nobody saw what it did: it is
settled at that, flagged as estimated, before anything new can open.
"""

from sidecar.clock import KeptClock
from sidecar.core.allowance import Allowance
from sidecar.core.calls import Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.runtime import translate
from sidecar.runtime.admission import Admission
from sidecar.runtime.identity import Host
from sidecar.runtime.journal import Journal
from sidecar.runtime.journal_file import Recovered
from sidecar.telemetry import Log


def recover(
    recovered: Recovered,
    *,
    admission: Admission,
    journal: Journal,
    clock: KeptClock,
    log: Log,
    host: Host,
) -> None:
    """Take up leases and lost calls.

    Authority was measured by the clock of one boot: after another it is void until it is renewed.
    So it is in a copy of the journal: its original may be in use, or may have been ahead of it.
    """
    allowance = admission.allowance
    here = recovered.machine_id == host.machine_id
    same_boot = here and bool(host.boot_id) and recovered.boot_id == host.boot_id
    same_boot = same_boot and not recovered.copied
    if recovered.machine_id and not here:
        log.alarm("journal_of_another_machine", machine_id=recovered.machine_id)
    if recovered.copied:
        log.warning("journal_copied", serves="once the control plane has answered")
    if same_boot and recovered.kept is not None:
        clock.keeper.go_on(recovered.kept)
    now = clock.now()
    allowance.forgotten_until_unix_ms = recovered.forgotten_until_unix_ms
    for stored in recovered.leases:
        allowance.restore(stored, now.boot_ms, same_boot=same_boot)
    admission.heard_until_boot_ms = recovered.heard_until_boot_ms if same_boot else 0
    for number, body in recovered.open_calls:
        _charge(number, body, allowance, journal, now)
    # Written together with the boot that they are measured in.
    journal.note_leases(allowance)
    journal.note(
        machine_id=host.machine_id,
        boot_id=host.boot_id,
        file_id=recovered.file_id,
        heard_until_boot_ms=admission.heard_until_boot_ms,
    )
    if recovered.open_calls:
        log.warning("calls_lost", calls=len(recovered.open_calls))


def _charge(number: int, body: bytes, allowance: Allowance, journal: Journal, now: Now) -> None:
    record = translate.record_from_open(body)
    found = [allowance.lease(key) for key in translate.vector_from_open(record)]
    leases = [lease for lease in found if lease is not None]
    assert len(leases) == len(found), "the lease of an open call is in the journal"
    worst_nano_usd = record.settle.call.worst_nano_usd
    allowance.charge_lost(leases, worst_nano_usd)
    lost = Settlement(outcome=Outcome.LOST, cost_nano_usd=worst_nano_usd, estimated=True)
    journal.record(
        lambda seq: translate.settle_to_wire(record, seq, lost, worst_nano_usd, now.unix_ms),
        now,
        ends=number,
        leases=leases,
    )
