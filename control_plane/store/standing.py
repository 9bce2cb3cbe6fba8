"""How the installation stands, in a few numbers: for scrapers, who ask for them again and again."""

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.store import call_log, sidecars
from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class SidecarStanding:
    """One sidecar's part of it."""

    sidecar_id: str
    state: str
    """JOINED, ACTIVE, DRAINED or FENCED; REVOKED when its credential ended."""
    last_seen_unix_ms: int
    booked_seq: int
    """The last record of its journal that the ledger has; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All of it."""

    sidecars: tuple[SidecarStanding, ...]
    alarms: Mapping[str, int]
    """Alarms that are kept, by kind."""
    ledger_position: int
    """Where the ledger ends."""


def standing(tx: Tx) -> Standing:
    """How it stands now."""
    booked = {
        (row["sidecar_id"], row["epoch"]): int(row["last_seq"])
        for row in tx.rows("SELECT sidecar_id, epoch, last_seq FROM cursor")
    }
    return Standing(
        sidecars=tuple(
            SidecarStanding(
                sidecar_id=each.sidecar_id,
                state="REVOKED" if each.revoked_unix_ms else each.state,
                last_seen_unix_ms=each.last_seen_unix_ms,
                booked_seq=booked.get((each.sidecar_id, each.epoch), 0),
            )
            for each in sidecars.everything(tx)
        ),
        alarms={
            row["kind"]: int(row["count"])
            for row in tx.rows("SELECT kind, count(*) AS count FROM alarm GROUP BY kind")
        },
        ledger_position=call_log.last_position(tx),
    )
