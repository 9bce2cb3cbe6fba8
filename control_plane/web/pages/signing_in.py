"""Signing in and out, by a one-time link or an admin token."""

from collections.abc import Callable
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from control_plane.core.principals import Principal
from control_plane.store.engine import Tx
from control_plane.telemetry import event
from control_plane.usecases import sessions
from control_plane.web import browser
from control_plane.web.attempts import Attempts
from control_plane.web.routes import Form, View, needed, text
from control_plane.web.serving import SIGN_IN, Serving, home_of
from protos.values import keys
from protos.values.errors import LimitExceededError, UnauthenticatedError

Opening: TypeAlias = Callable[[Tx], tuple[Principal, str]]

TOO_MANY: Final = (
    "too many attempts that opened nothing: wait a quarter of an hour, or have an owner run "
    "`bursar desk` for a link"
)


class SigningIn:
    """The pages that everybody may see, and what takes their forms."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._deps = serving.deps
        self._attempts = Attempts()

    async def show(self, request: Request) -> Response:
        """The form."""
        view = _form(request.query_params.get("next", ""), "")
        return await self._serving.render(request, view, None, "")

    async def take(self, request: Request) -> Response:
        """What was filled in."""
        browser.check_origin(request, secure=self._deps.secure)
        form = await browser.form_of(request)
        credential = needed(form, "credential")
        now = self._deps.clock.unix_ms()
        self._check_open(request, now)
        try:
            return await self._enter(
                request,
                lambda tx: sessions.open_by_token(tx, credential, self._deps.entropy, now),
                _next_of(form),
            )
        except UnauthenticatedError as error:
            self._attempts.fail(browser.address_of(request), now)
            view = _form(text(form, "next"), error.message)
            return await self._serving.render(request, view, None, "", 401)

    async def show_link(self, request: Request) -> Response:
        """Whom a link signs in; using it takes a press, for scanners follow links."""
        secret = request.path_params["secret"]
        now = self._deps.clock.unix_ms()
        whom = await self._deps.read(lambda tx: sessions.link_opens(tx, secret, now))
        view = View("sign_in_link.html", {"whom": whom}, "Sign in")
        return await self._serving.render(request, view, None, "")

    async def take_link(self, request: Request) -> Response:
        """Use a link up."""
        browser.check_origin(request, secure=self._deps.secure)
        secret = request.path_params["secret"]
        now = self._deps.clock.unix_ms()
        # What opens nothing takes no place among the writers.
        await self._deps.read(lambda tx: sessions.link_opens(tx, secret, now))
        return await self._enter(
            request, lambda tx: sessions.open_by_link(tx, secret, self._deps.entropy, now), ""
        )

    async def leave(self, request: Request) -> Response:
        """Sign out."""
        browser.check_origin(request, secure=self._deps.secure)
        form = await browser.form_of(request)
        session = browser.session_of(request, secure=self._deps.secure)
        browser.check_proof(form, session)
        now, entropy = self._deps.clock.unix_ms(), self._deps.entropy
        await self._deps.write(lambda tx: sessions.sign_out(tx, session, entropy, now))
        response = RedirectResponse(SIGN_IN, 303)
        browser.drop_session(response, secure=self._deps.secure)
        return response

    async def _enter(self, request: Request, opening: Opening, wanted: str) -> Response:
        principal, session = await self._deps.write(opening)
        event("signed in", caller=principal.principal_id)
        response = RedirectResponse(wanted or home_of(principal), 303)
        earlier = browser.session_of(request, secure=self._deps.secure)
        if keys.is_key(earlier, keys.WEB_SESSION):
            # A session from before signing in is worth nothing after.
            await self._deps.write(lambda tx: sessions.close(tx, earlier))
        browser.keep_session(response, session, secure=self._deps.secure)
        return response

    def _check_open(self, request: Request, now_unix_ms: int) -> None:
        if not self._attempts.is_open(browser.address_of(request), now_unix_ms):
            raise LimitExceededError(TOO_MANY)


def _form(wanted: str, told: str) -> View:
    return View("sign_in.html", {"wanted": wanted, "told": told}, "Sign in")


def _next_of(form: Form) -> str:
    """Where to go on to: a path of this desk, never another site."""
    wanted = text(form, "next")
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isascii()
    return wanted if plain and wanted.isprintable() and "\\" not in wanted else ""
