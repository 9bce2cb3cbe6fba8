"""What a process says of itself and its journal when it registers."""

from dataclasses import dataclass

from protos.bursar.sidecar import v1 as wire
from sidecar.runtime.identity import Host

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Process:
    """One start of the sidecar's process."""

    host: Host
    """Where it runs."""
    incarnation: str
    """Random, per start: two at once on one journal are a fork."""
    software_version: str


def registration(
    process: Process, *, epoch: int, lost_epoch: int, tip: tuple[int, bytes], policy_version: int
) -> wire.RegisterRequest:
    """Present a process and its journal.

    `epoch` is the journal's, 0 for one that is new; then `lost_epoch` is the last that is known to
    have gone before it. `tip` is the last record on the disk and the chain after it.
    """
    request = wire.RegisterRequest(
        protocol_version=PROTOCOL_VERSION,
        software_version=process.software_version,
        machine_id=process.host.machine_id,
        boot_id=process.host.boot_id,
        incarnation=process.incarnation,
        policy_version=policy_version,
    )
    if epoch:
        last_seq, chain = tip
        request.intact.epoch = epoch
        request.intact.last_seq = last_seq
        request.intact.chain = chain if last_seq else b""
    else:
        request.lost.epoch = lost_epoch
    return request
