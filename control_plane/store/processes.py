"""The processes that registered for a sidecar, so that a late message of one is known as such."""

from control_plane import limits
from control_plane.store.engine import Tx


def is_known(tx: Tx, sidecar_id: str, incarnation: str) -> bool:
    """Whether a process registered before, now in charge or not."""
    row = tx.row(
        """SELECT 1 AS found FROM process
           WHERE sidecar_id = :sidecar AND incarnation = :incarnation""",
        {"sidecar": sidecar_id, "incarnation": incarnation},
    )
    return row is not None


def add(tx: Tx, sidecar_id: str, incarnation: str) -> None:
    """Remember a process; of each sidecar the latest ones are kept."""
    row = tx.row(
        "SELECT COALESCE(MAX(place), 0) + 1 AS place FROM process WHERE sidecar_id = :sidecar",
        {"sidecar": sidecar_id},
    )
    assert row is not None
    tx.run(
        """INSERT INTO process (sidecar_id, incarnation, place)
           VALUES (:sidecar, :incarnation, :place)
           ON CONFLICT (sidecar_id, incarnation) DO UPDATE SET place = excluded.place""",
        {"sidecar": sidecar_id, "incarnation": incarnation, "place": row["place"]},
    )
    tx.run(
        "DELETE FROM process WHERE sidecar_id = :sidecar AND place <= :last",
        {"sidecar": sidecar_id, "last": row["place"] - limits.PROCESSES_MAX},
    )
