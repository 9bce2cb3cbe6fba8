"""A draft is looked at, noted and approved at the desk; a page that is old approves nothing."""

import re

import pytest

from control_plane.core.statements import State
from control_plane.store import statements as store
from control_plane.store.statements import Settings
from control_plane.usecases import statements
from tests.control_plane.desk import Desk
from tests.control_plane.usecases.test_statements import at, book, build, client, set_price, used
from tests.control_plane.web.conftest import Browser


@pytest.fixture
def draft(desk: Desk) -> str:
    set_price(desk)
    project = client(desk, "Pacific/Auckland", "Acme Dental")
    book(desk, *(used(n, project, at("Pacific/Auckland", "2026-10-20T12:00:00")) for n in range(3)))
    return build(desk, project, "2026-10").statement_id


def state_of(desk: Desk, statement_id: str) -> State:
    kept = desk.read(lambda tx: store.get(tx, statement_id))
    assert kept is not None
    return kept.state


def sha256_in(page: str) -> str:
    found = re.search(r'name="sha256" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_a_draft_is_noted_approved_and_sent(desk: Desk, draft: str, owner: Browser) -> None:
    assert "1 draft to look at" in owner.get("/statements").text
    old = sha256_in(owner.get(f"/statements/{draft}").text)
    owner.post(f"/statements/{draft}/note", note="All went <well>.")
    page = owner.get(f"/statements/{draft}").text
    assert "All went &lt;well&gt;." in page
    assert owner.post(f"/statements/{draft}/approve", sha256=old).status_code == 409
    assert state_of(desk, draft) is State.DRAFT
    assert owner.post(f"/statements/{draft}/approve", sha256=sha256_in(page)).status_code == 303
    assert state_of(desk, draft) is State.APPROVED
    assert "Send now" not in owner.get(f"/statements/{draft}").text, "nobody is named"
    kept = desk.read(lambda tx: statements.get_statement(tx, draft))
    wanted = Settings(kept.project_id, recipients=("dana@acme.example",))
    desk.do(lambda tx, act: statements.set_statement_settings(tx, wanted, act))
    assert "Send now" in owner.get(f"/statements/{draft}").text
    assert owner.post(f"/statements/{draft}/send").status_code == 303
    due = desk.read(lambda tx: store.due(tx, desk.now, 10))
    assert [one.statement_id for one in due] == [draft]


@pytest.mark.parametrize(
    ("form", "kind", "begins"),
    [
        ("pdf", "application/pdf", b"%PDF"),
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("csv", "text/csv; charset=utf-8", b"month,client"),
        ("focus", "text/csv; charset=utf-8", b"BilledCost,"),
        ("json", "application/json", b"{"),
    ],
)
def test_a_statement_is_kept_in_every_form(
    draft: str, owner: Browser, form: str, kind: str, begins: bytes
) -> None:
    answer = owner.get(f"/statements/{draft}/file/{form}")
    assert answer.headers["content-type"] == kind
    assert answer.content.lstrip().startswith(begins)
    how = "inline" if form == "pdf" else "attachment"
    assert answer.headers["content-disposition"].startswith(
        f'{how}; filename="statement-2026-10-v1'
    )
    assert owner.get(f"/statements/{draft}/file/docx").status_code == 422
