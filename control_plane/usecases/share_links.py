"""Links that show one client its own page: made, listed, ended, and looked at."""

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import ProjectState, check_not_archived
from control_plane.core.share_links import ShareLink
from control_plane.store import share_links as store
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values import ids, keys
from protos.values.errors import LimitExceededError, NotFoundError


def create_share_link(
    tx: Tx, project_id: str, expires_unix_ms: int | None, act: Act
) -> tuple[ShareLink, str]:
    """Make a link; its secret part."""
    project = projects.found(tx, project_id)
    check_not_archived(project)
    now = act.now_unix_ms
    expires = now + limits.SHARE_LINK_DEFAULT_MS if expires_unix_ms is None else expires_unix_ms
    fields.check_between(expires, now + 1, now + limits.SHARE_LINK_MAX_MS, "expire_time")
    if store.count_working(tx, project_id, now) >= limits.PROJECT_SHARE_LINKS_MAX:
        raise LimitExceededError(
            f"{limits.PROJECT_SHARE_LINKS_MAX} links of this client work: end one first",
            limit=str(limits.PROJECT_SHARE_LINKS_MAX),
        )
    text = act.entropy.secret(keys.SHARE_LINK)
    link = ShareLink(
        link_id=act.id(ids.SHARE_LINK),
        digest=keys.key_digest(text),
        project_id=project_id,
        created_by=act.actor.principal_id,
        created_unix_ms=now,
        expires_unix_ms=expires,
    )
    store.insert(tx, link)
    record(tx, act, link.link_id, project_id=project_id, expires_unix_ms=expires)
    return link, text


def list_share_links(tx: Tx, asked: Asked, project_id: str) -> Page[ShareLink]:
    """The links of a client, newest first."""
    projects.found(tx, project_id)
    filters = {"list": "share links", "project": project_id}
    wanted = pages.begin(asked, filters, (str,))
    rows = store.page(tx, wanted, project_id)
    return pages.finish(rows, wanted, filters, lambda row: (row.link_id,))


def revoke_share_link(tx: Tx, link_id: str, act: Act) -> ShareLink:
    """End a link."""
    fields.check_id(link_id, ids.SHARE_LINK, "link_id")
    link = _found(tx, link_id)
    store.revoke(tx, link_id, act.now_unix_ms)
    record(tx, act, link_id, project_id=link.project_id)
    return _found(tx, link_id)


def look(tx: Tx, text: str, now_unix_ms: int) -> ShareLink:
    """Whose page a link shows; the look is counted. Raises NotFoundError for all that do not."""
    link = shown_by(tx, text, now_unix_ms)
    store.note_view(tx, link.link_id, now_unix_ms)
    return link


def shown_by(tx: Tx, text: str, now_unix_ms: int) -> ShareLink:
    """Whose page a link would show; changes nothing. Raises NotFoundError."""
    link = (
        store.by_digest(tx, keys.key_digest(text)) if keys.is_key(text, keys.SHARE_LINK) else None
    )
    if (
        link is None
        or not link.works_at(now_unix_ms)
        or projects.found(tx, link.project_id).state is ProjectState.ARCHIVED
    ):
        raise NotFoundError("this link is over, or was never one: ask whoever sent it for another")
    return link


def _found(tx: Tx, link_id: str) -> ShareLink:
    link = store.get(tx, link_id)
    if link is None:
        raise NotFoundError(f"there is no link {link_id}", link_id=link_id)
    return link
