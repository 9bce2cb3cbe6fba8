"""What a client sees of itself by a link: its own month, no word of others, and not for ever."""

import re

import pytest

from control_plane import limits
from control_plane.core.rate_cards import RateCard
from control_plane.core.share_links import ShareLink
from control_plane.store import share_links as store
from control_plane.usecases import projects, rate_cards, share_links
from protos.values import keys
from tests.control_plane.desk import DAY_MS, Desk
from tests.control_plane.web.agency import Client, settle_in
from tests.control_plane.web.conftest import Browser


@pytest.fixture
def acme(desk: Desk) -> Client:
    return settle_in(desk)["Acme Dental Group"]


def share(desk: Desk, client: Client) -> tuple[ShareLink, str]:
    link, secret = desk.do(lambda tx, act: share_links.create_share_link(tx, client.id, None, act))
    return link, f"/share/{secret}"


def test_a_link_shows_one_client_and_no_word_of_others(
    desk: Desk, acme: Client, browser: Browser
) -> None:
    _, path = share(desk, acme)
    answer = browser.get(path)
    assert answer.status_code == 200
    assert "Acme Dental Group" in answer.text
    assert "lead enrichment" in answer.text
    strangers = ["Bolt", "Cedar", "Dune", "Fjord", "owner", "Bursar</", "bgt_", "key_", "usr_"]
    assert not [word for word in strangers if word in answer.text]
    links = set(re.findall(r'(?:href|action|src)="([^"]*)"', answer.text))
    assert all(link.startswith(("/static/", "#")) for link in links), links
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert "set-cookie" not in answer.headers


def test_who_is_charged_by_a_rate_card_never_sees_what_it_costs(
    desk: Desk, acme: Client, browser: Browser
) -> None:
    card = RateCard(acme.id, "", 0, markup_ppm=300_000)
    desk.do(lambda tx, act: rate_cards.set_rate_card(tx, card, None, "", act))
    page = browser.get(share(desk, acme)[1]).text
    assert "Charged so far" in page
    assert "$200" not in page, "the cap is one of cost"
    assert '<svg class="chart"' not in page


def test_a_link_opens_nothing_else(desk: Desk, acme: Client, browser: Browser) -> None:
    path = share(desk, acme)[1]
    browser.get(path)
    for other in ("/", f"/clients/{acme.id}", "/calls", "/keys", "/events"):
        assert browser.get(other).status_code in {303, 401}, other


def test_it_is_over_after_its_time_or_when_it_is_ended(
    desk: Desk, acme: Client, owner: Browser
) -> None:
    link, path = share(desk, acme)
    reader = Browser(desk)
    assert reader.get(path).status_code == 200
    owner.press(f"/share-links/{link.link_id}/revoke", owner.get(f"/clients/{acme.id}").text)
    assert reader.get(path).status_code == 404
    _, path = share(desk, acme)
    desk.pass_ms(limits.SHARE_LINK_DEFAULT_MS - 1 - DAY_MS)
    assert reader.get(path).status_code == 200
    desk.pass_ms(DAY_MS + 1)
    assert reader.get(path).status_code == 404


def test_it_ends_with_the_client(desk: Desk, acme: Client, browser: Browser) -> None:
    _, path = share(desk, acme)
    desk.do(lambda tx, act: projects.archive_project(tx, acme.id, "they left", act))
    assert browser.get(path).status_code == 404


def test_looks_are_counted_and_the_secret_is_nowhere(
    desk: Desk, acme: Client, browser: Browser
) -> None:
    link, path = share(desk, acme)
    for _ in range(3):
        browser.get(path)
    kept = desk.read(lambda tx: store.get(tx, link.link_id))
    assert kept is not None
    assert (kept.view_count, kept.viewed_unix_ms) == (3, desk.now)
    desk.store.close()
    stored = b"".join(file.read_bytes() for file in desk.folder.glob("control_plane.db*"))
    assert path.removeprefix("/share/").encode() not in stored


def test_who_guesses_finds_nothing_and_takes_no_page_from_others(
    desk: Desk, acme: Client, browser: Browser
) -> None:
    wrong = keys.make_key(keys.SHARE_LINK, bytes(24))
    for _ in range(limits.ADDRESS_ATTEMPTS_MAX + 1):
        assert browser.get(f"/share/{wrong}").status_code == 404
    assert browser.get(share(desk, acme)[1]).status_code == 200


def test_a_link_is_made_at_the_desk_and_shown_once(
    desk: Desk, acme: Client, owner: Browser
) -> None:
    page = owner.press(f"/clients/{acme.id}/share", owner.get(f"/clients/{acme.id}").text)
    path = re.search(r"/share/bursar_sh_\w+", page.text)
    assert path is not None
    assert Browser(desk).get(path[0]).status_code == 200
    assert path[0] not in owner.get(f"/clients/{acme.id}").text
    assert "1 view" in owner.get(f"/clients/{acme.id}").text
