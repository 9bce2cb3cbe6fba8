"""Join tokens in the database, and their redemption.

`redeem` is all that a Join needs: it either refuses, or tells what the token allows, and whether
the same credential was let in before. The caller makes the sidecar's row and then calls `use`, in
the same transaction.
"""

import json

from control_plane.core.joining import JoinToken
from control_plane.store.engine import Row, Tx
from protos.values import keys
from protos.values.errors import UnauthenticatedError


def insert(tx: Tx, token: JoinToken) -> None:
    """Add a token."""
    tx.run(
        """INSERT INTO join_token (token_id, digest, project_ids, region, created_by,
             created_unix_ms, expires_unix_ms, used_unix_ms, credential_digest, sidecar_id)
           VALUES (:token_id, :digest, :project_ids, :region, :created_by, :created, :expires,
             NULL, NULL, NULL)""",
        {
            "token_id": token.token_id,
            "digest": token.digest,
            "project_ids": json.dumps(token.project_ids),
            "region": token.region,
            "created_by": token.created_by,
            "created": token.created_unix_ms,
            "expires": token.expires_unix_ms,
        },
    )


def redeem(tx: Tx, text: str, credential_digest: bytes, now_unix_ms: int) -> JoinToken:
    """The token of that text, when it may let this credential in. Raises UnauthenticatedError.

    A token that was used with this very credential is good again, so that a Join whose answer was
    lost can be repeated; `sidecar_id` then names the sidecar that it made.
    """
    if not keys.is_key(text, keys.JOIN_TOKEN):
        raise UnauthenticatedError("that is no join token: it begins with bursar_jt_")
    row = tx.row(
        "SELECT * FROM join_token WHERE digest = :digest", {"digest": keys.key_digest(text)}
    )
    if row is None:
        raise UnauthenticatedError("the join token is unknown here: make a new one")
    token = _from_row(row)
    if token.used_unix_ms is not None:
        if token.credential_digest != credential_digest:
            raise UnauthenticatedError("the join token was used: make a new one")
        return token
    if now_unix_ms >= token.expires_unix_ms:
        raise UnauthenticatedError("the join token is over: make a new one")
    return token


def use(
    tx: Tx, token: JoinToken, credential_digest: bytes, sidecar_id: str, now_unix_ms: int
) -> None:
    """Mark a token as used by the sidecar that it let in."""
    changed = tx.run(
        """UPDATE join_token SET used_unix_ms = :now, credential_digest = :credential,
             sidecar_id = :sidecar
           WHERE token_id = :id AND used_unix_ms IS NULL""",
        {
            "id": token.token_id,
            "now": now_unix_ms,
            "credential": credential_digest,
            "sidecar": sidecar_id,
        },
    )
    assert changed == 1


def count_open(tx: Tx, now_unix_ms: int) -> int:
    """How many tokens wait to be used."""
    row = tx.row(
        """SELECT count(*) AS n FROM join_token
           WHERE used_unix_ms IS NULL AND expires_unix_ms > :now""",
        {"now": now_unix_ms},
    )
    assert row is not None
    return int(row["n"])


def _from_row(row: Row) -> JoinToken:
    return JoinToken(
        token_id=row["token_id"],
        digest=row["digest"],
        project_ids=tuple(json.loads(row["project_ids"])),
        region=row["region"],
        created_by=row["created_by"],
        created_unix_ms=row["created_unix_ms"],
        expires_unix_ms=row["expires_unix_ms"],
        used_unix_ms=row["used_unix_ms"],
        credential_digest=row["credential_digest"],
        sidecar_id=row["sidecar_id"],
    )
