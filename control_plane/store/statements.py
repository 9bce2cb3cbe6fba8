"""Frozen statements, and what they are made with."""

import json
import zlib
from dataclasses import dataclass

from control_plane.core.pages import Slice
from control_plane.core.statements import State
from control_plane.store.engine import Row, Tx, Value


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement beside its frozen value."""

    statement_id: str
    project_id: str
    month: str
    version: int
    state: State
    value: bytes
    sha256: str
    call_count: int
    cost_nano_usd: int
    charge_nano_usd: int
    created_unix_ms: int
    approved_by: str = ""
    approved_unix_ms: int | None = None
    due_unix_ms: int | None = None
    """When it goes out."""
    sent_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client's statements go out."""

    project_id: str
    automatic: bool = False
    """Whether they go out without anybody's approval."""
    send_day: int = 3
    """The day of the month after, at nine in the morning where the client is."""
    recipients: tuple[str, ...] = ()
    note: str = ""
    """Stands in the client's next statements."""
    version: int = 0


_COLUMNS = ", ".join(Kept.__slots__)
"""All but the lines, which are long and seldom wanted."""


def insert(tx: Tx, kept: Kept, lines: bytes) -> None:
    """Add a version with its lines."""
    tx.run(
        """INSERT INTO statement (statement_id, project_id, month, version, state, value, sha256,
             lines, call_count, cost_nano_usd, charge_nano_usd, created_unix_ms)
           VALUES (:statement_id, :project_id, :month, :version, :state, :value, :sha256, :lines,
             :call_count, :cost_nano_usd, :charge_nano_usd, :created_unix_ms)""",
        {**_params(kept), "lines": zlib.compress(lines, 6)},
    )


def move(tx: Tx, kept: Kept) -> None:
    """Replace what may change of a version; its value only while it is a draft."""
    changed = tx.run(
        """UPDATE statement SET state = :state, approved_by = :approved_by,
             approved_unix_ms = :approved_unix_ms, due_unix_ms = :due_unix_ms,
             sent_unix_ms = :sent_unix_ms, value = :value, sha256 = :sha256
           WHERE statement_id = :statement_id AND (state = 'DRAFT' OR sha256 = :sha256)""",
        _params(kept),
    )
    assert changed == 1


def get(tx: Tx, statement_id: str) -> Kept | None:
    """One version."""
    row = tx.row(
        f"SELECT {_COLUMNS} FROM statement WHERE statement_id = :id",  # noqa: S608 - names of this module
        {"id": statement_id},
    )
    return _kept(row) if row is not None else None


def lines_of(tx: Tx, statement_id: str) -> bytes:
    """The lines by kind of a version, as they were frozen."""
    row = tx.row("SELECT lines FROM statement WHERE statement_id = :id", {"id": statement_id})
    assert row is not None
    return zlib.decompress(row["lines"])


def newest(tx: Tx, project_id: str, month: str) -> Kept | None:
    """The newest version of a month."""
    row = tx.row(
        f"""SELECT {_COLUMNS} FROM statement WHERE project_id = :project AND month = :month
            ORDER BY version DESC LIMIT 1""",  # noqa: S608 - names of this module
        {"project": project_id, "month": month},
    )
    return _kept(row) if row is not None else None


def page(tx: Tx, asked: Slice, *, project_id: str, month: str) -> list[Kept]:
    """Versions, newest months first."""
    after = asked.after or ("", "", 0)
    rows = tx.rows(
        f"""SELECT {_COLUMNS} FROM statement
           WHERE (:project = '' OR project_id = :project) AND (:month = '' OR month = :month)
             AND (:first = 1 OR (month, project_id, version) < (:a0, :a1, :a2))
           ORDER BY month DESC, project_id DESC, version DESC LIMIT :limit""",  # noqa: S608 - names of this module
        {
            "project": project_id,
            "month": month,
            "first": int(asked.after is None),
            **{f"a{number}": part for number, part in enumerate(after)},
            "limit": asked.limit,
        },
    )
    return [_kept(row) for row in rows]


def due(tx: Tx, now_unix_ms: int, limit: int) -> list[Kept]:
    """Approved versions whose time has come, of clients for whom somebody is named.

    What nobody is named for waits for ever, and must not stand before what can go.
    """
    rows = tx.rows(
        f"""SELECT {_COLUMNS} FROM statement WHERE state = 'APPROVED' AND due_unix_ms <= :now
              AND EXISTS (SELECT 1 FROM statement_settings AS told
                          WHERE told.project_id = statement.project_id
                            AND told.recipients_json <> '[]')
            ORDER BY due_unix_ms, statement_id LIMIT :limit""",  # noqa: S608 - names of this module
        {"now": now_unix_ms, "limit": limit},
    )
    return [_kept(row) for row in rows]


def settings(tx: Tx, project_id: str) -> Settings:
    """A client's settings; the usual ones where none were made."""
    row = tx.row(
        "SELECT * FROM statement_settings WHERE project_id = :project", {"project": project_id}
    )
    if row is None:
        return Settings(project_id)
    return Settings(
        project_id,
        automatic=bool(row["automatic"]),
        send_day=row["send_day"],
        recipients=tuple(json.loads(row["recipients_json"])),
        note=row["note"],
        version=row["version"],
    )


def put_settings(tx: Tx, wanted: Settings) -> None:
    """Replace a client's settings."""
    tx.run(
        """INSERT INTO statement_settings (project_id, automatic, send_day, recipients_json, note,
             version)
           VALUES (:project, :automatic, :day, :recipients, :note, :version)
           ON CONFLICT (project_id) DO UPDATE SET automatic = excluded.automatic,
             send_day = excluded.send_day, recipients_json = excluded.recipients_json,
             note = excluded.note, version = excluded.version""",
        {
            "project": wanted.project_id,
            "automatic": int(wanted.automatic),
            "day": wanted.send_day,
            "recipients": json.dumps(wanted.recipients),
            "note": wanted.note,
            "version": wanted.version,
        },
    )


def _params(kept: Kept) -> dict[str, Value]:
    return {name: getattr(kept, name) for name in Kept.__slots__} | {"state": kept.state.value}


def _kept(row: Row) -> Kept:
    return Kept(
        **{name: row[name] for name in Kept.__slots__ if name != "state"}, state=State(row["state"])
    )
