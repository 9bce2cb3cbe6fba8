"""How a sidecar stands now, for people outside: what waits, what it holds, what it still owes."""

from collections import Counter as Sums

from protos.telemetry.instruments import Kind, Metric, Reading, gauge
from sidecar.core.instants import Now
from sidecar.runtime.admission import Admission
from sidecar.runtime.journal import Journal

_BUDGET = ("bursar.budget_id",)
READY = Metric(
    "bursar.sidecar.ready",
    Kind.GAUGE,
    "1",
    "1 while calls can be taken; 0 with the reason while none can.",
    ("bursar.reason",),
)
REACHABLE = Metric(
    "bursar.control_plane.reachable",
    Kind.GAUGE,
    "1",
    "1 while the control plane answers, 0 while the sidecar goes by what it holds.",
)
POLICY = Metric("bursar.policy.version", Kind.GAUGE, "1", "The version of the policy in force.")
OPEN = Metric("bursar.calls.open", Kind.GAUGE, "{call}", "Calls that hold money.")
WAITING = Metric("bursar.calls.waiting", Kind.GAUGE, "{call}", "Calls that wait for money.")
LEASES = Metric("bursar.leases", Kind.GAUGE, "{lease}", "Leases of a budget here.", _BUDGET)
AVAILABLE = Metric(
    "bursar.lease.available.nano_usd",
    Kind.GAUGE,
    "{nano_usd}",
    "What new calls may hold of a budget here, in billionths of a dollar.",
    _BUDGET,
)
HELD = Metric(
    "bursar.lease.held.nano_usd",
    Kind.GAUGE,
    "{nano_usd}",
    "The worst cases of open calls, in billionths of a dollar.",
    _BUDGET,
)
UNTOLD = Metric(
    "bursar.journal.unacknowledged",
    Kind.GAUGE,
    "{record}",
    "Records of the journal that the ledger has not acknowledged.",
)
LAG = Metric(
    "bursar.journal.lag",
    Kind.GAUGE,
    "s",
    "For how long the oldest such record has waited.",
    divisor=1_000,
)


def gauges(admission: Admission, journal: Journal, now: Now) -> list[Reading]:
    """How it stands now."""
    closed = admission.closed()
    reason = closed.reason.value if closed else ""
    if closed is None and not admission.policy.version:
        reason = "no_policy"
    leases: Sums[tuple[str, ...]] = Sums()
    available: Sums[tuple[str, ...]] = Sums()
    held: Sums[tuple[str, ...]] = Sums()
    for lease in admission.allowance:
        labels = (lease.key.budget_id,)
        leases[labels] += 1
        available[labels] += lease.available_nano_usd
        held[labels] += lease.held_nano_usd
    since = journal.first_unacked_boot_ms
    alone = {
        REACHABLE: int(not admission.away),
        POLICY: admission.policy.version,
        OPEN: admission.open_calls,
        WAITING: len(admission.waiting),
        UNTOLD: journal.last_seq - journal.acked_seq,
        LAG: 0 if since is None else max(0, now.boot_ms - since),
    }
    return [
        gauge(READY, {(reason,): int(not reason)}),
        *(gauge(metric, {(): value}) for metric, value in alone.items()),
        gauge(LEASES, leases),
        gauge(AVAILABLE, available),
        gauge(HELD, held),
    ]
