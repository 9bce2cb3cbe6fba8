"""The desk, asked as a browser asks it: cookies, forms, origins; no sockets."""

import asyncio
import html
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from control_plane.core.principals import Role
from control_plane.core.sessions import form_proof
from control_plane.store.engine import Tx
from control_plane.usecases import sessions
from control_plane.usecases.principals import create_principal
from control_plane.web.application import application
from control_plane.web.deps import DeskDeps
from protos.values import ids
from tests.control_plane.desk import Desk

ORIGIN = "http://desk.test"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


async def nothing_changes(_milliseconds: int) -> None:
    """There is nothing to wait for in virtual time."""


class Browser:
    """One browser, with its cookies."""

    def __init__(self, desk: Desk, *, secure: bool = False) -> None:
        self.desk = desk
        self.changes = 0
        self.secure = secure
        self.cookies = httpx.Cookies()
        self._app = application(
            DeskDeps(
                store=desk.store,
                clock=desk.clock,
                entropy=desk.entropy,
                levels=desk.levels,
                changed=self._changed,
                wait_change=nothing_changes,
                is_closing=lambda: True,
                secure=secure,
                hosts=frozenset({"desk.test"}),
            )
        )

    def _changed(self) -> None:
        self.changes += 1

    @property
    def session(self) -> str:
        return next((cookie.value or "" for cookie in self.cookies.jar), "")

    def ask(self, method: str, path: str, **said: Any) -> httpx.Response:
        """One request; redirects are not followed."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(
                transport=transport, base_url=ORIGIN, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, **said)
                self.cookies = client.cookies
                return answer

        return asyncio.run(send())

    def get(self, path: str, **said: Any) -> httpx.Response:
        return self.ask("GET", path, **said)

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        """Send a form as a page of the desk does; its proof is added."""
        sent = {"proof": form_proof(self.session), **form}
        return self.ask("POST", path, data=sent, headers={"origin": ORIGIN, **(headers or {})})

    def press(self, path: str, page: str) -> httpx.Response:
        """Send the form of a page that goes to a path, with what stands in it."""
        begin = page.index(f'action="{path}"')
        fields = HIDDEN.findall(page[begin : page.index("</form>", begin)])
        return self.post(path, None, **{name: html.unescape(value) for name, value in fields})

    def follow(self, answer: httpx.Response) -> httpx.Response:
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["location"])

    def enter(self, token: str) -> httpx.Response:
        return self.ask("POST", "/sign-in", data={"credential": token}, headers={"origin": ORIGIN})


def browser_of(desk: Desk, role: Role, project_id: str = "") -> Browser:
    """A browser in which somebody of a role is signed in."""

    def make(tx: Tx, act: Any) -> str:
        name = f"{role.value} {act.request_id} {act.id(ids.PRINCIPAL)}"
        return create_principal(tx, name, role, act, project_id=project_id)[1]

    browser = Browser(desk)
    token = desk.do(make)
    assert browser.enter(token).status_code == 303
    return browser


@pytest.fixture
def browser(desk: Desk) -> Browser:
    """A browser that nobody is signed in with."""
    return Browser(desk)


@pytest.fixture
def owner(desk: Desk) -> Browser:
    """A browser in which the owner is signed in."""
    made = Browser(desk)
    assert made.enter(desk.owner_token).status_code == 303
    return made


@pytest.fixture
def link(desk: Desk) -> Callable[[], str]:
    """Makes links that sign the owner in."""
    return lambda: desk.do(
        lambda tx, act: sessions.create_sign_in_link(tx, desk.owner.principal_id, act)
    )[2]
