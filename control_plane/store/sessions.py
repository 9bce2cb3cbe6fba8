"""Sessions of browsers, and links that open them, in the database."""

from control_plane.core.sessions import Session, SignInLink
from control_plane.store.engine import Row, Tx


def insert(tx: Tx, session: Session) -> None:
    """Add a session."""
    tx.run(
        """INSERT INTO web_session (digest, principal_id, token_id, created_unix_ms, used_unix_ms)
           VALUES (:digest, :principal, :token, :created, :used)""",
        {
            "digest": session.digest,
            "principal": session.principal_id,
            "token": session.token_id,
            "created": session.created_unix_ms,
            "used": session.used_unix_ms,
        },
    )


def get(tx: Tx, digest: bytes) -> Session | None:
    """One session, whether it still works or not."""
    row = tx.row("SELECT * FROM web_session WHERE digest = :digest", {"digest": digest})
    return _session_from_row(row) if row is not None else None


def touch(tx: Tx, digest: bytes, now_unix_ms: int) -> None:
    """Note that a session is used."""
    tx.run(
        "UPDATE web_session SET used_unix_ms = :now WHERE digest = :digest",
        {"digest": digest, "now": now_unix_ms},
    )


def delete(tx: Tx, digest: bytes) -> None:
    """End a session."""
    tx.run("DELETE FROM web_session WHERE digest = :digest", {"digest": digest})


def delete_of(tx: Tx, principal_id: str) -> None:
    """End every session of a principal, and the links that would open one."""
    tx.run("DELETE FROM web_session WHERE principal_id = :id", {"id": principal_id})
    tx.run("DELETE FROM sign_in_link WHERE principal_id = :id", {"id": principal_id})


def keep_newest(tx: Tx, principal_id: str, sessions: int, links: int) -> None:
    """End the oldest sessions and links of a principal that are too many."""
    for table, kept in (("web_session", sessions), ("sign_in_link", links)):
        tx.run(
            f"""DELETE FROM {table} WHERE principal_id = :id AND digest NOT IN (
                  SELECT digest FROM {table} WHERE principal_id = :id
                  ORDER BY created_unix_ms DESC, digest LIMIT :kept)""",  # noqa: S608 - our names
            {"id": principal_id, "kept": kept},
        )


def drop_over(tx: Tx, now_unix_ms: int, used_before: int, created_before: int) -> None:
    """Forget what is over."""
    tx.run(
        "DELETE FROM web_session WHERE used_unix_ms < :used OR created_unix_ms < :created",
        {"used": used_before, "created": created_before},
    )
    tx.run("DELETE FROM sign_in_link WHERE expires_unix_ms < :now", {"now": now_unix_ms})


def insert_link(tx: Tx, link: SignInLink) -> None:
    """Add a link."""
    tx.run(
        """INSERT INTO sign_in_link (digest, principal_id, created_unix_ms, expires_unix_ms)
           VALUES (:digest, :principal, :created, :expires)""",
        {
            "digest": link.digest,
            "principal": link.principal_id,
            "created": link.created_unix_ms,
            "expires": link.expires_unix_ms,
        },
    )


def link(tx: Tx, digest: bytes) -> SignInLink | None:
    """One link, whether it still works or not; one that was used is gone."""
    row = tx.row("SELECT * FROM sign_in_link WHERE digest = :digest", {"digest": digest})
    if row is None:
        return None
    return SignInLink(
        row["digest"], row["principal_id"], row["created_unix_ms"], row["expires_unix_ms"]
    )


def delete_link(tx: Tx, digest: bytes) -> None:
    """A link was used."""
    tx.run("DELETE FROM sign_in_link WHERE digest = :digest", {"digest": digest})


def _session_from_row(row: Row) -> Session:
    return Session(
        digest=row["digest"],
        principal_id=row["principal_id"],
        token_id=row["token_id"],
        created_unix_ms=row["created_unix_ms"],
        used_unix_ms=row["used_unix_ms"],
    )
