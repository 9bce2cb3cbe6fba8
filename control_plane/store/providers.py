"""Providers in the database, their secrets only as ciphertext."""

import json

from control_plane.core.pages import Slice
from control_plane.core.providers import Provider, SealedSecret
from control_plane.store import provider_secrets
from control_plane.store.engine import Row, Tx


def put(tx: Tx, provider: Provider, secret: SealedSecret) -> None:
    """Add a provider or replace it, also one that was taken away."""
    tx.run(
        """INSERT INTO provider (provider, family, base_url, secret_ciphertext, secret_key_id,
             secret_hint, secret_version, updated_unix_ms, deleted_unix_ms, version, deployments)
           VALUES (:provider, :family, :base_url, :ciphertext, :key_id, :hint, :secret_version,
             :updated, NULL, :version, :deployments)
           ON CONFLICT (provider) DO UPDATE SET family = excluded.family,
             base_url = excluded.base_url, secret_ciphertext = excluded.secret_ciphertext,
             secret_key_id = excluded.secret_key_id, secret_hint = excluded.secret_hint,
             secret_version = excluded.secret_version,
             updated_unix_ms = excluded.updated_unix_ms, deleted_unix_ms = NULL,
             version = excluded.version, deployments = excluded.deployments""",
        {
            "provider": provider.provider,
            "family": provider.family,
            "base_url": provider.base_url,
            "ciphertext": secret.ciphertext,
            "key_id": secret.key_id,
            "hint": provider.secret_hint,
            "secret_version": provider.secret_version,
            "updated": provider.updated_unix_ms,
            "version": provider.version,
            "deployments": json.dumps(dict(sorted(provider.deployments.items()))),
        },
    )


def delete(tx: Tx, provider: Provider, now_unix_ms: int) -> None:
    """Take a provider away with its secret; its numbers stay, so that they go on rising."""
    changed = tx.run(
        """UPDATE provider SET secret_ciphertext = NULL, secret_hint = '',
             deleted_unix_ms = :now, updated_unix_ms = :now, version = version + 1
           WHERE provider = :provider""",
        {"provider": provider.provider, "now": now_unix_ms},
    )
    assert changed == 1


def get(tx: Tx, name: str) -> Provider | None:
    """One provider that was not taken away."""
    row = tx.row(
        "SELECT * FROM provider WHERE provider = :name AND deleted_unix_ms IS NULL", {"name": name}
    )
    return _from_row(row) if row is not None else None


def last_numbers(tx: Tx, name: str) -> tuple[int, int]:
    """The version and secret version of a provider that is or was there; zeros for none."""
    row = tx.row("SELECT * FROM provider WHERE provider = :name", {"name": name})
    return (row["version"], row["secret_version"]) if row is not None else (0, 0)


def secret_of(tx: Tx, name: str) -> SealedSecret | None:
    """The secret of a provider as it is kept."""
    row = tx.row("SELECT * FROM provider WHERE provider = :name", {"name": name})
    if row is None or row["secret_ciphertext"] is None:
        return None
    return SealedSecret(row["secret_key_id"], row["secret_ciphertext"])


def page(tx: Tx, asked: Slice) -> list[Provider]:
    """Providers by name."""
    rows = tx.rows(
        """SELECT * FROM provider WHERE deleted_unix_ms IS NULL AND provider > :after
           ORDER BY provider LIMIT :limit""",
        {"after": asked.after[0] if asked.after else "", "limit": asked.limit},
    )
    return [_from_row(row) for row in rows]


def everything(tx: Tx) -> list[Provider]:
    """All providers that were not taken away."""
    rows = tx.rows("SELECT * FROM provider WHERE deleted_unix_ms IS NULL ORDER BY provider")
    return [_from_row(row) for row in rows]


def encryption_key_ids(tx: Tx) -> frozenset[str]:
    """The ids of all keys that some secret is encrypted with."""
    rows = tx.rows(
        "SELECT DISTINCT secret_key_id FROM provider WHERE secret_ciphertext IS NOT NULL"
    )
    own = frozenset(row["secret_key_id"] for row in rows)
    return own | provider_secrets.encryption_key_ids(tx)


def _from_row(row: Row) -> Provider:
    return Provider(
        provider=row["provider"],
        family=row["family"],
        base_url=row["base_url"],
        secret_hint=row["secret_hint"],
        secret_version=row["secret_version"],
        updated_unix_ms=row["updated_unix_ms"],
        version=row["version"],
        deployments=json.loads(row["deployments"]),
    )
