"""Links that show one client its own page at the desk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from clients.admin.instants import (
    instant_from_wire,
    instant_or_none_from_wire,
    instant_to_wire,
)
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLink:
    """One link; never its secret part."""

    link_id: str
    """Made by the control plane."""
    project_id: str
    """Whose page it shows."""
    create_time: datetime
    """When it was made."""
    expire_time: datetime
    """When it ends."""
    revoke_time: datetime | None
    """When it was ended before its time; None while it was not."""
    view_count: int
    """How often it was looked at."""
    view_time: datetime | None
    """When it was looked at last; None for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeShareLink:
    """A new link with its secret part."""

    link: ShareLink
    """The link."""
    secret: str = field(repr=False)
    """Its secret part, shown once."""
    desk_url: str
    """The desk's address; "" when no desk runs."""

    @property
    def url(self) -> str:
        """What to send to the client; "" when no desk runs."""
        return f"{self.desk_url}/share/{self.secret}" if self.desk_url else ""


class ShareLinks:
    """Makes links, lists and ends them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ProjectServiceStub(wire.channel)

    def create(
        self, project_id: str, *, expire_time: datetime | None = None, request_id: str = ""
    ) -> MadeShareLink:
        """Make a link, for 90 days when nothing else is said."""
        request = v1.CreateShareLinkRequest(
            request_id=request_id or self._wire.request_id(),
            project_id=project_id,
            expire_time=instant_to_wire(expire_time),
        )
        answer = self._wire.ask(self._stub.CreateShareLink, request)
        return MadeShareLink(
            link=share_link_from_wire(answer.link),
            secret=answer.secret,
            desk_url=answer.desk_url,
        )

    def list(self, project_id: str) -> Iterator[ShareLink]:
        """Yield the links of a project, newest first, those that are over too."""

        def fetch(token: str) -> v1.ListShareLinksResponse:
            request = v1.ListShareLinksRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListShareLinks, request)

        return self._wire.pages(fetch, lambda page: map(share_link_from_wire, page.links))

    def revoke(self, link_id: str, *, request_id: str = "") -> ShareLink:
        """End a link."""
        request = v1.RevokeShareLinkRequest(
            request_id=request_id or self._wire.request_id(), link_id=link_id
        )
        return share_link_from_wire(self._wire.ask(self._stub.RevokeShareLink, request))


def share_link_from_wire(wire: v1.ShareLink) -> ShareLink:
    """Read a link."""
    return ShareLink(
        link_id=wire.link_id,
        project_id=wire.project_id,
        create_time=instant_from_wire(wire.create_time),
        expire_time=instant_from_wire(wire.expire_time),
        revoke_time=instant_or_none_from_wire(wire.revoke_time),
        view_count=wire.view_count,
        view_time=instant_or_none_from_wire(wire.view_time),
    )
