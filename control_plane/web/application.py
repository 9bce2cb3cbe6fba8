"""Puts the desk together: every route by its table, what surrounds them, and the static files."""

from collections.abc import Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route as Served
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.web import browser, rendering
from control_plane.web.deps import DeskDeps
from control_plane.web.live import Live
from control_plane.web.pages import (
    alerts,
    calls,
    caps,
    client,
    clients,
    keys,
    playbooks,
    review,
    settings,
    sharing,
    sidecars,
    statements,
)
from control_plane.web.pages.signing_in import SigningIn
from control_plane.web.routes import Change, File, Page, Route
from control_plane.web.serving import SIGN_IN, Serving

ROUTES: Final[tuple[Route, ...]] = (
    *clients.ROUTES,
    *client.ROUTES,
    *caps.ROUTES,
    *alerts.ROUTES,
    *calls.ROUTES,
    *keys.ROUTES,
    *sidecars.ROUTES,
    *settings.ROUTES,
    *statements.ROUTES,
    *playbooks.ROUTES,
    *review.ROUTES,
    *sharing.ROUTES,
)
"""Every page and change of the desk; a test walks them with every role."""
_FOREVER = "public, max-age=31536000, immutable"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""What may be asked for of the static files, and what it is."""


def application(deps: DeskDeps) -> ASGIApp:
    """The desk as an ASGI application."""
    rendering.compile_all()
    serving = Serving(deps)
    signing_in = SigningIn(serving)
    opened = [
        (SIGN_IN, "GET", signing_in.show),
        (SIGN_IN, "POST", signing_in.take),
        (f"{SIGN_IN}/{{secret}}", "GET", signing_in.show_link),
        (f"{SIGN_IN}/{{secret}}", "POST", signing_in.take_link),
        ("/sign-out", "POST", signing_in.leave),
        ("/events", "GET", Live(deps).stream),
        ("/share/{secret}", "GET", sharing.Sharing(serving).show),
    ]
    served = [
        Served(path, serving.open(handler), methods=[method]) for path, method, handler in opened
    ]
    served += [_served(serving, route) for route in ROUTES]
    served.append(Served("/static/{digest}/{name}", _static, methods=["GET"]))
    app = Starlette(routes=served, exception_handlers=dict.fromkeys((404, 405), serving.nothing))
    # It would lead to this host in clear text where a proxy has the certificate, secrets included.
    app.router.redirect_slashes = False
    return Surrounding(app, deps)


def _served(serving: Serving, route: Route) -> Served:
    match route:
        case Page():
            return Served(route.path, serving.page(route), methods=["GET"])
        case File():
            return Served(route.path, serving.file(route), methods=["GET"])
        case Change():
            return Served(route.path, serving.change(route), methods=["POST"])


class Surrounding:
    """Refuses names that are not ours, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp, deps: DeskDeps) -> None:
        self._app = app
        self._hosts = deps.hosts
        self._headers = _encoded(browser.HEADERS)
        if deps.secure:
            self._headers += _encoded(browser.TLS_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        if not browser.is_host_known(Request(scope), self._hosts):
            refusal = PlainTextResponse(
                "The desk is not called that: open it by the address that it was started with."
                " Behind a proxy, name the address that browsers use with --web-url.\n",
                421,
            )
            await refusal(scope, receive, send_with)
            return
        await self._app(scope, receive, send_with)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    known = {path.name: path for path in rendering.STATIC.iterdir() if path.suffix in _KINDS}
    path = known.get(name)
    if path is None:
        return PlainTextResponse("There is no such file.\n", 404)
    # A style sheet names its fonts by file alone, so their address carries its digest.
    same = request.url.path == rendering.asset(name) or path.suffix == ".woff2"
    headers = {"cache-control": _FOREVER if same else "no-cache"}
    return FileResponse(path, media_type=_KINDS[path.suffix], headers=headers)
