"""Gateway keys and their secrets in the database."""

import json
from collections.abc import Iterable, Mapping, Sequence

from control_plane.core.keys import Key, KeySecret
from control_plane.core.pages import Slice
from control_plane.store.engine import Row, Tx


def insert(tx: Tx, key: Key) -> None:
    """Add a key with its secrets."""
    tx.run(
        """INSERT INTO api_key (key_id, project_id, display_name, models, workflow,
             created_unix_ms, revoked_unix_ms, version)
           VALUES (:key_id, :project_id, :display_name, :models, :workflow, :created, :revoked,
             :version)""",
        _params(key),
    )
    for secret in key.secrets:
        insert_secret(tx, secret)


def insert_secret(tx: Tx, secret: KeySecret) -> None:
    """Add a secret to a key."""
    tx.run(
        """INSERT INTO key_secret (secret_id, key_id, digest, hint, created_unix_ms,
             expires_unix_ms, revoked_unix_ms, last_used_unix_ms)
           VALUES (:secret_id, :key_id, :digest, :hint, :created, :expires, :revoked, :used)""",
        {
            "secret_id": secret.secret_id,
            "key_id": secret.key_id,
            "digest": secret.digest,
            "hint": secret.hint,
            "created": secret.created_unix_ms,
            "expires": secret.expires_unix_ms,
            "revoked": secret.revoked_unix_ms,
            "used": secret.last_used_unix_ms,
        },
    )


def update(tx: Tx, key: Key) -> None:
    """Replace what may change of the key itself."""
    changed = tx.run(
        """UPDATE api_key SET display_name = :display_name, models = :models,
             workflow = :workflow, revoked_unix_ms = :revoked, version = :version
           WHERE key_id = :key_id AND version = :version - 1""",
        _params(key),
    )
    assert changed == 1


def update_secret(tx: Tx, secret: KeySecret) -> None:
    """Replace when a secret ends."""
    changed = tx.run(
        """UPDATE key_secret SET expires_unix_ms = :expires, revoked_unix_ms = :revoked
           WHERE secret_id = :secret_id""",
        {
            "secret_id": secret.secret_id,
            "expires": secret.expires_unix_ms,
            "revoked": secret.revoked_unix_ms,
        },
    )
    assert changed == 1


def mark_used(tx: Tx, secret_id: str, unix_ms: int) -> None:
    """Note that a call used a secret; only ever later. A secret that is unknown is passed over."""
    tx.run(
        """UPDATE key_secret SET last_used_unix_ms = :at
           WHERE secret_id = :id AND COALESCE(last_used_unix_ms, 0) < :at""",
        {"id": secret_id, "at": unix_ms},
    )


def get(tx: Tx, key_id: str) -> Key | None:
    """One key with its secrets."""
    row = tx.row("SELECT * FROM api_key WHERE key_id = :id", {"id": key_id})
    if row is None:
        return None
    return _from_rows(row, _secrets_of(tx, key_id))


def page(tx: Tx, asked: Slice, *, project_id: str, show_revoked: bool) -> list[Key]:
    """Keys, newest first."""
    rows = tx.rows(
        """SELECT * FROM api_key
           WHERE (:project = '' OR project_id = :project)
             AND (revoked_unix_ms IS NULL OR :revoked = 1)
             AND (:first = 1 OR key_id < :after)
           ORDER BY key_id DESC LIMIT :limit""",
        {
            "project": project_id,
            "revoked": int(show_revoked),
            "first": int(asked.after is None),
            "after": asked.after[0] if asked.after else "",
            "limit": asked.limit,
        },
    )
    return [_from_rows(row, _secrets_of(tx, row["key_id"])) for row in rows]


def everything(tx: Tx, ended_after_unix_ms: int) -> list[Key]:
    """All keys that work or were revoked after an instant."""
    params = {"after": ended_after_unix_ms}
    rows = tx.rows(
        """SELECT * FROM api_key WHERE revoked_unix_ms IS NULL OR revoked_unix_ms > :after
           ORDER BY key_id""",
        params,
    )
    secrets = tx.rows(
        """SELECT * FROM key_secret
           WHERE (revoked_unix_ms IS NULL OR revoked_unix_ms > :after)
             AND (expires_unix_ms IS NULL OR expires_unix_ms > :after)
           ORDER BY secret_id DESC""",
        params,
    )
    return _assembled(rows, secrets)


def of_project(tx: Tx, project_id: str) -> list[Key]:
    """All keys of a project that are not revoked."""
    rows = tx.rows(
        "SELECT key_id FROM api_key WHERE project_id = :id AND revoked_unix_ms IS NULL",
        {"id": project_id},
    )
    found = [get(tx, row["key_id"]) for row in rows]
    return [key for key in found if key is not None]


def count(tx: Tx, project_id: str) -> int:
    """How many keys of a project are not revoked."""
    row = tx.row(
        "SELECT count(*) AS n FROM api_key WHERE project_id = :id AND revoked_unix_ms IS NULL",
        {"id": project_id},
    )
    assert row is not None
    return int(row["n"])


def any_of(tx: Tx, project_id: str) -> bool:
    """Whether a project ever had a key, revoked or not."""
    sql = "SELECT 1 AS found FROM api_key WHERE project_id = :id LIMIT 1"
    return tx.row(sql, {"id": project_id}) is not None


def _secrets_of(tx: Tx, key_id: str) -> Sequence[Row]:
    return tx.rows(
        "SELECT * FROM key_secret WHERE key_id = :id ORDER BY secret_id DESC", {"id": key_id}
    )


def _params(key: Key) -> dict[str, str | int | None]:
    return {
        "key_id": key.key_id,
        "project_id": key.project_id,
        "display_name": key.display_name,
        "models": json.dumps(key.models),
        "workflow": key.workflow,
        "created": key.created_unix_ms,
        "revoked": key.revoked_unix_ms,
        "version": key.version,
    }


def _assembled(rows: Sequence[Row], secrets: Iterable[Row]) -> list[Key]:
    by_key: Mapping[str, list[Row]] = {row["key_id"]: [] for row in rows}
    for secret in secrets:
        if secret["key_id"] in by_key:
            by_key[secret["key_id"]].append(secret)
    return [_from_rows(row, by_key[row["key_id"]]) for row in rows]


def _from_rows(row: Row, secrets: Iterable[Row]) -> Key:
    return Key(
        key_id=row["key_id"],
        project_id=row["project_id"],
        display_name=row["display_name"],
        models=tuple(json.loads(row["models"])),
        workflow=row["workflow"],
        secrets=tuple(_secret_from_row(secret) for secret in secrets),
        created_unix_ms=row["created_unix_ms"],
        revoked_unix_ms=row["revoked_unix_ms"],
        version=row["version"],
    )


def _secret_from_row(row: Row) -> KeySecret:
    return KeySecret(
        secret_id=row["secret_id"],
        key_id=row["key_id"],
        digest=row["digest"],
        hint=row["hint"],
        created_unix_ms=row["created_unix_ms"],
        expires_unix_ms=row["expires_unix_ms"],
        revoked_unix_ms=row["revoked_unix_ms"],
        last_used_unix_ms=row["last_used_unix_ms"],
    )
