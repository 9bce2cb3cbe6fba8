"""What a sidecar is to the control plane."""

from dataclasses import dataclass

from protos.values.quick import quick

PROTOCOL_VERSIONS = (1,)
"""Versions of the sidecar protocol that are served: the newest and the one before."""


@quick
@dataclass(frozen=True, slots=True)
class Sidecar:
    """A proxy on a host where workflows run."""

    sidecar_id: str
    display_name: str
    region: str
    project_ids: tuple[str, ...]
    """Projects that it receives; empty for all."""
    credential_digest: bytes
    """SHA-256 of the credential that it proves itself with."""
    sealing_public_key: bytes
    """X25519 key to which provider secrets are sealed for it."""
    software_version: str
    machine_id: str
    boot_id: str
    incarnation: str
    """The process that registered last."""
    epoch: int
    """The life of its journal; 0 before it registered."""
    state: str
    """JOINED, ACTIVE, DRAINED or FENCED."""
    last_sync_no: int
    generation_seen: int
    """The generation in which its last Sync was taken."""
    policy_acked: int
    policy_refused: str
    """Why it could not take a newer policy; empty when it could."""
    created_unix_ms: int
    last_seen_unix_ms: int
    revoked_unix_ms: int
    """When its credential ended, for all but evidence; 0 while it has not."""
    stopped_unix_ms: int = 0
    """When it said, after its revocation, that it starts no calls any more; 0 while it has not."""

    @property
    def trusted(self) -> bool:
        """Whether the living epoch of its journal may hold money."""
        return not self.revoked_unix_ms and self.state != "FENCED"


@quick
@dataclass(frozen=True, slots=True)
class Cursor:
    """What the ledger has of one life of a journal."""

    last_seq: int
    """The last record that is booked."""
    chain: bytes
    """The chain hash after it."""
    forked: bool = False
    """A copy of the journal went on by itself: two may have spent the same leases."""
    beside_count: int = 0
    """Rows of the ledger that are beside the booked journal: lumps, and records of forks."""
    late_count: int = 0
    """Records booked after the journal's time was over that took nothing from its leases."""
    dropped_count: int = 0
    """Those beyond their bound: they came and were not booked."""
