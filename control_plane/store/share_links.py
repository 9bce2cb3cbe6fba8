"""Links to clients' pages in the database."""

from control_plane.core.pages import Slice
from control_plane.core.share_links import ShareLink
from control_plane.store.engine import Row, Tx


def insert(tx: Tx, link: ShareLink) -> None:
    """Add a link."""
    tx.run(
        """INSERT INTO share_link (link_id, digest, project_id, created_by, created_unix_ms,
             expires_unix_ms, view_count)
           VALUES (:id, :digest, :project, :by, :created, :expires, 0)""",
        {
            "id": link.link_id,
            "digest": link.digest,
            "project": link.project_id,
            "by": link.created_by,
            "created": link.created_unix_ms,
            "expires": link.expires_unix_ms,
        },
    )


def get(tx: Tx, link_id: str) -> ShareLink | None:
    """One link."""
    row = tx.row("SELECT * FROM share_link WHERE link_id = :id", {"id": link_id})
    return _from_row(row) if row is not None else None


def by_digest(tx: Tx, digest: bytes) -> ShareLink | None:
    """The link of that digest, whether it still works or not."""
    row = tx.row("SELECT * FROM share_link WHERE digest = :digest", {"digest": digest})
    return _from_row(row) if row is not None else None


def page(tx: Tx, asked: Slice, project_id: str) -> list[ShareLink]:
    """The links of a client, newest first."""
    rows = tx.rows(
        """SELECT * FROM share_link
           WHERE project_id = :project AND (:first = 1 OR link_id < :after)
           ORDER BY link_id DESC LIMIT :limit""",
        {
            "project": project_id,
            "first": int(asked.after is None),
            "after": asked.after[0] if asked.after else "",
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def count_working(tx: Tx, project_id: str, now_unix_ms: int) -> int:
    """How many links of a client work."""
    row = tx.row(
        """SELECT count(*) AS n FROM share_link
           WHERE project_id = :project AND revoked_unix_ms IS NULL AND expires_unix_ms > :now""",
        {"project": project_id, "now": now_unix_ms},
    )
    assert row is not None
    return int(row["n"])


def revoke(tx: Tx, link_id: str, now_unix_ms: int) -> None:
    """End a link; one that is ended stays as it is."""
    tx.run(
        """UPDATE share_link SET revoked_unix_ms = :now
           WHERE link_id = :id AND revoked_unix_ms IS NULL""",
        {"id": link_id, "now": now_unix_ms},
    )


def note_view(tx: Tx, link_id: str, now_unix_ms: int) -> None:
    """Count a look at it."""
    tx.run(
        """UPDATE share_link SET view_count = view_count + 1, viewed_unix_ms = :now
           WHERE link_id = :id""",
        {"id": link_id, "now": now_unix_ms},
    )


def _from_row(row: Row) -> ShareLink:
    return ShareLink(
        link_id=row["link_id"],
        digest=row["digest"],
        project_id=row["project_id"],
        created_by=row["created_by"],
        created_unix_ms=row["created_unix_ms"],
        expires_unix_ms=row["expires_unix_ms"],
        revoked_unix_ms=row["revoked_unix_ms"],
        view_count=row["view_count"],
        viewed_unix_ms=row["viewed_unix_ms"],
    )
