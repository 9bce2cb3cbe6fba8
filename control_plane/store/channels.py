"""Channels and the mail server, their addresses only as ciphertext."""

from control_plane.core.channels import Channel, ChannelKind, MailServer
from control_plane.core.fields import name_key
from control_plane.core.pages import Slice
from control_plane.core.providers import SealedSecret
from control_plane.store.engine import Row, Tx


def insert(tx: Tx, channel: Channel, target: SealedSecret) -> None:
    """Add a channel. Raises ConflictError when its name is taken."""
    tx.run(
        """INSERT INTO channel (channel_id, display_name, name_key, kind, hint, target_ciphertext,
             target_key_id, created_unix_ms, tested_unix_ms, deleted_unix_ms, version)
           VALUES (:id, :name, :name_key, :kind, :hint, :ciphertext, :key_id, :created, :tested,
             NULL, :version)""",
        {
            "id": channel.channel_id,
            "name": channel.display_name,
            "name_key": name_key(channel.display_name),
            "kind": channel.kind.value,
            "hint": channel.hint,
            "ciphertext": target.ciphertext,
            "key_id": target.key_id,
            "created": channel.created_unix_ms,
            "tested": channel.tested_unix_ms,
            "version": channel.version,
        },
    )


def tested(tx: Tx, channel_id: str, now_unix_ms: int) -> None:
    """Note that a test arrived."""
    tx.run(
        "UPDATE channel SET tested_unix_ms = :now, version = version + 1 WHERE channel_id = :id",
        {"id": channel_id, "now": now_unix_ms},
    )


def delete(tx: Tx, channel_id: str, now_unix_ms: int) -> None:
    """Take a channel away, and with it its address; what was sent to it stays on record."""
    tx.run(
        """UPDATE channel SET deleted_unix_ms = :now, target_ciphertext = :nothing,
             version = version + 1
           WHERE channel_id = :id AND deleted_unix_ms IS NULL""",
        {"id": channel_id, "now": now_unix_ms, "nothing": b""},
    )


def get(tx: Tx, channel_id: str) -> Channel | None:
    """One channel that was not taken away."""
    row = tx.row(
        "SELECT * FROM channel WHERE channel_id = :id AND deleted_unix_ms IS NULL",
        {"id": channel_id},
    )
    return None if row is None else _from_row(row)


def by_name(tx: Tx, name: str) -> Channel | None:
    """A channel that was not taken away, by its name."""
    row = tx.row(
        "SELECT * FROM channel WHERE name_key = :name AND deleted_unix_ms IS NULL",
        {"name": name_key(name)},
    )
    return None if row is None else _from_row(row)


def target_of(tx: Tx, channel_id: str) -> SealedSecret | None:
    """Where a channel leads, as it is kept."""
    row = tx.row(
        "SELECT * FROM channel WHERE channel_id = :id AND deleted_unix_ms IS NULL",
        {"id": channel_id},
    )
    return None if row is None else SealedSecret(row["target_key_id"], row["target_ciphertext"])


def page(tx: Tx, asked: Slice) -> list[Channel]:
    """Channels by id."""
    rows = tx.rows(
        """SELECT * FROM channel WHERE deleted_unix_ms IS NULL AND channel_id > :after
           ORDER BY channel_id LIMIT :limit""",
        {"after": asked.after[0] if asked.after else "", "limit": asked.limit},
    )
    return [_from_row(row) for row in rows]


def count(tx: Tx) -> int:
    """How many channels there are."""
    row = tx.row("SELECT COUNT(*) AS n FROM channel WHERE deleted_unix_ms IS NULL")
    assert row is not None
    return int(row["n"])


def put_mail_server(tx: Tx, server: MailServer, password: SealedSecret | None) -> None:
    """Set the mail server."""
    tx.run("DELETE FROM mail_server WHERE id = 1")
    tx.run(
        """INSERT INTO mail_server (id, host, port, security, username, from_address, from_name,
             password_ciphertext, password_key_id, tested_unix_ms, version)
           VALUES (1, :host, :port, :security, :username, :from_address, :from_name, :ciphertext,
             :key_id, :tested, :version)""",
        {
            "host": server.host,
            "port": server.port,
            "security": server.security,
            "username": server.username,
            "from_address": server.from_address,
            "from_name": server.from_name,
            "ciphertext": password.ciphertext if password else None,
            "key_id": password.key_id if password else "",
            "tested": server.tested_unix_ms,
            "version": server.version,
        },
    )


def mail_server(tx: Tx) -> tuple[MailServer, SealedSecret | None] | None:
    """The mail server and its password as it is kept; None when none is set."""
    row = tx.row("SELECT * FROM mail_server WHERE id = 1")
    if row is None:
        return None
    server = MailServer(
        row["host"],
        row["port"],
        row["security"],
        row["username"],
        row["from_address"],
        row["from_name"],
        row["tested_unix_ms"],
        row["version"],
    )
    sealed = row["password_ciphertext"]
    return server, None if sealed is None else SealedSecret(row["password_key_id"], sealed)


def encryption_key_ids(tx: Tx) -> frozenset[str]:
    """The ids of all keys that some address or password is encrypted with."""
    rows = tx.rows(
        """SELECT target_key_id AS id FROM channel WHERE deleted_unix_ms IS NULL
           UNION SELECT password_key_id FROM mail_server WHERE password_ciphertext IS NOT NULL"""
    )
    return frozenset(row["id"] for row in rows)


def _from_row(row: Row) -> Channel:
    return Channel(
        row["channel_id"],
        row["display_name"],
        ChannelKind(row["kind"]),
        row["hint"],
        row["created_unix_ms"],
        row["tested_unix_ms"],
        row["version"],
    )
