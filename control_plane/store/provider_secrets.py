"""Secrets beside the providers' own in the database, only as ciphertext."""

from control_plane.core.pages import Slice
from control_plane.core.providers import ProviderSecret, SealedSecret
from control_plane.store.engine import Row, Tx


def insert(tx: Tx, secret: ProviderSecret, sealed: SealedSecret) -> None:
    """Add a secret."""
    tx.run(
        """INSERT INTO provider_secret (provider_secret_id, provider, project_id, display_name,
             ciphertext, encryption_key_id, hint, created_unix_ms)
           VALUES (:id, :provider, :project, :name, :ciphertext, :key_id, :hint, :created)""",
        {
            "id": secret.provider_secret_id,
            "provider": secret.provider,
            "project": secret.project_id,
            "name": secret.display_name,
            "ciphertext": sealed.ciphertext,
            "key_id": sealed.key_id,
            "hint": secret.secret_hint,
            "created": secret.created_unix_ms,
        },
    )


def delete(tx: Tx, secret: ProviderSecret) -> None:
    """Forget a secret."""
    changed = tx.run(
        "DELETE FROM provider_secret WHERE provider_secret_id = :id",
        {"id": secret.provider_secret_id},
    )
    assert changed == 1


def delete_at(tx: Tx, provider: str) -> None:
    """Forget all secrets at a provider."""
    tx.run("DELETE FROM provider_secret WHERE provider = :provider", {"provider": provider})


def delete_of(tx: Tx, project_id: str) -> None:
    """Forget all secrets of a client."""
    tx.run("DELETE FROM provider_secret WHERE project_id = :project", {"project": project_id})


def get(tx: Tx, provider_secret_id: str) -> ProviderSecret | None:
    """One secret."""
    row = tx.row(
        "SELECT * FROM provider_secret WHERE provider_secret_id = :id", {"id": provider_secret_id}
    )
    return _from_row(row) if row is not None else None


def count(tx: Tx) -> int:
    """How many there are."""
    row = tx.row("SELECT count(*) AS n FROM provider_secret")
    assert row is not None
    return int(row["n"])


def count_at(tx: Tx, provider: str, project_id: str | None = None) -> int:
    """How many there are at a provider; of one client, of the agency (""), or of all (None)."""
    row = tx.row(
        """SELECT count(*) AS n FROM provider_secret
           WHERE provider = :provider AND (:every = 1 OR project_id = :project)""",
        {"provider": provider, "every": int(project_id is None), "project": project_id or ""},
    )
    assert row is not None
    return int(row["n"])


def page(tx: Tx, asked: Slice, provider: str) -> list[ProviderSecret]:
    """Secrets in the order in which they were added."""
    rows = tx.rows(
        """SELECT * FROM provider_secret
           WHERE (:provider = '' OR provider = :provider) AND provider_secret_id > :after
           ORDER BY provider_secret_id LIMIT :limit""",
        {
            "provider": provider,
            "after": asked.after[0] if asked.after else "",
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def sealed(tx: Tx) -> list[tuple[ProviderSecret, SealedSecret]]:
    """All secrets as they are kept, in the order in which they were added."""
    rows = tx.rows("SELECT * FROM provider_secret ORDER BY provider_secret_id")
    return [
        (_from_row(row), SealedSecret(row["encryption_key_id"], row["ciphertext"])) for row in rows
    ]


def encryption_key_ids(tx: Tx) -> frozenset[str]:
    """The ids of all keys that some secret is encrypted with."""
    rows = tx.rows("SELECT DISTINCT encryption_key_id FROM provider_secret")
    return frozenset(row["encryption_key_id"] for row in rows)


def _from_row(row: Row) -> ProviderSecret:
    return ProviderSecret(
        provider_secret_id=row["provider_secret_id"],
        provider=row["provider"],
        project_id=row["project_id"],
        display_name=row["display_name"],
        secret_hint=row["hint"],
        created_unix_ms=row["created_unix_ms"],
    )
