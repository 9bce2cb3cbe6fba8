"""Carries out pages and changes: who asks is proven in the transaction that answers.

A page is read and a change is made in one transaction each, with the session proven inside it, so
that a revocation that was answered before binds all that comes after. What is refused becomes a
page that says what to do. Pages are rendered in a thread, for the loop also answers sidecars.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from control_plane import limits
from control_plane.core.principals import Principal, Role
from control_plane.store.engine import Tx
from control_plane.telemetry import event, log
from control_plane.usecases import sessions
from control_plane.usecases.acts import Act
from control_plane.web import browser, rendering
from control_plane.web.deps import DeskDeps
from control_plane.web.routes import Asked, Change, Content, File, Next, Page, View
from protos.values import errors
from protos.values.keys import redact

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

STATUSES: Final[Mapping[type[errors.BursarError], int]] = {
    errors.BursarError: 500,
    errors.InvalidArgumentError: 422,
    errors.RequestIdReusedError: 409,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.EtagMismatchError: 409,
    errors.FailedPreconditionError: 409,
    errors.UnauthenticatedError: 401,
    errors.PermissionDeniedError: 403,
    errors.LimitExceededError: 409,
    errors.UnavailableError: 503,
    errors.SecretsLockedError: 409,
}
"""The HTTP status of each type; one that is not here has that of its nearest parent."""
SIGN_IN: Final = "/sign-in"
_SORRY: Final = "The desk failed on its own; the control plane's log says why. Try it again."


def status_of(error: errors.BursarError) -> int:
    """The HTTP status of an error."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


class Serving:
    """Turns pages and changes into what Starlette calls."""

    def __init__(self, deps: DeskDeps) -> None:
        self.deps = deps

    def page(self, route: Page) -> Endpoint:
        """What answers a page's path."""

        async def answer(request: Request) -> Response:
            text = browser.session_of(request, secure=self.deps.secure)
            now = self.deps.clock.unix_ms()
            scope = route.scope(request.path_params)

            def read(tx: Tx) -> tuple[Principal, View, bool]:
                principal = sessions.permit_page(tx, text, route.needs, scope, now)
                view = route.read(tx, self._asked(request, principal, now))
                return principal, view, sessions.is_stale(tx, text, now)

            principal, view, stale = await self.deps.read(read)
            if stale:
                await self.deps.write(lambda tx: sessions.touch(tx, text, now))
            return await self.render(request, view, principal, text)

        return self._guarded(answer)

    def file(self, route: File) -> Endpoint:
        """What answers a file's path."""

        async def answer(request: Request) -> Response:
            text = browser.session_of(request, secure=self.deps.secure)
            now = self.deps.clock.unix_ms()
            scope = route.scope(request.path_params)

            def read(tx: Tx) -> Content:
                principal = sessions.permit_page(tx, text, route.needs, scope, now)
                return route.read(tx, self._asked(request, principal, now))

            content = await self.deps.read(read)
            made = await asyncio.to_thread(content.make)
            how = "inline" if content.shows else "attachment"
            headers = {
                "cache-control": "no-store",
                "content-disposition": f'{how}; filename="{content.name}"',
            }
            return Response(made, 200, headers, content.media_type)

        return self._guarded(answer)

    def change(self, route: Change) -> Endpoint:
        """What takes a form."""

        async def answer(request: Request) -> Response:
            browser.check_origin(request, secure=self.deps.secure)
            form = await browser.form_of(request)
            text = browser.session_of(request, secure=self.deps.secure)
            now = self.deps.clock.unix_ms()

            def write(tx: Tx) -> tuple[Principal, Next]:
                principal = sessions.permit(tx, text, route.service, route.method, now)
                browser.check_proof(form, text)
                request_id, entropy = _request_id(self.deps), self.deps.entropy
                act = Act(principal, route.method, request_id, now, entropy, self.deps.url)
                return principal, route.do(tx, act, form, self._asked(request, principal, now))

            principal, done = await self.deps.write(write)
            self.deps.changed()
            event("desk", method=route.method, caller=principal.principal_id)
            if done.shown is not None:
                return await self.render(request, done.shown, principal, text)
            return RedirectResponse(done.location, 303)

        return self._guarded(answer)

    def open(self, handler: Endpoint) -> Endpoint:
        """What needs no session, such as signing in: its errors are told as those of others."""
        return self._guarded(handler)

    async def nothing(self, request: Request, _error: Exception) -> Response:
        """What answers a path that leads nowhere, or is not asked in this way."""
        return await self._sorry(request, "There is no such page at the desk.", 404)

    async def render(
        self,
        request: Request,
        view: View,
        principal: Principal | None,
        session_text: str,
        status: int = 200,
    ) -> Response:
        """A page, made in a thread."""
        html = await asyncio.to_thread(
            rendering.page,
            view,
            principal=principal,
            session_text=session_text,
            path=request.url.path,
            query=request.url.query,
            now_unix_ms=self.deps.clock.unix_ms(),
        )
        return HTMLResponse(html, status, {"cache-control": "no-store"})

    def _asked(self, request: Request, principal: Principal, now_unix_ms: int) -> Asked:
        return Asked(
            principal=principal,
            path=request.path_params,
            query=dict(request.query_params),
            now_unix_ms=now_unix_ms,
            levels=self.deps.levels,
        )

    def _guarded(self, handler: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except errors.UnauthenticatedError as error:
                if request.url.path.startswith(SIGN_IN):
                    return await self._told(request, error)
                return _to_sign_in(request)
            except errors.BursarError as error:
                if type(error) is errors.BursarError:
                    return await self._failed(request, error)
                return await self._told(request, error)
            except Exception as error:  # noqa: BLE001 - told, logged, never shown
                return await self._failed(request, error)

        return answer

    async def _told(self, request: Request, error: errors.BursarError) -> Response:
        told = redact(error.message)[: limits.ERROR_CHARACTERS_MAX]
        return await self._sorry(request, told, status_of(error))

    async def _failed(self, request: Request, error: Exception) -> Response:
        # The text of an error may hold what was sent; its place is enough.
        told = RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
        log.error("desk failed", exc_info=told, extra={"fields": {"method": request.method}})
        return await self._sorry(request, _SORRY, 500)

    async def _sorry(self, request: Request, told: str, status: int) -> Response:
        text = browser.session_of(request, secure=self.deps.secure)
        now = self.deps.clock.unix_ms()

        def who(tx: Tx) -> Principal | None:
            try:
                return sessions.authenticate(tx, text, now)
            except errors.UnauthenticatedError:
                return None

        try:
            principal = await self.deps.read(who)
        except errors.UnavailableError:
            principal = None
        view = View("sorry.html", {"told": told, "status": status}, "That did not work")
        return await self.render(request, view, principal, text, status)


def home_of(principal: Principal) -> str:
    """Where somebody begins."""
    return f"/clients/{principal.project_id}" if principal.role is Role.CLIENT else "/"


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path if request.method == "GET" else "/"
    target = SIGN_IN if wanted == "/" else f"{SIGN_IN}?next={quote(wanted, safe='/')}"
    if "hx-request" in request.headers:
        # A part of a page cannot become the form for signing in: the whole page has to go there.
        return Response(status_code=204, headers={"hx-redirect": target})
    return RedirectResponse(target, 303)


def _request_id(deps: DeskDeps) -> str:
    return f"desk-{deps.entropy.random_bytes(12).hex()}"
