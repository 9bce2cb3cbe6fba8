"""Principals and their tokens in the database."""

from collections.abc import Iterable

from control_plane.core.fields import name_key
from control_plane.core.pages import Slice
from control_plane.core.principals import AdminToken, Principal, Role
from control_plane.store.engine import Params, Row, Tx


def insert(tx: Tx, principal: Principal) -> None:
    """Add a principal with its tokens. Raises ConflictError when its name is taken."""
    tx.run(
        """INSERT INTO principal (principal_id, display_name, name_key, role, created_unix_ms,
             disabled_unix_ms, project_id)
           VALUES (:principal_id, :display_name, :name_key, :role, :created, NULL, :project)""",
        {
            "principal_id": principal.principal_id,
            "display_name": principal.display_name,
            "name_key": name_key(principal.display_name),
            # A client is stored as a viewer of one project, see the migration m0018.
            "role": "viewer" if principal.role is Role.CLIENT else principal.role.value,
            "project": principal.project_id,
            "created": principal.created_unix_ms,
        },
    )
    for token in principal.tokens:
        insert_token(tx, token)


def insert_token(tx: Tx, token: AdminToken) -> None:
    """Add a token."""
    tx.run(
        """INSERT INTO admin_token (token_id, principal_id, digest, hint, created_unix_ms,
             expires_unix_ms, revoked_unix_ms)
           VALUES (:token_id, :principal_id, :digest, :hint, :created, :expires, NULL)""",
        {
            "token_id": token.token_id,
            "principal_id": token.principal_id,
            "digest": token.digest,
            "hint": token.hint,
            "created": token.created_unix_ms,
            "expires": token.expires_unix_ms,
        },
    )


def disable(tx: Tx, principal_id: str, now_unix_ms: int) -> None:
    """End a principal and all its tokens."""
    params: Params = {"id": principal_id, "now": now_unix_ms}
    tx.run(
        """UPDATE principal SET disabled_unix_ms = :now
           WHERE principal_id = :id AND disabled_unix_ms IS NULL""",
        params,
    )
    tx.run(
        """UPDATE admin_token SET revoked_unix_ms = :now
           WHERE principal_id = :id AND revoked_unix_ms IS NULL""",
        params,
    )


def revoke_token(tx: Tx, token_id: str, now_unix_ms: int) -> None:
    """End one token; one that is over stays as it is."""
    tx.run(
        """UPDATE admin_token SET revoked_unix_ms = :now
           WHERE token_id = :id AND revoked_unix_ms IS NULL""",
        {"id": token_id, "now": now_unix_ms},
    )


def get(tx: Tx, principal_id: str) -> Principal | None:
    """One principal with its tokens."""
    row = tx.row("SELECT * FROM principal WHERE principal_id = :id", {"id": principal_id})
    if row is None:
        return None
    tokens = tx.rows(
        "SELECT * FROM admin_token WHERE principal_id = :id ORDER BY token_id DESC",
        {"id": principal_id},
    )
    return _from_rows(row, tokens)


def by_name(tx: Tx, name: str) -> Principal | None:
    """The principal of that name, disabled or not."""
    row = tx.row(
        "SELECT principal_id FROM principal WHERE name_key = :name", {"name": name_key(name)}
    )
    return get(tx, row["principal_id"]) if row is not None else None


def token_by_digest(tx: Tx, digest: bytes) -> AdminToken | None:
    """The token of that digest, whether it still works or not."""
    row = tx.row("SELECT * FROM admin_token WHERE digest = :digest", {"digest": digest})
    return _token_from_row(row) if row is not None else None


def token_by_id(tx: Tx, token_id: str) -> AdminToken | None:
    """One token."""
    row = tx.row("SELECT * FROM admin_token WHERE token_id = :id", {"id": token_id})
    return _token_from_row(row) if row is not None else None


def page(tx: Tx, asked: Slice) -> list[Principal]:
    """Principals by name, disabled ones too."""
    after = asked.after or ("", "")
    rows = tx.rows(
        """SELECT principal_id FROM principal WHERE (name_key, principal_id) > (:name, :id)
           ORDER BY name_key, principal_id LIMIT :limit""",
        {"name": after[0], "id": after[1], "limit": asked.limit},
    )
    found = [get(tx, row["principal_id"]) for row in rows]
    return [principal for principal in found if principal is not None]


def names(tx: Tx) -> dict[str, str]:
    """What all principals are called, by id."""
    rows = tx.rows("SELECT principal_id, display_name FROM principal")
    return {row["principal_id"]: row["display_name"] for row in rows}


def count(tx: Tx, role: Role | None = None) -> int:
    """How many principals are not disabled, of one role or of all."""
    row = tx.row(
        """SELECT count(*) AS n FROM principal
           WHERE disabled_unix_ms IS NULL AND (:role = '' OR role = :role)""",
        {"role": role.value if role is not None else ""},
    )
    assert row is not None
    return int(row["n"])


def _from_rows(row: Row, tokens: Iterable[Row]) -> Principal:
    return Principal(
        principal_id=row["principal_id"],
        display_name=row["display_name"],
        role=Role.CLIENT if row["project_id"] else Role(row["role"]),
        created_unix_ms=row["created_unix_ms"],
        disabled_unix_ms=row["disabled_unix_ms"],
        tokens=tuple(_token_from_row(token) for token in tokens),
        project_id=row["project_id"],
    )


def _token_from_row(row: Row) -> AdminToken:
    return AdminToken(
        token_id=row["token_id"],
        principal_id=row["principal_id"],
        digest=row["digest"],
        hint=row["hint"],
        created_unix_ms=row["created_unix_ms"],
        expires_unix_ms=row["expires_unix_ms"],
        revoked_unix_ms=row["revoked_unix_ms"],
    )
