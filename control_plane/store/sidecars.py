"""Sidecars, and how far the ledger has their journals."""

import json
from collections.abc import Sequence

from control_plane.core.leases import Holder
from control_plane.core.ledger import CHAIN_START
from control_plane.core.rate_shares import Known
from control_plane.core.sidecars import Cursor, Sidecar
from control_plane.store.engine import Row, Tx, Value


def insert(tx: Tx, sidecar: Sidecar) -> None:
    """Add a sidecar that joined. Raises ConflictError when the name or credential exists."""
    tx.run(
        """INSERT INTO sidecar (id, display_name, region, project_ids_json, credential_digest,
             sealing_public_key, created_unix_ms, last_seen_unix_ms)
           VALUES (:id, :display_name, :region, :projects, :digest, :sealing_key, :created,
             :last_seen)""",
        {
            "id": sidecar.sidecar_id,
            "display_name": sidecar.display_name,
            "region": sidecar.region,
            "projects": json.dumps(sidecar.project_ids),
            "digest": sidecar.credential_digest,
            "sealing_key": sidecar.sealing_public_key,
            "created": sidecar.created_unix_ms,
            "last_seen": sidecar.last_seen_unix_ms,
        },
    )


def get(tx: Tx, sidecar_id: str) -> Sidecar | None:
    """One sidecar; under a lock until the transaction ends."""
    sql = "SELECT * FROM sidecar WHERE id = :id"
    row = tx.row(sql + tx.dialect.for_update, {"id": sidecar_id})
    return _from_row(row) if row is not None else None


def by_digest(tx: Tx, credential_digest: bytes) -> Sidecar | None:
    """The sidecar that proves itself with this credential, revoked or not."""
    row = tx.row(
        "SELECT * FROM sidecar WHERE credential_digest = :digest", {"digest": credential_digest}
    )
    return _from_row(row) if row is not None else None


def name_taken(tx: Tx, display_name: str) -> bool:
    """Whether a sidecar is shown under this name."""
    row = tx.row("SELECT 1 AS found FROM sidecar WHERE display_name = :n", {"n": display_name})
    return row is not None


def everything(tx: Tx) -> list[Sidecar]:
    """All sidecars, by name."""
    return [_from_row(row) for row in tx.rows("SELECT * FROM sidecar ORDER BY display_name, id")]


def register(tx: Tx, sidecar: Sidecar) -> None:
    """Write what a registration changed."""
    changed = tx.run(
        """UPDATE sidecar SET software_version = :version, machine_id = :machine,
             boot_id = :boot, incarnation = :incarnation, epoch = :epoch, state = :state,
             last_sync_no = :sync_no, last_seen_unix_ms = :seen
           WHERE id = :id""",
        {
            "id": sidecar.sidecar_id,
            "version": sidecar.software_version,
            "machine": sidecar.machine_id,
            "boot": sidecar.boot_id,
            "incarnation": sidecar.incarnation,
            "epoch": sidecar.epoch,
            "state": sidecar.state,
            "sync_no": sidecar.last_sync_no,
            "seen": sidecar.last_seen_unix_ms,
        },
    )
    assert changed == 1


def synced(tx: Tx, sidecar: Sidecar) -> None:
    """Write what a Sync changed."""
    params: dict[str, Value] = {
        "id": sidecar.sidecar_id,
        "sync_no": sidecar.last_sync_no,
        "generation": sidecar.generation_seen,
        "acked": sidecar.policy_acked,
        "refused": sidecar.policy_refused,
        "seen": sidecar.last_seen_unix_ms,
    }
    changed = tx.run(
        """UPDATE sidecar SET last_sync_no = :sync_no, generation_seen = :generation,
             policy_acked = :acked, policy_refused = :refused, last_seen_unix_ms = :seen
           WHERE id = :id""",
        params,
    )
    assert changed == 1


def set_state(tx: Tx, sidecar_id: str, state: str) -> None:
    """ACTIVE, DRAINED or FENCED."""
    changed = tx.run(
        "UPDATE sidecar SET state = :state WHERE id = :id", {"id": sidecar_id, "state": state}
    )
    assert changed == 1


def revoke(tx: Tx, sidecar_id: str, now_unix_ms: int) -> None:
    """End its credential."""
    tx.run(
        "UPDATE sidecar SET revoked_unix_ms = :now WHERE id = :id AND revoked_unix_ms = 0",
        {"id": sidecar_id, "now": now_unix_ms},
    )


def heard(tx: Tx, sidecar_id: str, now_unix_ms: int, *, stopped: bool) -> None:
    """Note that a revoked sidecar spoke, and whether it knows that it must start no calls."""
    tx.run(
        """UPDATE sidecar SET last_seen_unix_ms = :now,
             stopped_unix_ms = CASE WHEN :stopped = 1 AND stopped_unix_ms = 0 THEN :now
               ELSE stopped_unix_ms END
           WHERE id = :id""",
        {"id": sidecar_id, "now": now_unix_ms, "stopped": int(stopped)},
    )


def unheard(tx: Tx, generation: int) -> int:
    """How many sidecars have not spoken in this generation.

    What an old database says of them proves nothing: one that it saw leave, or never saw begin, may
    have been granted money since.
    """
    row = tx.row(
        """SELECT COUNT(*) AS unheard FROM sidecar
           WHERE revoked_unix_ms = 0 AND state <> 'FENCED' AND generation_seen < :generation
             AND excused_generation < :generation""",
        {"generation": generation},
    )
    assert row is not None
    return int(row["unheard"])


def may_speak(tx: Tx) -> list[Known]:
    """The sidecars that may come and take part, but for those that ended."""
    rows = tx.rows(
        """SELECT id, created_unix_ms, last_seen_unix_ms FROM sidecar
           WHERE revoked_unix_ms = 0 AND state NOT IN ('FENCED', 'DRAINED')"""
    )
    return [Known(row["id"], row["created_unix_ms"], row["last_seen_unix_ms"]) for row in rows]


def names_unheard(tx: Tx, generation: int) -> list[str]:
    """What those are called that have not spoken in a generation and are waited for."""
    rows = tx.rows(
        """SELECT display_name FROM sidecar
           WHERE revoked_unix_ms = 0 AND state <> 'FENCED' AND generation_seen < :generation
             AND excused_generation < :generation
           ORDER BY display_name""",
        {"generation": generation},
    )
    return [row["display_name"] for row in rows]


def has_spoken(tx: Tx, holder: Holder) -> bool:
    """Whether a life of a journal goes on, and has told all that it holds in this generation."""
    row = tx.row(
        """SELECT 1 AS spoke FROM sidecar JOIN meta ON meta.id = 1
           WHERE sidecar.id = :sidecar AND sidecar.epoch = :epoch
             AND sidecar.generation_seen >= meta.generation""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch},
    )
    return row is not None


def excuse(tx: Tx, sidecar_ids: Sequence[str], generation: int) -> None:
    """Note that nobody waits for these in a generation."""
    tx.many(
        "UPDATE sidecar SET excused_generation = :generation WHERE id = :id",
        [{"id": sidecar_id, "generation": generation} for sidecar_id in sidecar_ids],
    )


def cursor(tx: Tx, holder: Holder) -> Cursor | None:
    """How far the ledger has a journal; under a lock until the transaction ends."""
    sql = "SELECT * FROM cursor WHERE sidecar_id = :sidecar AND epoch = :epoch"
    row = tx.row(sql + tx.dialect.for_update, {"sidecar": holder.sidecar_id, "epoch": holder.epoch})
    if row is None:
        return None
    forked = row["forked_unix_ms"] > 0
    return Cursor(
        row["last_seq"],
        row["chain"],
        forked=forked,
        beside_count=row["beside_count"],
        late_count=row["late_count"],
        dropped_count=row["dropped_count"],
    )


def begin_cursor(tx: Tx, holder: Holder) -> Cursor:
    """A journal of which the ledger has nothing yet."""
    start = Cursor(0, CHAIN_START)
    tx.run(
        """INSERT INTO cursor (sidecar_id, epoch, last_seq, chain)
           VALUES (:sidecar, :epoch, :last_seq, :chain)""",
        _cursor_params(holder, start),
    )
    return start


def move_cursor(tx: Tx, holder: Holder, cursor: Cursor) -> None:
    """Note how far the ledger has a journal now; in the transaction that booked it."""
    changed = tx.run(
        """UPDATE cursor SET last_seq = :last_seq, chain = :chain
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND last_seq < :last_seq""",
        _cursor_params(holder, cursor),
    )
    assert changed == 1


def count_late(tx: Tx, holder: Holder, late_count: int, dropped_count: int) -> None:
    """Note what came of a journal whose time is over, and what of it was not booked."""
    tx.run(
        """UPDATE cursor SET late_count = late_count + :late,
             dropped_count = dropped_count + :dropped
           WHERE sidecar_id = :sidecar AND epoch = :epoch""",
        {
            "sidecar": holder.sidecar_id,
            "epoch": holder.epoch,
            "late": late_count,
            "dropped": dropped_count,
        },
    )


def take_places_beside(tx: Tx, holder: Holder, count: int) -> int:
    """Number rows that are beside the booked journal: the first number, the others follow below."""
    found = cursor(tx, holder) or begin_cursor(tx, holder)
    tx.run(
        """UPDATE cursor SET beside_count = beside_count + :count
           WHERE sidecar_id = :sidecar AND epoch = :epoch""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch, "count": count},
    )
    return -(found.beside_count + 1)


def _cursor_params(holder: Holder, cursor: Cursor) -> dict[str, Value]:
    return {
        "sidecar": holder.sidecar_id,
        "epoch": holder.epoch,
        "last_seq": cursor.last_seq,
        "chain": cursor.chain,
    }


def _from_row(row: Row) -> Sidecar:
    return Sidecar(
        sidecar_id=row["id"],
        display_name=row["display_name"],
        region=row["region"],
        project_ids=tuple(json.loads(row["project_ids_json"])),
        credential_digest=row["credential_digest"],
        sealing_public_key=row["sealing_public_key"],
        software_version=row["software_version"],
        machine_id=row["machine_id"],
        boot_id=row["boot_id"],
        incarnation=row["incarnation"],
        epoch=row["epoch"],
        state=row["state"],
        last_sync_no=row["last_sync_no"],
        generation_seen=row["generation_seen"],
        policy_acked=row["policy_acked"],
        policy_refused=row["policy_refused"],
        created_unix_ms=row["created_unix_ms"],
        last_seen_unix_ms=row["last_seen_unix_ms"],
        revoked_unix_ms=row["revoked_unix_ms"],
        stopped_unix_ms=row["stopped_unix_ms"],
    )
