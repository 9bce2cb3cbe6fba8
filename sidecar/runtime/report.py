"""What one Sync says: levels, demands, counters, and records that are on the disk."""

from dataclasses import dataclass

from protos.bursar.sidecar import v1 as wire
from sidecar.core.instants import Now
from sidecar.core.leases import Lease
from sidecar.core.tallies import RefusalLevel
from sidecar.runtime import rate_wire, translate
from sidecar.runtime.admission import Admission
from sidecar.runtime.journal import Journal


@dataclass(frozen=True, slots=True)
class SyncHead:
    """Who says it, and what it knows."""

    epoch: int
    incarnation: str
    sync_no: int
    generation_seen: int
    generation_told: int
    """The newest generation in which all leases were told, and answered."""
    policy_acked: int
    policy_refused: str
    stopped: bool
    """Whether the process starts no calls, because it was told so."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was said, kept until it is answered."""

    request: wire.SyncRequest
    leases: list[Lease]
    refusals: list[RefusalLevel]
    uses: dict[str, int]

    def take_back(self) -> None:
        """It was not answered: what it said of leases must be said again."""
        for lease in self.leases:
            lease.changed = True


async def tell(head: SyncHead, admission: Admission, journal: Journal, now: Now) -> Told:
    """Put together what a Sync says. Raises JournalFailedError.

    The levels are taken before the records are read: reading waits until everything that the levels
    rest on is on the disk.
    """
    if not admission.silent:
        admission.give_back(admission.allowance.take_returns(now))
    whole = admission.cadence.tells_all(now.boot_ms)
    leases = admission.allowance.reportable(now) if whole else admission.allowance.changed()
    levels = [admission.allowance.levels(lease, now) for lease in leases]
    for lease in leases:
        lease.changed = False
    all_told = admission.allowance.all_told
    demands = admission.waiting.demands(now)
    refusals = admission.tallies.refusals()
    uses = admission.tallies.uses()
    request = wire.SyncRequest(
        epoch=head.epoch,
        incarnation=head.incarnation,
        sync_no=head.sync_no,
        # Whoever shows that it has seen a generation has told all that it holds.
        generation_seen=head.generation_seen if all_told else head.generation_told,
        leases=[translate.levels_to_wire(level) for level in levels],
        demands=[translate.demand_to_wire(demand) for demand in demands],
        policy_acked=head.policy_acked,
        policy_refused=head.policy_refused,
        stopped=head.stopped,
        refusals=[translate.refusal_to_wire(level) for level in refusals],
        secret_uses=[
            wire.SecretUse(secret_id=secret_id, last_used_unix_ms=unix_ms)
            for secret_id, unix_ms in uses.items()
        ],
    )
    if admission.throttle.rates:
        levels_of_rates = admission.throttle.rates.levels(now.boot_ms)
        request.rate_levels.extend(map(rate_wire.level_to_wire, levels_of_rates))
    from_seq = journal.acked_seq + 1
    bodies, chain = await journal.records(from_seq)
    if bodies:
        request.from_seq = from_seq
        request.records.extend(bodies)
        request.chain = chain
    return Told(request, leases, refusals, uses)
