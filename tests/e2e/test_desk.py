"""The desk in a real Chromium, over a real control plane, sidecar and provider.

Pictures of what was seen are kept in `.pictures`, for people to look at.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protos.bursar.admin import v1 as admin
from tests.e2e.chromium import Chromium, Tab
from tests.e2e.stand import Client, Stand

CENT = 10_000_000
PICTURES = Path(__file__).resolve().parents[2] / ".pictures"
CALL: Any = {
    "model": "rehearsal-cent",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "[rehearse reply_tokens=10] Say something."}],
}
PLAIN_PAGES = (
    *("alerts", "calls", "keys", "prices", "statements", "review", "models"),
    *("playbook", "sidecars", "settings"),
)
STOPPED = "document.querySelector('.strip.bad')"
RAISED = "document.querySelector('#clients .done')?.innerText.includes('Raised to $0.13')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Tab]:
    opened = Tab(browser)
    opened.screen(1240, 820)
    yield opened
    opened.close()
    assert not opened.troubles


def call(stand: Stand, client: Client) -> int:
    """Make a call that costs a cent; its status."""
    return stand.call("one", client, CALL)


def stop_a_client(stand: Stand) -> Client:
    """Two clients, of which one has spent its last cent and was refused a call."""
    stand.add_client("Bolt Logistics", 500 * CENT)
    acme = stand.add_client("Acme Dental", 10 * CENT, workflow="lead enrichment")
    stand.start_sidecar("one")
    assert [call(stand, acme) for _ in range(10)] == [200] * 10
    assert call(stand, acme) == 402
    return acme


def sign_in(stand: Stand, tab: Tab) -> None:
    """Open a one-time link and press its button by the keyboard."""
    made = stand.bursar.ask(
        stand.bursar.principals.CreateSignInLink,
        admin.CreateSignInLinkRequest(request_id=stand.request_id()),
    )
    tab.go(f"{made.desk_url}/sign-in/{made.secret}")
    tab.until("document.activeElement.tagName === 'BUTTON'")
    tab.key("Enter")
    tab.until(STOPPED)


def cap_cents(stand: Stand, client: Client) -> int:
    cap: int = stand.budget(client.budget_id).current_period.cap_nano_usd
    return cap // CENT


def changes(stand: Stand, client: Client) -> int:
    version: int = stand.budget(client.budget_id).current_period.cap_version
    return version


def test_a_stopped_client_is_raised_in_one_press_and_its_next_call_passes(
    stand: Stand, tab: Tab
) -> None:
    acme = stop_a_client(stand)
    sign_in(stand, tab)
    tab.until(f"{STOPPED}.innerText.includes('1 call was refused')")
    tab.picture(PICTURES / "stopped.png")
    rows = tab.js("[...document.querySelectorAll('[data-row]')].map((r) => r.dataset.name)")
    assert rows == ["Acme Dental", "Bolt Logistics"]
    # A double click is two presses of the same button.
    tab.press(".strip.bad [data-raise] button", times=2)
    tab.until(RAISED)
    assert call(stand, acme) == 200
    assert (cap_cents(stand, acme), changes(stand, acme)) == (13, 2)
    tab.until("document.querySelector('.strip.good').innerText.includes('live at 1 of 1')")
    tab.picture(PICTURES / "raised.png")
    tab.press(".strip.good [action$='/undo'] button")
    tab.until("document.querySelector('.strip.good').innerText.includes('$0.13 → $0.10')")
    assert (cap_cents(stand, acme), changes(stand, acme)) == (10, 3)
    assert call(stand, acme) == 402


def test_the_same_by_the_keyboard_alone(stand: Stand, tab: Tab) -> None:
    acme = stop_a_client(stand)
    sign_in(stand, tab)
    tab.key("/")
    tab.write("acme")
    tab.until("document.querySelectorAll('[data-row]:not([hidden])').length === 1")
    tab.key("Enter", "r")
    tab.until("document.querySelector('dialog[open] #set-cap button') === document.activeElement")
    tab.picture(PICTURES / "keyboard.png")
    tab.key("Enter")
    tab.until(RAISED)
    assert call(stand, acme) == 200
    assert changes(stand, acme) == 2
    tab.key("?")
    tab.until("document.querySelector('#keys[open]')")
    tab.key("Escape", "j")
    tab.until("document.activeElement.closest('[data-row]').dataset.name === 'Acme Dental'")


def test_an_old_page_raises_nothing_and_an_open_one_hears_of_it(stand: Stand, tab: Tab) -> None:
    acme = stop_a_client(stand)
    sign_in(stand, tab)
    tab.until("document.querySelector('#live').innerText === 'live'")
    tab.js("document.querySelector('[data-row] [data-open]').focus()")
    focused = tab.js("document.activeElement.href")
    old = tab.js("document.querySelector('.strip.bad form').outerHTML")
    stand.set_cap(acme.budget_id, 20 * CENT, this_period_only=True)
    tab.until("document.querySelector('#clients').innerText.includes('of $0.20')", 20)
    assert tab.js("document.activeElement.href") == focused, "the focus stays"
    tab.js("document.querySelector('#main').append(document.createElement('div'))")
    tab.js(f"document.querySelector('#main').lastChild.innerHTML = {json.dumps(old)}")
    tab.js("document.querySelector('#main').lastChild.firstChild.submit()")
    tab.until("document.querySelector('#stale')")
    assert (cap_cents(stand, acme), changes(stand, acme)) == (20, 2)
    tab.picture(PICTURES / "stale.png")
    stand.stop_control_plane()
    tab.until("document.querySelector('#live').innerText.startsWith('reconnecting since')")
    tab.picture(PICTURES / "reconnecting.png")
    # An open page goes on knocking, and each knock is told in its console.
    tab.go("data:text/html,away")
    tab.troubles.clear()
    stand.start_control_plane()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_pages_fit_a_phone_and_the_night(
    stand: Stand, tab: Tab, *, phone: bool, dark: bool
) -> None:
    acme = stop_a_client(stand)
    width, height = (375, 740) if phone else (1240, 820)
    tab.screen(width, height, dark=dark, phone=phone)
    sign_in(stand, tab)
    home = tab.js("location.origin")
    pages = {
        "clients": "/",
        "client": f"/clients/{acme.project_id}",
        "cap": f"/budgets/{acme.budget_id}/cap",
        "client_playbook": f"/clients/{acme.project_id}/playbook",
        **{name: f"/{name}" for name in PLAIN_PAGES},
    }
    for name, path in pages.items():
        tab.go(home + path)
        tab.until("document.fonts.status === 'loaded'")
        # A phone whose page is too wide shows all of it, smaller: its layout says so.
        assert tab.js("document.documentElement.scrollWidth") <= width, path
        small = tab.js(
            "[...document.querySelectorAll('main button, main .button')]"
            ".filter((one) => one.offsetHeight && one.offsetHeight < 24).length"
        )
        assert not small, "what is pressed is at least 24 pixels high"
        kind = f"{name}_{'dark' if dark else 'light'}{'_phone' if phone else ''}.png"
        tab.picture(PICTURES / kind, whole=True)
