"""Gateway keys: shown once, rotated with an overlap, revoked by secret or whole."""

from functools import partial

import pytest

from control_plane.core.budgets import Budget, BudgetChange, NewBudget, SetCap
from control_plane.core.keys import Key, KeyChange
from control_plane.core.pages import Asked
from control_plane.store import keys as store
from control_plane.store.engine import Row, Tx
from control_plane.usecases import budgets, keys
from protos.values import keys as texts
from protos.values.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
)
from protos.values.selectors import Selector
from tests.control_plane.desk import DAY_MS, HOUR_MS, USD, Desk


def everywhere(tx: Tx) -> str:
    """All that the database holds, as text."""
    names = tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = [tx.rows(f"SELECT * FROM {row['name']}") for row in names]  # noqa: S608 - our own names

    def words(row: Row) -> str:
        return " ".join(str(row[name]) for name in row.keys())  # noqa: SIM118 - a row, no mapping

    return "\n".join(words(row) for rows in tables for row in rows)


def test_only_the_digest_of_a_secret_is_stored(desk: Desk) -> None:
    project, _ = desk.project()
    key, text = desk.key(project, workflow="lead-scoring")
    assert texts.is_key(text, texts.PROJECT_KEY)
    assert key.secrets[0].digest == texts.key_digest(text)
    assert key.secrets[0].hint == f"bursar_pk_…{text[-4:]}"
    stored = desk.read(everywhere)
    assert key.key_id in stored
    assert text not in stored
    assert desk.owner_token not in stored
    assert text[len(texts.PROJECT_KEY) :] not in stored


def test_a_rotation_lets_both_secrets_work_until_the_overlap_ends(desk: Desk) -> None:
    project, _ = desk.project()
    key, first = desk.key(project)
    began = desk.now
    rotated, second, overlap_end = desk.do(
        lambda tx, act: keys.rotate_key(tx, key.key_id, None, None, act)
    )
    assert (rotated.key_id, overlap_end) == (key.key_id, began + DAY_MS)
    newest, oldest = rotated.secrets
    assert (newest.digest, oldest.digest) == (texts.key_digest(second), texts.key_digest(first))
    assert newest.expires_unix_ms is None
    assert [secret.works_at(overlap_end - 1) for secret in rotated.secrets] == [True, True]
    assert [secret.works_at(overlap_end) for secret in rotated.secrets] == [True, False]


def test_an_overlap_of_nothing_ends_the_secret_at_once(desk: Desk) -> None:
    project, _ = desk.project()
    key, _ = desk.key(project)
    rotated, _, _ = desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, 0, None, act))
    assert [secret.works_at(desk.now) for secret in rotated.secrets] == [True, False]


def test_an_overlap_never_makes_a_secret_live_longer(desk: Desk) -> None:
    project, _ = desk.project()
    soon = desk.now + HOUR_MS
    key, _ = desk.key(project, expires_unix_ms=soon)
    rotated, _, _ = desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, DAY_MS, None, act))
    assert rotated.secrets[1].expires_unix_ms == soon


def test_one_secret_can_be_revoked_and_the_key_goes_on(desk: Desk) -> None:
    project, _ = desk.project()
    key, _ = desk.key(project)
    desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, DAY_MS, None, act))
    old = key.secrets[0].secret_id
    before = desk.policy_version()
    revoked, reach = desk.do(lambda tx, act: keys.revoke_key(tx, key.key_id, old, "leaked", act))
    assert [secret.works_at(desk.now) for secret in revoked.secrets] == [True, False]
    assert revoked.revoked_unix_ms is None
    assert reach.policy_version == before + 1
    with pytest.raises(NotFoundError):
        desk.do(lambda tx, act: keys.revoke_key(tx, key.key_id, "sec_nothing", "", act))


def test_a_revoked_key_is_over_for_good(desk: Desk) -> None:
    project, _ = desk.project()
    key, _ = desk.key(project)
    revoke = partial(keys.revoke_key, key_id=key.key_id, secret_id="", reason="left")
    first, _ = desk.do(lambda tx, act: revoke(tx, act=act))
    again, _ = desk.do(lambda tx, act: revoke(tx, act=act))
    assert first.revoked_unix_ms == again.revoked_unix_ms
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, None, None, act))
    change = KeyChange(display_name="x")
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: keys.update_key(tx, key.key_id, again.etag, change, act))


@pytest.mark.parametrize(
    ("narrow_cap_nano_usd", "capped", "ends_after_ms"),
    [
        # The project's capped budget covers every call of the key: with its authority all end.
        (USD, True, 375_000 + 1_000),
        # The project only counts: calls of the slow workflow can go on for longest.
        (USD, False, DAY_MS + DAY_MS // 4 + 1_000),
    ],
)
def test_a_revocation_promises_only_what_authority_bounds(
    desk: Desk, narrow_cap_nano_usd: int, capped: bool, ends_after_ms: int
) -> None:
    project, _ = desk.project(cap_nano_usd=USD if capped else None)
    narrow = NewBudget(
        selector=Selector(project_id=project.project_id, workflow="slow"),
        cap_nano_usd=narrow_cap_nano_usd,
        max_offline_ms=DAY_MS,
    )
    desk.do(lambda tx, act: budgets.create_budget(tx, narrow, "", act))
    key, _ = desk.key(project)
    now = desk.now
    _, reach = desk.do(lambda tx, act: keys.revoke_key(tx, key.key_id, "", "", act))
    assert reach.guaranteed_unix_ms == now + ends_after_ms


LONGEST_MS = DAY_MS + DAY_MS // 4 + 1_000


def revoked_until(desk: Desk, key_id: str) -> int:
    _, reach = desk.do(lambda tx, act: keys.revoke_key(tx, key_id, "", "", act))
    return reach.guaranteed_unix_ms


def covered(desk: Desk, *, project_id: str = "", max_offline_ms: int) -> Budget:
    asked = NewBudget(
        selector=Selector(project_id=project_id), cap_nano_usd=USD, max_offline_ms=max_offline_ms
    )
    return desk.do(lambda tx, act: budgets.create_budget(tx, asked, "", act)).budget


def test_a_budget_that_a_cut_off_sidecar_does_not_know_promises_nothing_yet(desk: Desk) -> None:
    project, first = desk.project()
    key, _ = desk.key(project)
    change = BudgetChange(max_offline_ms=DAY_MS)
    desk.do(lambda tx, act: budgets.update_budget(tx, first.budget_id, first.etag, change, act))
    made = desk.now
    covered(desk, project_id=project.project_id, max_offline_ms=15_000)
    desk.pass_ms(60_000)
    # A sidecar that was cut off before goes on for a day with the budget that it knows.
    assert revoked_until(desk, key.key_id) == made + LONGEST_MS
    desk.pass_ms(2 * DAY_MS)
    now = desk.now
    assert revoked_until(desk, key.key_id) == now + 18_750 + 1_000


def test_a_budget_that_was_archived_is_still_gone_by_where_it_is_known(desk: Desk) -> None:
    project, first = desk.project(cap_nano_usd=None)
    key, _ = desk.key(project)
    long = covered(desk, project_id=project.project_id, max_offline_ms=DAY_MS)
    ended = desk.now
    desk.do(lambda tx, act: budgets.archive_budget(tx, long.budget_id, "", act))
    desk.pass_ms(60_000)
    assert revoked_until(desk, key.key_id) == ended + LONGEST_MS
    desk.pass_ms(2 * DAY_MS)
    now = desk.now
    assert revoked_until(desk, key.key_id) == now + 375_000 + 1_000
    assert first.cap_nano_usd is None


def test_a_cap_that_was_taken_away_is_still_gone_by_where_it_is_known(desk: Desk) -> None:
    project, first = desk.project()
    key, _ = desk.key(project)
    change = BudgetChange(max_offline_ms=DAY_MS)
    desk.do(lambda tx, act: budgets.update_budget(tx, first.budget_id, first.etag, change, act))
    wish = SetCap(first.budget_id, None)
    taken = desk.now
    desk.do(lambda tx, act: budgets.set_cap(tx, wish, act))
    desk.pass_ms(60_000)
    assert revoked_until(desk, key.key_id) == taken + LONGEST_MS


def test_reach_counts_the_sidecars_that_receive_the_project(desk: Desk) -> None:
    project, _ = desk.project()
    other, _ = desk.project("Other")
    desk.sidecar("all")
    desk.sidecar("mine", (project.project_id,))
    desk.sidecar("theirs", (other.project_id,))
    key, _ = desk.key(project)
    _, reach = desk.do(lambda tx, act: keys.revoke_key(tx, key.key_id, "", "", act))
    assert (reach.sidecar_count, reach.acked_count) == (2, 0)


def test_models_are_kept_by_id_and_must_have_a_price(desk: Desk) -> None:
    project, _ = desk.project()
    asked = ("gpt-4o-2024-08-06", "claude-haiku-4-5", "gpt-4o")
    key, _ = desk.key(project, models=asked)
    assert key.models == ("gpt-4o", "claude-haiku-4-5")
    with pytest.raises(InvalidArgumentError) as caught:
        desk.key(project, models=("gpt-9",))
    assert caught.value.fields["field"] == "key.models"
    assert "no price for 'gpt-9'" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"workflow": "-bad"}, "key.workflow"),
        ({"workflow": "x" * 65}, "key.workflow"),
        ({"display_name": "tab\there"}, "key.display_name"),
        ({"expires_unix_ms": 1}, "expire_time"),
        ({"models": ("",)}, "key.models"),
        ({"models": tuple(f"m{n}" for n in range(201))}, "key.models"),
    ],
)
def test_bad_fields_are_named(desk: Desk, fields: dict[str, object], field: str) -> None:
    project, _ = desk.project()
    with pytest.raises(InvalidArgumentError) as caught:
        desk.key(project, **fields)
    assert caught.value.fields["field"] == field


def test_secrets_that_work_at_the_same_time_are_bounded(desk: Desk) -> None:
    project, _ = desk.project()
    key, _ = desk.key(project)
    for _ in range(7):
        desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, DAY_MS, None, act))
    with pytest.raises(LimitExceededError):
        desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, DAY_MS, None, act))
    rotated, _, _ = desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, 0, None, act))
    assert sum(secret.works_at(desk.now) for secret in rotated.secrets) == 1


def test_last_use_only_moves_on(desk: Desk) -> None:
    project, _ = desk.project()
    key, _ = desk.key(project)
    secret_id = key.secrets[0].secret_id
    for used in (60_000, 180_000, 120_000):
        desk.do_alone(partial(store.mark_used, secret_id=secret_id, unix_ms=used))
    desk.do_alone(lambda tx: store.mark_used(tx, "sec_unknown", 1))
    found = desk.read(lambda tx: keys.get_key(tx, key.key_id))
    assert found.secrets[0].last_used_unix_ms == 180_000


def test_keys_are_listed_newest_first_by_project(desk: Desk) -> None:
    project, _ = desk.project()
    other, _ = desk.project("Other")
    made = [desk.key(project, display_name=f"k{n}")[0] for n in range(5)]
    desk.key(other)
    desk.do(lambda tx, act: keys.revoke_key(tx, made[2].key_id, "", "", act))

    def listed(show_revoked: bool) -> list[Key]:
        found: list[Key] = []
        token = ""
        while True:
            page = desk.read(
                partial(
                    keys.list_keys,
                    asked=Asked(2, token),
                    project_id=project.project_id,
                    show_revoked=show_revoked,
                )
            )
            found += page.items
            token = page.next_token
            if not token:
                return found

    assert [key.display_name for key in listed(True)] == ["k4", "k3", "k2", "k1", "k0"]
    assert [key.display_name for key in listed(False)] == ["k4", "k3", "k1", "k0"]
