"""Every page and every form of the desk, with every role: the table holds, and so does its text."""

import hashlib
import html
import json
import re
import shlex
from collections.abc import Iterator

import pytest

from control_plane.core import access
from control_plane.core.pages import Asked
from control_plane.core.principals import Role
from control_plane.usecases import cost_lines, statements
from control_plane.web import rendering
from control_plane.web.application import ROUTES
from control_plane.web.browser import HEADERS
from control_plane.web.routes import Change, File, Page
from protos.values import ids
from tests.control_plane.desk import NOON, Desk
from tests.control_plane.web.agency import Client, add_alert, add_client, log_call, settle_in
from tests.control_plane.web.conftest import Browser, browser_of
from tests.house.test_docs import complaint

PAGES = [route for route in ROUTES if isinstance(route, Page)]
CHANGES = [route for route in ROUTES if isinstance(route, Change)]
FILES = [route for route in ROUTES if isinstance(route, File)]


ALERT_ID = ids.make_id(ids.ALERT, NOON, bytes(10))
CALL_ID = ids.make_id(ids.CALL, NOON, bytes(10))


@pytest.fixture
def agency(desk: Desk) -> dict[str, Client]:
    made = settle_in(desk)
    log_call(desk, made["Acme Dental Group"], CALL_ID)
    state_month(desk, made["Acme Dental Group"].id)
    desk.sidecar()
    add_alert(desk, made["Acme Dental Group"], ALERT_ID)
    return made


def state_month(desk: Desk, project_id: str) -> None:
    """Freeze a month without calls."""
    plan = desk.read(lambda tx: statements.plan(tx, project_id, "2026-01", desk.now))
    lines = desk.read(lambda tx: cost_lines.begin(tx, project_id))
    desk.do(lambda tx, act: statements.build_statement(tx, plan, lines, act))


def statement_of(desk: Desk, client: Client) -> str:
    page = desk.read(lambda tx: statements.list_statements(tx, Asked(), client.id, ""))
    return page.items[0].statement_id if page.items else ids.make_id(ids.STATEMENT, 0, bytes(10))


def filled(path: str, client: Client, desk: Desk) -> str:
    """A path with the ids of one client, and of what is its own."""
    known = {
        "project_id": client.id,
        "budget_id": client.budget.budget_id,
        "workflow": "lead%20enrichment",
        "call_id": CALL_ID,
        "alert_id": ALERT_ID,
        "delivery_id": "dlv_none",
        "key_id": client.key_id,
        "statement_id": statement_of(desk, client),
        "format": "pdf",
        "principal_id": desk.owner.principal_id,
        "link_id": ids.make_id(ids.SHARE_LINK, NOON, bytes(10)),
    }
    return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], path)


def inline(page: str) -> Iterator[str]:
    """What our policy would forbid."""
    yield from re.findall(r"<style\b|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", page)


@pytest.mark.parametrize("role", list(Role))
def test_every_page_is_shown_to_whom_it_is_for_and_to_nobody_else(
    desk: Desk, agency: dict[str, Client], role: Role
) -> None:
    acme, bolt = agency["Acme Dental Group"], agency["Bolt Logistics"]
    own = acme.id if role is Role.CLIENT else ""
    browser = browser_of(desk, role, own)
    for route in PAGES:
        path = filled(route.path, acme, desk)
        answer = browser.get(path)
        scope = route.scope({"project_id": acme.id, "budget_id": ""})
        allowed = role.includes(route.needs) and (role is not Role.CLIENT or scope == acme.id)
        assert answer.status_code == (200 if allowed else 403), (route.path, answer.text[-600:])
        if role is Role.CLIENT:
            assert browser.get(filled(route.path, bolt, desk)).status_code == 403
            assert "Bolt" not in answer.text


@pytest.mark.parametrize("role", list(Role))
def test_every_file_is_given_to_whom_it_is_for_and_is_kept_by_nobody_between(
    desk: Desk, agency: dict[str, Client], role: Role
) -> None:
    acme = agency["Acme Dental Group"]
    browser = browser_of(desk, role, acme.id if role is Role.CLIENT else "")
    for route in FILES:
        answer = browser.get(filled(route.path, acme, desk))
        allowed = role.includes(route.needs) and role is not Role.CLIENT
        assert answer.status_code == (200 if allowed else 403), route.path
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content.startswith(b"%PDF") is allowed


@pytest.mark.parametrize("role", list(Role))
def test_every_form_is_taken_from_whom_its_method_is_taken(
    desk: Desk, agency: dict[str, Client], role: Role
) -> None:
    acme = agency["Acme Dental Group"]
    browser = browser_of(desk, role, acme.id if role is Role.CLIENT else "")
    for route in CHANGES:
        needed = access.role_needed(route.service, route.method)
        assert needed is not None, f"{route.path} names no method of the admin services"
        answer = browser.post(filled(route.path, acme, desk))
        refused = answer.status_code == 403
        assert refused == (not role.includes(needed)), (route.path, answer.status_code)


def test_without_a_session_every_page_and_form_leads_to_signing_in(
    desk: Desk, agency: dict[str, Client]
) -> None:
    stranger = Browser(desk)
    before = desk.last_entry()
    for route in ROUTES:
        path = filled(route.path, agency["Acme Dental Group"], desk)
        answer = stranger.post(path) if isinstance(route, Change) else stranger.get(path)
        assert answer.status_code == 303, route.path
        assert answer.headers["location"].startswith("/sign-in"), route.path
    assert desk.last_entry() == before


def test_every_form_is_a_post_to_a_path_that_takes_no_get(
    agency: dict[str, Client], desk: Desk, owner: Browser
) -> None:
    read = {route.path for route in PAGES}
    for route in CHANGES:
        if route.path not in read:
            path = filled(route.path, agency["Acme Dental Group"], desk)
            assert owner.get(path).status_code in {404, 405}, route.path


def test_every_page_keeps_to_the_policy_and_can_be_read_aloud(
    desk: Desk, agency: dict[str, Client], owner: Browser
) -> None:
    for route in PAGES:
        answer = owner.get(filled(route.path, agency["Acme Dental Group"], desk))
        page = answer.text
        assert not list(inline(page)), route.path
        assert answer.headers.items() >= HEADERS.items()
        assert answer.headers["cache-control"] == "no-store"
        assert page.count("<h1") == 1, route.path
        assert '<html lang="en">' in page
        assert 'href="#main"' in page
        for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
            assert "<caption" in table, route.path
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), (route.path, "an id stands twice")
        for field in re.findall(r"<(?:input(?![^>]*hidden)(?![^>]*radio)|select)[^>]*>", page):
            name = re.search(r'\sid="([^"]+)"', field)
            assert name, (route.path, field)
            assert f'for="{name[1]}"' in page, (route.path, field)


def test_every_command_that_a_page_shows_exists(
    desk: Desk, agency: dict[str, Client], owner: Browser
) -> None:
    new = add_client(desk, "New Client", 10**9)
    pages = [owner.get(f"/clients/{new.id}")]
    pages += [owner.get(filled(route.path, agency["Acme Dental Group"], desk)) for route in PAGES]
    shown = {
        line
        for page in pages
        for block in re.findall(r"<code>(.*?)</code>", page.text, re.DOTALL)
        for line in html.unescape(block).splitlines()
        if line.startswith("bursar ")
    }
    assert len(shown) > 3
    wrong = {line: error for line in shown if (error := complaint(shlex.split(line)))}
    assert not wrong


def test_what_others_wrote_is_shown_as_text(desk: Desk, owner: Browser) -> None:
    client = add_client(desk, '<script>alert("x")</script>', 10**9)
    for path in ("/", f"/budgets/{client.budget.budget_id}/cap"):
        page = owner.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_what_is_vendored_is_what_was_published() -> None:
    for one in json.loads((rendering.STATIC / "vendored.json").read_text()):
        content = (rendering.STATIC / one["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == one["sha256"], one["file"]
        assert (rendering.STATIC / one["licence_file"]).exists()


def test_static_files_are_kept_for_ever_and_nothing_else_is_served(owner: Browser) -> None:
    answer = owner.get(rendering.asset("desk.css"))
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    for name in ("vendored.json", "..%2frendering.py", "none.css", "htmx-licence.txt"):
        assert owner.get(f"/static/x/{name}").status_code == 404


def test_no_two_routes_take_the_same_path() -> None:
    assert len({(type(route), route.path) for route in ROUTES}) == len(ROUTES)
