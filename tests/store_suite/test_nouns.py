"""What people administer, as every store must keep it: whole, unique where it says so, in order."""

from dataclasses import replace
from functools import partial

import pytest

from control_plane.core.budgets import Budget, CapChange
from control_plane.core.built_in_prices import BOOK
from control_plane.core.joining import JoinToken
from control_plane.core.keys import Key, KeySecret
from control_plane.core.pages import Slice
from control_plane.core.prices import Price
from control_plane.core.principals import AdminToken, AuditEntry, Principal, Role
from control_plane.core.projects import Project, ProjectState
from control_plane.core.providers import Provider, SealedSecret
from control_plane.store import (
    audit,
    budgets,
    join_tokens,
    keys,
    prices,
    principals,
    projects,
    providers,
    requests,
)
from control_plane.store.engine import ConflictError, Store, Tx
from control_plane.store.requests import Request
from protos.values import keys as texts
from protos.values.money import MONEY_MAX_NANO_USD
from protos.values.selectors import Selector

PROJECT = Project("prj_1", "Zahnärzte Süd", "Europe/Berlin", ProjectState.ACTIVE, 20_000, 1, 1, 1)
SECRET = KeySecret("sec_1", "key_1", b"d" * 32, "bursar_pk_…abcd", 2, expires_unix_ms=9)
KEY = Key("key_1", "prj_1", "n8n", ("gpt-4o",), "lead", (SECRET,), 2, None, 1)
BUDGET = Budget(
    budget_id="bgt_1",
    display_name="monthly",
    selector=Selector("prj_1", "key_1", "lead", "gpt-4o", "eu"),
    split_by="",
    window="week",
    time_zone="Asia/Kathmandu",
    anchor_day=7,
    cap_nano_usd=MONEY_MAX_NANO_USD,
    cap_version=1,
    max_offline_ms=300_000,
    offline_until_unix_ms=3,
    created_unix_ms=4,
    archived_unix_ms=None,
    version=1,
)
CHANGE = CapChange("bgt_1", 1, "", None, MONEY_MAX_NANO_USD, "usr_1", "first", 4)
TOKEN = AdminToken("tok_1", "usr_1", b"t" * 32, "bursar_at_…wxyz", 5)
OWNER = Principal("usr_1", "Owner", Role.OWNER, 5, tokens=(TOKEN,))
PROVIDER = Provider("openai", "openai", "https://api.openai.com", "wxyz", 1, 6, 1)
ALL = Slice(None, 100)


def fill(tx: Tx) -> None:
    projects.insert(tx, PROJECT)
    keys.insert(tx, KEY)
    budgets.insert(tx, BUDGET)
    budgets.insert_change(tx, CHANGE)
    principals.insert(tx, OWNER)
    providers.put(tx, PROVIDER, SealedSecret("kek_1", b"\x00\xff"))
    for price in BOOK:
        prices.insert(tx, Price(price, 0, "built in"), 7)


@pytest.fixture
def filled(store: Store) -> Store:
    store.write(fill).result()
    return store


def test_everything_is_read_as_it_was_written(filled: Store) -> None:
    def look(tx: Tx) -> None:
        assert projects.get(tx, "prj_1") == PROJECT
        assert projects.by_name(tx, "ZAHNÄRZTE SÜD") == PROJECT
        assert keys.get(tx, "key_1") == KEY
        assert keys.page(tx, ALL, project_id="", show_revoked=False) == [KEY]
        assert budgets.get(tx, "bgt_1") == BUDGET
        assert budgets.cap_in_force(tx, "bgt_1", "2026-11-01") == MONEY_MAX_NANO_USD
        assert budgets.changes_page(tx, ALL, budget_id="bgt_1") == [CHANGE]
        assert principals.get(tx, "usr_1") == OWNER
        assert principals.token_by_digest(tx, TOKEN.digest) == TOKEN
        assert providers.get(tx, "openai") == PROVIDER
        assert providers.secret_of(tx, "openai") == SealedSecret("kek_1", b"\x00\xff")
        stored = {p.name: p.model_price for p in prices.everything(tx)}
        assert stored == {(p.provider, p.model): p for p in BOOK}

    filled.read(look).result()


@pytest.mark.parametrize(
    "twice",
    [
        partial(projects.insert, project=replace(PROJECT, project_id="prj_2")),
        partial(projects.insert, project=replace(PROJECT, display_name="other")),
        partial(keys.insert_secret, secret=replace(SECRET, secret_id="sec_2")),
        partial(budgets.insert_change, change=CHANGE),
        partial(principals.insert, principal=replace(OWNER, principal_id="usr_2", tokens=())),
        partial(principals.insert_token, token=replace(TOKEN, token_id="tok_2")),
    ],
    ids=["project name", "project id", "digest", "cap version", "principal name", "token digest"],
)
def test_what_must_be_unique_is(filled: Store, twice: partial[None]) -> None:
    with pytest.raises(ConflictError):
        filled.write(twice).result()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budget SET cap_nano_usd = -1",
        "UPDATE budget SET anchor_day = 32",
        "UPDATE cap_change SET new_cap_nano_usd = -1",
        "UPDATE project SET state = 'GONE'",
        "UPDATE principal SET role = 'king'",
        "UPDATE key_secret SET digest = 'short'",
        "UPDATE provider SET deleted_unix_ms = 1",
        "UPDATE price SET input_max_count = 0",
    ],
)
def test_the_schema_refuses_what_cannot_be(filled: Store, statement: str) -> None:
    with pytest.raises(ConflictError):
        filled.write(lambda tx: tx.run(statement)).result()


def test_an_update_of_an_older_version_is_our_mistake(filled: Store) -> None:
    newer = replace(PROJECT, display_name="new", version=2)
    filled.write(lambda tx: projects.update(tx, newer)).result()
    with pytest.raises(AssertionError):
        filled.write(lambda tx: projects.update(tx, newer)).result()


def test_the_trail_counts_without_a_gap(store: Store) -> None:
    entry = AuditEntry(0, 1, "usr_1", "SetCap", "bgt_1", "prj_1", "{}", "r")
    futures = [store.write(lambda tx: audit.append(tx, entry)) for _ in range(50)]
    positions = [future.result().position for future in futures]
    assert sorted(positions) == list(range(1, 51))
    page = store.read(lambda tx: audit.page(tx, Slice((40,), 5), project_id="prj_1")).result()
    assert [found.position for found in page] == [39, 38, 37, 36, 35]


def test_requests_are_kept_by_principal_and_forgotten_by_age(store: Store) -> None:
    made = [Request(f"usr_{n}", "same", "SetCap", b"h" * 32, b"\x00a", n) for n in (1, 2)]
    for request in made:
        store.write(partial(requests.insert, request=request)).result()
    assert store.read(lambda tx: requests.get(tx, "usr_2", "same")).result() == made[1]
    with pytest.raises(ConflictError):
        store.write(partial(requests.insert, request=made[0])).result()
    assert store.write(lambda tx: requests.forget_before(tx, 2)).result() == 1
    assert store.read(lambda tx: requests.get(tx, "usr_1", "same")).result() is None


def test_a_join_token_is_used_once(store: Store) -> None:
    text = texts.make_key(texts.JOIN_TOKEN, bytes(24))
    token = JoinToken("tok_1", texts.key_digest(text), ("prj_1",), "eu", "usr_1", 1, 9)
    store.write(lambda tx: join_tokens.insert(tx, token)).result()
    found = store.write(lambda tx: join_tokens.redeem(tx, text, b"c" * 32, 5)).result()
    assert found == token
    use = partial(
        join_tokens.use, token=token, credential_digest=b"c" * 32, sidecar_id="s", now_unix_ms=5
    )
    store.write(use).result()
    with pytest.raises(AssertionError):
        store.write(use).result()
