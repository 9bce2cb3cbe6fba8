"""The first page with many clients: it shows a page of them, and still counts and sums all."""

import html
import re

import pytest

from control_plane import limits
from tests.control_plane.desk import USD, Desk
from tests.control_plane.web.agency import add_client, roll_up, spend
from tests.control_plane.web.conftest import Browser


def rows_of(text: str) -> list[str]:
    return re.findall(r'data-row data-name="([^"]+)"', text)


def links_of(text: str) -> dict[str, str]:
    found = re.findall(r'rel="(prev|next)" href="([^"]+)"', text)
    return {rel: href.replace("&amp;", "&") for rel, href in found}


@pytest.fixture
def seven(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Seven clients, each nearer its cap than the one before; the last two are stopped."""
    monkeypatch.setattr(limits, "DESK_ROWS", 3)
    names = [f"{kind} {number}" for number, kind in enumerate(["Dental", "Law"] * 3 + ["Dental"])]
    for number, name in enumerate(names):
        client = add_client(desk, name, 100 * USD)
        spend(desk, client, min(100, 40 + 12 * number) * USD)
        roll_up(desk, client, 5, (number + 1) * USD)
    return names


def test_pages_have_each_client_once_the_most_urgent_first(
    owner: Browser, seven: list[str]
) -> None:
    path, shown, tiles = "/", [], set()
    while path:
        page = owner.get(path).text
        shown.append(rows_of(page))
        tiles |= set(re.findall(r'id="tile-\w+">.*?</section>', page, re.DOTALL))
        path = links_of(page).get("next", "")
    assert [name for names in shown for name in names] == [*seven[:4:-1], *seven[4::-1]]
    assert [len(names) for names in shown] == [3, 3, 1]
    # What is said of all clients is the same on each page.
    assert len(tiles) == 4
    assert links_of(owner.get("/?page=3").text) == {"prev": "/?page=2"}


def test_a_search_is_kept_from_page_to_page(owner: Browser, seven: list[str]) -> None:
    first = owner.get("/?name=dental").text
    assert rows_of(first) == ["Dental 6", "Dental 4", "Dental 2"]
    assert links_of(first) == {"next": "/?name=dental&page=2"}
    assert rows_of(owner.get("/?name=dental&page=2").text) == ["Dental 0"]
    # A page that is not there any more is the last one; what is no page is refused.
    assert rows_of(owner.get("/?name=dental&page=9").text) == ["Dental 0"]
    assert owner.get("/?page=two").status_code == 422


def test_a_press_stays_on_its_page(desk: Desk, owner: Browser, seven: list[str]) -> None:
    page = owner.get("/?name=dental&page=2").text
    raised = re.findall(r'action="(/budgets/[^"]+/cap)"', page)[0]
    assert owner.press(raised, page).headers["location"] == "/?name=dental&page=2"
    # What is said of an old page is said on it too, and once.
    stale = f"/?name=dental&page=2&stale={raised.split('/')[2]}"
    assert owner.press(raised, page).headers["location"] == stale
    told = owner.get(stale).text
    assert "Nothing was changed again." in told
    assert rows_of(told) == ["Dental 0"]
    undone = owner.press(raised.replace("/cap", "/undo"), told)
    assert undone.headers["location"] == "/?name=dental&page=2"


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "", "/\\x"])
def test_a_press_never_leads_to_another_site(
    desk: Desk, owner: Browser, seven: list[str], back: str
) -> None:
    page = owner.get("/").text
    raised = re.findall(r'action="(/budgets/[^"]+/cap)"', page)[0]
    answer = owner.post(raised, back=back, etag="old", cap="1", holds="period", reason="")
    assert answer.headers["location"].startswith(("/?", "/%5Cx?"))


def test_a_client_is_offered_by_few_and_named_by_many(owner: Browser, seven: list[str]) -> None:
    for path in ("/keys", "/calls", "/settings"):
        page = owner.get(path).text
        assert "<datalist" not in page
        assert "Dental 0" not in page.partition("<form")[2].partition("</form>")[0]
    made = owner.post("/keys", client="dental 2", name="till")
    assert "Key till" in made.text
    assert ">till<" in owner.get("/keys?client=Dental 2").text
    assert ">till<" not in owner.get("/keys?client=Dental 4").text
    unknown = owner.get("/calls?client=Law")
    assert unknown.status_code == 422
    assert "no client is called 'Law': 'Law 1', 'Law 3', 'Law 5'?" in html.unescape(unknown.text)


def test_a_small_agency_is_offered_its_clients(desk: Desk, owner: Browser) -> None:
    add_client(desk, "Acme & Sons", 100 * USD)
    offered = '<datalist id="known"><option value="Acme &amp; Sons"></option></datalist>'
    assert all(offered in owner.get(path).text for path in ("/keys", "/calls", "/settings"))


def test_of_very_many_stopped_clients_some_are_told_above_the_list(
    owner: Browser, seven: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert owner.get("/").text.count("is stopped at its") == 2
    monkeypatch.setattr(limits, "DESK_STRIPS_MAX", 1)
    page = owner.get("/").text
    assert page.count("is stopped at its") == 1
    assert "1 more budget is stopped" in page
