"""The monthly review agrees with every other view of the ledger, and tells what people did."""

import random

import pytest

from control_plane import limits
from control_plane.core.budgets import SetCap
from control_plane.core.calls import WELL
from control_plane.core.review import Review
from control_plane.core.usage import Sums, UsageAnswer, UsageQuestion
from control_plane.store.retirements import Retirement
from control_plane.usecases import budgets, calls, retirements, review
from protos.values.errors import InvalidArgumentError
from tests.control_plane.desk import DAY_MS, NOON, USD, Desk
from tests.control_plane.usecases.test_calls import book, call
from tests.control_plane.usecases.test_totals import SPRING, house, projects_of, random_call


def reviewed(desk: Desk, month: str = "") -> Review:
    return desk.read(lambda tx: review.get_review(tx, month, desk.now))


def usage(desk: Desk, group_by: tuple[str, ...], start: int, end: int) -> UsageAnswer:
    question = UsageQuestion(group_by, "", start, end)
    return desk.read(lambda tx: calls.query_usage(tx, question, desk.now))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_sum_is_that_of_usage(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    of = projects_of(desk)
    house(desk, rounds=3)
    book(desk, *(random_call(dice, number, of) for number in range(150)))
    desk.pass_ms(SPRING + 25 * DAY_MS - desk.now)
    for month, is_running in (("2026-03", False), ("2026-04", True), ("", True)):
        found = reviewed(desk, month)
        start, end = found.month.start_unix_ms, found.end_unix_ms
        assert found.is_running is is_running
        by_client = usage(desk, ("project",), start, end)
        assert found.total == by_client.total
        assert found.total.call_count
        sums = {line.project_id: line.sums for line in found.clients if line.sums != Sums()}
        assert sums == {row.group[0]: row.sums for row in by_client.rows}
        by_model = usage(desk, ("provider", "model"), start, end)
        models = {(line.provider, line.model): line.sums for line in found.models}
        assert {name: one for name, one in models.items() if one != Sums()} == {
            row.group: row.sums for row in by_model.rows
        }
        by_outcome = usage(desk, ("provider", "outcome"), start, end)
        assert {(one.provider, one.outcome): one.call_count for one in found.errors} == {
            row.group: row.sums.call_count for row in by_outcome.rows if row.group[1] not in WELL
        }
        change = found.total.cost_nano_usd - found.before.cost_nano_usd
        assert sum(mover.change_nano_usd for mover in found.movers) == change
    running = reviewed(desk)
    spans = running.end_unix_ms - running.month.start_unix_ms
    march = reviewed(desk, "2026-03").month
    before = usage(desk, (), march.start_unix_ms, march.start_unix_ms + spans)
    assert running.before == before.total


def test_of_very_many_workflows_clients_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = [desk.project(name)[0].project_id for name in ("Acme Dental", "Bolt Logistics")]
    book(
        desk,
        *(
            call(10 * number + place, project_id=own, workflow=f"w{number}")
            for number in range(3)
            for place, own in enumerate(of)
        ),
    )
    assert {mover.workflow for mover in reviewed(desk).movers} == {"w0", "w1", "w2"}
    monkeypatch.setattr(limits, "USAGE_ROWS_MAX", 4)
    found = reviewed(desk)
    assert not found.is_by_workflow
    assert [(mover.workflow, mover.cost_nano_usd) for mover in found.movers] == [
        ("", 3 * 1_234)
    ] * 2
    assert {mover.project_id for mover in found.movers} == set(of)


def decide(desk: Desk, wish: SetCap) -> None:
    desk.do(lambda tx, act: budgets.set_cap(tx, wish, act))


def retire(desk: Desk, wanted: Retirement) -> None:
    desk.do(lambda tx, act: retirements.set_retirement(tx, wanted, act))


def test_raises_are_told_with_who_and_why_and_how_often(desk: Desk) -> None:
    project, budget = desk.project("Acme Dental")
    for dollars, reason in ((400, "launch week"), (500, "again"), (450, "back down")):
        decide(desk, SetCap(budget.budget_id, dollars * USD, reason=reason))
    found = reviewed(desk)
    assert [(one.reason, one.new_nano_usd, one.raise_count) for one in found.raises] == [
        ("again", 500 * USD, 2),
        ("launch week", 400 * USD, 2),
    ]
    assert {one.project_id for one in found.raises} == {project.project_id}


def test_what_comes_is_told_of_models_in_use_with_its_effect(desk: Desk) -> None:
    project, _ = desk.project("Acme Dental")
    book(desk, call(1, project_id=project.project_id, quantities={"input": 1000, "output": 100}))
    at = NOON + 40 * DAY_MS
    retire(desk, Retirement("openai", "gpt-4o", at, "gpt-4o-mini", ""))
    retire(desk, Retirement("anthropic", "claude-haiku-4-5", at, "", ""))
    [coming] = reviewed(desk).coming
    assert (coming.model, coming.replacement, coming.client_count) == ("gpt-4o", "gpt-4o-mini", 1)
    # By list price the smaller model costs about a seventeenth.
    assert coming.effect_nano_usd is not None
    assert -coming.cost_nano_usd < coming.effect_nano_usd < -coming.cost_nano_usd * 9 // 10


def test_keys_without_calls_are_told_once_they_are_older_than_the_month(desk: Desk) -> None:
    project, _ = desk.project("Acme Dental")
    key, _ = desk.key(project, display_name="n8n")
    assert reviewed(desk).unused_keys == ()
    desk.pass_ms(40 * DAY_MS)
    assert [one.key_id for one in reviewed(desk).unused_keys] == [key.key_id]


@pytest.mark.parametrize("month", ["1970-01", "2026-13", "march", "2999-01"])
def test_a_month_that_is_none_is_refused(desk: Desk, month: str) -> None:
    with pytest.raises(InvalidArgumentError):
        reviewed(desk, month)
