"""Copies of a journal that went on by themselves: how far the ledger has each.

Bounded: of each epoch only so many copies are followed, and the one that was found first is
forgotten for a newer one. Nothing rests on these rows but that a copy need not say again what it
said; every call is in the ledger once by its own id.
"""

from control_plane import limits
from control_plane.core.leases import Holder
from control_plane.store.engine import Tx, Value


def chain_at(tx: Tx, holder: Holder, last_seq: int) -> list[bytes]:
    """The chains of the known copies that end at a record's number."""
    rows = tx.rows(
        """SELECT chain FROM fork
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND last_seq = :last_seq""",
        _params(holder, last_seq=last_seq),
    )
    return [row["chain"] for row in rows]


def put(
    tx: Tx, holder: Holder, before: bytes | None, last_seq: int, chain: bytes, now_unix_ms: int
) -> None:
    """Note how far a copy is known; `before` is the chain that it went on from, if one is known."""
    if before is not None:
        tx.run(
            """DELETE FROM fork
               WHERE sidecar_id = :sidecar AND epoch = :epoch AND chain = :before""",
            _params(holder, before=before),
        )
    tx.run(
        """INSERT INTO fork (sidecar_id, epoch, last_seq, chain, found_unix_ms)
           VALUES (:sidecar, :epoch, :last_seq, :chain, :now)
           ON CONFLICT (sidecar_id, epoch, chain) DO UPDATE SET last_seq = excluded.last_seq""",
        _params(holder, last_seq=last_seq, chain=chain, now=now_unix_ms),
    )
    tx.run(
        """DELETE FROM fork
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND chain NOT IN (
             SELECT chain FROM fork WHERE sidecar_id = :sidecar AND epoch = :epoch
             ORDER BY found_unix_ms DESC, chain LIMIT :most)""",
        _params(holder, most=limits.FORKS_MAX),
    )


def mark(tx: Tx, holder: Holder, now_unix_ms: int) -> None:
    """Note for good that a life of a journal forked."""
    tx.run(
        """UPDATE cursor SET forked_unix_ms = :now
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND forked_unix_ms = 0""",
        _params(holder, now=now_unix_ms),
    )


def _params(holder: Holder, **more: Value) -> dict[str, Value]:
    return {"sidecar": holder.sidecar_id, "epoch": holder.epoch, **more}
