"""A client without calls is told how to make its first, and then what that cost."""

import re

import pytest

from control_plane import limits
from control_plane.core.ledger import RollupKey, RollupSum
from control_plane.core.principals import Role
from control_plane.core.rate_cards import RateCard
from control_plane.store import rollups
from control_plane.usecases import rate_cards
from protos.values import ids
from protos.values.recipes import KEY_PLACEHOLDER
from tests.control_plane.desk import NOON, USD, Desk
from tests.control_plane.usecases.test_totals import forget_spans
from tests.control_plane.web.agency import BUCKET_MS, Client, add_client, log_call
from tests.control_plane.web.conftest import Browser, browser_of


def test_settings_are_shown_until_the_first_call_takes_their_place(
    desk: Desk, owner: Browser
) -> None:
    client = add_client(desk, "New Client", 300 * USD)
    path = f"/clients/{client.id}"
    waiting = owner.get(path).text
    assert "Waiting for the first call" in waiting
    assert KEY_PLACEHOLDER in waiting
    for tool in ("n8n_openai", "make", "zapier", "curl"):
        assert f'id="recipe-{tool}"' in waiting
    call_id = ids.make_id(ids.CALL, NOON, bytes(10))
    log_call(desk, client, call_id)
    called = owner.get(path).text
    assert "Waiting for the first call" not in called
    assert KEY_PLACEHOLDER not in called
    assert f"/calls/{call_id}" in called


def by_workflow(desk: Desk, client: Client, costs: dict[str, tuple[int, int]]) -> None:
    """Have workflows cost and be charged so many dollars just now."""
    at = desk.now // BUCKET_MS * BUCKET_MS
    sums = {
        RollupKey(at, client.id, client.key_id, workflow, model, "openai", "ok"): RollupSum(
            call_count=1, cost_nano_usd=cost * USD, charge_nano_usd=charge * USD
        )
        for workflow, (cost, charge) in costs.items()
        for model in ("gpt-4o", "gpt-4o-mini")
    }
    desk.do_alone(lambda tx: rollups.add(tx, sums))


@pytest.mark.parametrize("summed", ["spans", "days", "quarters"])
def test_a_client_of_very_many_workflows_has_them_by_pages(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, summed: str
) -> None:
    client = add_client(desk, "Acme Dental", 1000 * USD)
    add_client(desk, "Bolt Logistics", 1000 * USD)
    names = [f"w{number}" for number in range(8)]
    by_workflow(desk, client, {name: (9 - n, 10 + n) for n, name in enumerate(names)})
    if summed == "days":
        desk.do_alone(forget_spans)
    if summed == "quarters":
        desk.do_alone(lambda tx: rollups.drop_days(tx, client.id))
    monkeypatch.setattr(limits, "DESK_ROWS", 3)
    monkeypatch.setattr(limits, "USAGE_ROWS_MAX", 4)
    browser = browser_of(desk, Role.VIEWER)
    shown: list[str] = []
    for page, many in ((1, 3), (2, 3), (3, 2), (99, 2)):
        text = browser.get(f"/clients/{client.id}?page={page}").text
        found = re.findall(r'id="workflow-\d+" data-row data-name="(\w+)"', text)
        assert len(found) == many
        shown += found if page < 99 else []
        assert "$88.00" in text
    assert shown == names
    text = browser.get(f"/clients/{client.id}/workflows/w2").text
    assert text.count('title="$7.00"') == 2
    assert "$14.00" in text
    assert browser.get(f"/clients/{client.id}/workflows/w9").status_code == 404


def test_a_client_sees_its_workflows_by_what_it_is_charged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = add_client(desk, "Acme Dental", 1000 * USD)
    card = RateCard(client.id, "", 0, markup_ppm=200_000)
    desk.do(lambda tx, act: rate_cards.set_rate_card(tx, card, None, "", act))
    by_workflow(desk, client, {"dear": (9, 10), "charged": (1, 50), "small": (1, 2)})
    monkeypatch.setattr(limits, "DESK_ROWS", 2)
    pages = [
        browser_of(desk, Role.CLIENT, client.id).get(f"/clients/{client.id}?page={page}").text
        for page in (1, 2)
    ]
    names = [re.findall(r'class="name"><span>(\w+)</span>', page) for page in pages]
    assert names == [["charged", "dear"], ["small"]]
