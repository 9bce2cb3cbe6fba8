"""The page that a link shows to a client: its own, read-only, without a session."""

from starlette.requests import Request
from starlette.responses import Response

from control_plane.store.engine import Tx
from control_plane.usecases import share_links
from control_plane.usecases.acts import Act
from control_plane.usecases.client_overview import ClientOverview, client_overview
from control_plane.web.pages.client import shared_view
from control_plane.web.routes import Asked, Change, Form, Next, Route, View, page_of
from control_plane.web.serving import Serving


class Sharing:
    """Shows a client's page to whoever has a link to it."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._deps = serving.deps

    async def show(self, request: Request) -> Response:
        """The page; the look is counted."""
        secret = request.path_params["secret"]
        now = self._deps.clock.unix_ms()
        # What shows nothing takes no place among the writers.
        await self._deps.read(lambda tx: share_links.shown_by(tx, secret, now))
        link = await self._deps.write(lambda tx: share_links.look(tx, secret, now))

        def read(tx: Tx) -> ClientOverview:
            page, levels = page_of(request.query_params), self._deps.levels
            return client_overview(tx, link.project_id, levels, now, page=page, is_for_client=True)

        client = await self._deps.read(read)
        return await self._serving.render(request, shared_view(client), None, "")


def create_share_link(tx: Tx, act: Act, _form: Form, asked: Asked) -> Next:
    """Make a link, for 90 days; it is shown once."""
    project_id = asked.path["project_id"]
    link, secret = share_links.create_share_link(tx, project_id, None, act)
    values = {"link": link, "secret": f"/share/{secret}", "back": f"/clients/{project_id}"}
    return Next(shown=View("share_shown.html", values, "Share link"))


def revoke_share_link(tx: Tx, act: Act, _form: Form, asked: Asked) -> Next:
    """End a link."""
    link = share_links.revoke_share_link(tx, asked.path["link_id"], act)
    return Next(f"/clients/{link.project_id}")


ROUTES: tuple[Route, ...] = (
    Change("/clients/{project_id}/share", "ProjectService", "CreateShareLink", create_share_link),
    Change("/share-links/{link_id}/revoke", "ProjectService", "RevokeShareLink", revoke_share_link),
)
