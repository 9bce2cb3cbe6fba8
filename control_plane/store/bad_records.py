"""Records that could not be read or booked, kept for a person to look at."""

from collections.abc import Iterable

from control_plane import limits
from control_plane.core.calls import Unreadable
from control_plane.core.leases import Holder
from control_plane.store.engine import Tx


def keep(tx: Tx, holder: Holder, records: Iterable[Unreadable], now_unix_ms: int) -> None:
    """Keep records as they came, until a sidecar has filled its room."""
    tx.many(
        """INSERT INTO bad_record (sidecar_id, epoch, seq, why, raw, booked_unix_ms)
           SELECT :sidecar, :epoch, :seq, :why, :raw, :now
           WHERE (SELECT COUNT(*) FROM bad_record WHERE sidecar_id = :sidecar) < :most
           ON CONFLICT (sidecar_id, epoch, seq) DO NOTHING""",
        [
            {
                "sidecar": holder.sidecar_id,
                "epoch": holder.epoch,
                "seq": record.seq,
                "why": record.why[: limits.TEXT_CHARACTERS_MAX],
                "raw": record.raw[: limits.BAD_RECORD_BYTES_MAX],
                "now": now_unix_ms,
                "most": limits.BAD_RECORDS_MAX,
            }
            for record in records
        ],
    )


def raw_among(tx: Tx, holder: Holder, first_seq: int, last_seq: int) -> dict[int, bytes]:
    """Records from one number to another that were not booked, as far as they are kept."""
    rows = tx.rows(
        """SELECT seq, raw FROM bad_record
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND seq BETWEEN :first AND :last""",
        {
            "sidecar": holder.sidecar_id,
            "epoch": holder.epoch,
            "first": first_seq,
            "last": last_seq,
        },
    )
    return {row["seq"]: row["raw"] for row in rows}


def are_all_kept(tx: Tx, sidecar_id: str) -> bool:
    """Whether a sidecar has room left; else it may have told more of them than are kept."""
    row = tx.row(
        "SELECT COUNT(*) AS n FROM bad_record WHERE sidecar_id = :sidecar", {"sidecar": sidecar_id}
    )
    assert row is not None
    return bool(row["n"] < limits.BAD_RECORDS_MAX)
