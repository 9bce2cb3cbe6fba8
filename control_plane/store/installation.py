"""The one row that tells what this database is: generation, mode, counters."""

from dataclasses import dataclass

from control_plane.store.engine import Tx
from protos.values.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Meta:
    """The installation as its database knows it."""

    generation: int
    """Changes at every promotion or restore."""
    learning: bool
    """The database may be old: no new money until every sidecar has spoken."""
    policy_version: int
    time_zone: str
    """The default zone of new projects."""
    alarm_position: int
    """How many alarms were raised."""
    backup_unix_ms: int
    """When the last backup was made; 0 for never."""
    change_no: int
    """How many commits were made; the watermark knows it too."""
    grants_stop_until_unix_ms: int
    """Until when learning stops all grants, or last did; 0 when it never did."""


def get(tx: Tx) -> Meta:
    """The row."""
    row = tx.row("SELECT * FROM meta WHERE id = 1")
    assert row is not None
    return Meta(
        generation=row["generation"],
        learning=row["mode"] == "LEARNING",
        policy_version=row["policy_version"],
        time_zone=row["time_zone"],
        alarm_position=row["alarm_position"],
        backup_unix_ms=row["backup_unix_ms"],
        change_no=row["change_no"],
        grants_stop_until_unix_ms=row["grants_stop_until_unix_ms"],
    )


def set_time_zone(tx: Tx, time_zone: str) -> None:
    """Change the default zone of new projects."""
    tx.run("UPDATE meta SET time_zone = :zone WHERE id = 1", {"zone": time_zone})


def set_backup(tx: Tx, now_unix_ms: int) -> None:
    """Remember when the last backup was made."""
    tx.run("UPDATE meta SET backup_unix_ms = :now WHERE id = 1", {"now": now_unix_ms})


def stop_grants(tx: Tx, until_unix_ms: int) -> None:
    """Note until when learning stops all grants."""
    tx.run(
        "UPDATE meta SET grants_stop_until_unix_ms = :until WHERE id = 1",
        {"until": until_unix_ms},
    )


def begin_learning(tx: Tx, generation: int, change_no: int) -> None:
    """Learn until every sidecar has spoken, under a new generation.

    `change_no` is how far any database of this installation ever got: this one counts on from
    there, or it would be taken for an old copy again.
    """
    changed = tx.run(
        """UPDATE meta SET mode = 'LEARNING', generation = :generation,
             change_no = CASE WHEN change_no < :change_no THEN :change_no ELSE change_no END
           WHERE id = 1 AND generation < :generation""",
        {"generation": generation, "change_no": change_no},
    )
    assert changed == 1


def end_learning(tx: Tx) -> None:
    """Grant again."""
    tx.run("UPDATE meta SET mode = 'NORMAL' WHERE id = 1")


def take_call_positions(tx: Tx, count: int) -> int:
    """Take so many places in the ledger; the first of them."""
    return _take(tx, "call_position", count)


def take_alarm_position(tx: Tx) -> int:
    """Take a place among the alarms."""
    return _take(tx, "alarm_position", 1)


def _take(tx: Tx, column: str, count: int) -> int:
    assert column in ("call_position", "alarm_position")
    tx.run(f"UPDATE meta SET {column} = {column} + :count WHERE id = 1", {"count": count})  # noqa: S608 - one of two names
    row = tx.row(f"SELECT {column} AS last FROM meta WHERE id = 1")  # noqa: S608 - one of two names
    assert row is not None
    return int(row["last"]) - count + 1
