"""Who gets in, how, for how long, and what no other site can do in his name."""

from collections.abc import Callable
from html import unescape

import pytest

from control_plane import limits
from control_plane.core.pages import Asked
from control_plane.core.principals import Role
from control_plane.store import sessions as session_store
from control_plane.usecases import overview, principals, sessions
from protos.values import keys
from tests.control_plane.desk import HOUR_MS, Desk
from tests.control_plane.web.agency import add_client
from tests.control_plane.web.conftest import ORIGIN, Browser, browser_of

CREDENTIAL = {"credential": "bursar_at_wrong"}


def test_a_token_signs_in_and_its_end_signs_out(desk: Desk, owner: Browser) -> None:
    assert owner.get("/").status_code == 200
    made = desk.do(lambda tx, act: principals.create_principal(tx, "Dana", Role.OPERATOR, act))
    dana = Browser(desk)
    assert dana.enter(made[1]).headers["location"] == "/"
    assert "Dana" in dana.get("/").text
    desk.do(lambda tx, act: principals.revoke_token(tx, made[0].tokens[0].token_id, act))
    assert dana.get("/").headers["location"] == "/sign-in"


def test_a_link_signs_in_once_and_looking_at_it_does_not(
    desk: Desk, browser: Browser, link: Callable[[], str]
) -> None:
    path = f"/sign-in/{link()}"
    for _ in range(3):
        assert "signs you in once" in browser.get(path).text
    assert browser.get("/").headers["location"] == "/sign-in"
    assert browser.ask("POST", path, headers={"origin": ORIGIN}).headers["location"] == "/"
    assert browser.get("/").status_code == 200
    again = Browser(desk).ask("POST", path, headers={"origin": ORIGIN})
    assert again.status_code == 401
    assert "this link was used" in again.text


def test_a_link_is_over_after_an_hour(
    desk: Desk, browser: Browser, link: Callable[[], str]
) -> None:
    path = f"/sign-in/{link()}"
    desk.pass_ms(limits.SIGN_IN_LINK_MS)
    assert browser.ask("POST", path, headers={"origin": ORIGIN}).status_code == 401


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(desk: Desk, owner: Browser) -> None:
    for _ in range(4):
        desk.pass_ms(11 * HOUR_MS)
        assert owner.get("/").status_code == 200, "used in time"
    desk.pass_ms(limits.SESSION_IDLE_MS)
    assert owner.get("/").status_code == 303
    owner.enter(desk.owner_token)
    for _ in range(limits.SESSION_LIFE_MS // (11 * HOUR_MS)):
        desk.pass_ms(11 * HOUR_MS)
        owner.get("/")
    desk.pass_ms(11 * HOUR_MS)
    assert owner.get("/").status_code == 303


def test_signing_in_makes_a_new_session_and_ends_the_one_before(desk: Desk, owner: Browser) -> None:
    first = owner.session
    owner.enter(desk.owner_token)
    assert owner.session != first
    assert desk.read(lambda tx: session_store.get(tx, keys.key_digest(first))) is None


def test_signing_out_ends_the_session_at_the_server(desk: Desk, owner: Browser) -> None:
    text = owner.session
    assert owner.post("/sign-out").headers["location"] == "/sign-in"
    owner.cookies.set("bursar", text)
    assert owner.get("/").status_code == 303
    page = desk.read(lambda tx: principals.list_audit_entries(tx, Asked(2), ""))
    assert [entry.method for entry in page.items] == ["SignOut", "SignIn"]


def test_a_disabled_principal_is_signed_out_everywhere(desk: Desk) -> None:
    viewer = browser_of(desk, Role.VIEWER)
    (found,) = [one for one in desk.read(principals.names).items() if one[1].startswith("viewer")]
    desk.do(lambda tx, act: principals.disable_principal(tx, found[0], "", act))
    assert viewer.get("/").headers["location"] == "/sign-in"


def test_the_database_holds_no_text_that_opens_anything(
    desk: Desk, owner: Browser, link: Callable[[], str]
) -> None:
    secrets = [owner.session, link()]
    desk.store.close()
    stored = b"".join(path.read_bytes() for path in desk.folder.glob("control_plane.db*"))
    assert not [text for text in secrets if text.encode() in stored]


def test_the_cookie_is_for_this_host_alone_and_no_script_reads_it(desk: Desk) -> None:
    said = Browser(desk).enter(desk.owner_token).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(said.split("; "))
    assert "Domain" not in said
    safe = Browser(desk, secure=True)
    answer = safe.ask(
        "POST",
        "/sign-in",
        data={"credential": desk.owner_token},
        headers={"origin": "https://desk.test"},
    )
    assert answer.headers["set-cookie"].startswith("__Host-bursar=")
    assert "Secure" in answer.headers["set-cookie"].split("; ")
    assert answer.headers["strict-transport-security"]


def test_a_proxy_that_changes_the_host_is_named_with_its_setting(desk: Desk) -> None:
    sent = {"origin": "https://desk.agency.test", "sec-fetch-site": "same-origin"}
    answer = Browser(desk).ask("POST", "/sign-in", data={"credential": "x"}, headers=sent)
    assert answer.status_code == 403
    assert "--web-url" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": "https://desk.test"},
        {"origin": "http://desk.test.evil.test"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "", "sec-fetch-site": "cross-site"},
        {"origin": "", "sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_a_form_of_another_site_is_refused(
    desk: Desk, owner: Browser, headers: dict[str, str]
) -> None:
    client = add_client(desk, "Acme", 10**9)
    path = f"/budgets/{client.budget.budget_id}/cap"
    refused = owner.post(path, headers, etag="v1", cap="9", holds="good")
    assert refused.status_code == 403
    assert owner.ask("POST", "/sign-in", data=CREDENTIAL, headers=headers).status_code == 403


def test_a_form_needs_what_only_a_page_of_its_session_has(desk: Desk, owner: Browser) -> None:
    client = add_client(desk, "Acme", 10**9)
    path = f"/budgets/{client.budget.budget_id}/cap"
    other = browser_of(desk, Role.OWNER)
    page = other.get(path).text
    stolen = page.partition('name="proof" value="')[2].partition('"')[0]
    for proof in ("", "x", stolen):
        refused = owner.post(path, proof=proof, etag="v1", cap="9", holds="good")
        assert refused.status_code == 403
    assert owner.post(path, etag="v1", cap="9", holds="good").status_code == 303


def test_attempts_are_bounded_and_told_apart_by_nothing(desk: Desk, browser: Browser) -> None:
    unknown = keys.make_key(keys.ADMIN_TOKEN, bytes(24))
    for _ in range(limits.ADDRESS_ATTEMPTS_MAX):
        assert browser.enter(unknown).status_code == 401
    assert browser.enter(desk.owner_token).status_code == 409
    desk.pass_ms(limits.SIGN_IN_WINDOW_MS + 1)
    assert browser.enter(desk.owner_token).status_code == 303


def test_strangers_lock_nobody_out_who_has_a_link(
    desk: Desk, browser: Browser, link: Callable[[], str]
) -> None:
    """Behind a proxy all of them share an address."""
    unknown = keys.make_key(keys.ADMIN_TOKEN, bytes(24))
    wrong = keys.make_key(keys.SIGN_IN_LINK, bytes(24))
    for _ in range(limits.ADDRESS_ATTEMPTS_MAX + 1):
        told = browser.enter(unknown)
        assert browser.get(f"/sign-in/{wrong}").status_code == 401
        assert browser.ask("POST", f"/sign-in/{wrong}", headers={"origin": ORIGIN}).is_error
    assert "`bursar desk` for a link" in unescape(told.text)
    path = f"/sign-in/{link()}"
    assert browser.get(path).status_code == 200
    assert browser.ask("POST", path, headers={"origin": ORIGIN}).headers["location"] == "/"


def test_what_opens_nothing_takes_no_place_among_the_writers(desk: Desk, browser: Browser) -> None:
    before = desk.read(overview.change_no)
    for kind, path in ((keys.SIGN_IN_LINK, "/sign-in/"), (keys.SHARE_LINK, "/share/")):
        wrong = path + keys.make_key(kind, bytes(24))
        for method in ("GET", "POST"):
            browser.ask(method, wrong, headers={"origin": ORIGIN})
    assert desk.read(overview.change_no) == before


def test_no_secret_of_an_address_is_led_into_clear_text(
    desk: Desk, link: Callable[[], str]
) -> None:
    """A proxy with the certificate asks in clear text, and that is how it would be led back."""
    safe = Browser(desk, secure=True)
    answer = safe.get(f"/sign-in/{link()}/")
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize(
    "wanted", ["//evil.test", "https://evil.test", "/\\evil.test", "x", "/\n/x"]
)
def test_signing_in_leads_to_no_other_site(desk: Desk, browser: Browser, wanted: str) -> None:
    answer = browser.ask(
        "POST",
        "/sign-in",
        data={"credential": desk.owner_token, "next": wanted},
        headers={"origin": ORIGIN},
    )
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("POST", "/"), ("PUT", "/keys"), ("GET", "/sign-out")]
)
def test_a_path_that_leads_nowhere_is_a_page_with_a_way_back(
    owner: Browser, method: str, path: str
) -> None:
    answer = owner.ask(method, path, headers={"origin": ORIGIN})
    assert answer.status_code == 404
    assert "no such page" in answer.text
    assert 'href="/"' in answer.text


def test_another_name_for_this_server_is_refused(browser: Browser) -> None:
    assert browser.get("/sign-in", headers={"host": "evil.test"}).status_code == 421
    assert browser.get("/sign-in", headers={"host": "desk.test:7241"}).status_code == 200


def test_sessions_and_links_of_one_principal_are_bounded(
    desk: Desk, owner: Browser, link: Callable[[], str]
) -> None:
    desk.pass_ms(1)
    for _ in range(limits.PRINCIPAL_SESSIONS_MAX):
        Browser(desk).enter(desk.owner_token)
        desk.pass_ms(1)
    assert owner.get("/").status_code == 303, "the oldest went"
    first = link()
    for _ in range(limits.PRINCIPAL_LINKS_MAX):
        link()
    assert Browser(desk).get(f"/sign-in/{first}").status_code == 401


def test_nobody_makes_a_link_for_more_than_he_is(desk: Desk) -> None:
    operator = desk.principal("Olga", Role.OPERATOR)
    answer: list[str] = []
    try:
        desk.do(
            lambda tx, act: sessions.create_sign_in_link(tx, desk.owner.principal_id, act), operator
        )
    except Exception as error:  # noqa: BLE001 - its type is the claim
        answer.append(type(error).__name__)
    assert answer == ["PermissionDeniedError"]
