"""The monthly review agrees with every other view of the ledger, and tells what people did."""

import random
from datetime import datetime

import pytest

from control_plane import limits
from control_plane.core.budgets import SetCap
from control_plane.core.calls import WELL, Call
from control_plane.core.review import Review
from control_plane.core.usage import LocalDay, Sums, UsageQuestion, local_day
from control_plane.core.zones import load_zone
from control_plane.store.retirements import Retirement
from control_plane.usecases import budgets, calls, overview, retirements, review
from protos.values.errors import InvalidArgumentError
from tests.control_plane.desk import DAY_MS, NOON, USD, Desk
from tests.control_plane.usecases.test_calls import book, call
from tests.control_plane.usecases.test_totals import (
    SPRING,
    forget_spans,
    house,
    projects_of,
    random_call,
)


def reviewed(desk: Desk, month: str = "") -> Review:
    return desk.read(lambda tx: review.get_review(tx, month, desk.now))


def wanted_of(
    booked: list[Call], zones: dict[str, str], first: str, last: str
) -> dict[tuple[str, ...], int]:
    """The cost of calls on local dates, by client, workflow, model and outcome."""
    found: dict[tuple[str, ...], int] = {}
    for made in booked:
        if first <= local_day(zones[made.project_id], made.started_unix_ms).date <= last:
            name = made.project_id, made.workflow, made.requested_model, made.outcome
            found[name] = found.get(name, 0) + made.cost_nano_usd
    return found


def cost_by(wanted: dict[tuple[str, ...], int], *places: int) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for name, cost in wanted.items():
        of = tuple(name[place] for place in places)
        found[of] = found.get(of, 0) + cost
    return {of: cost for of, cost in found.items() if cost}


def check_review(
    found: Review, now: dict[tuple[str, ...], int], before: dict[tuple[str, ...], int]
) -> None:
    """Hold a review against the calls of its month and of the one before."""
    assert found.total.cost_nano_usd == sum(now.values()) > 0
    assert found.before.cost_nano_usd == sum(before.values())
    for of, wanted in ((0, now), (1, before)):
        sums = {(line.project_id,): (line.sums, line.before)[of] for line in found.clients}
        assert {name: one.cost_nano_usd for name, one in sums.items() if one != Sums()} == cost_by(
            wanted, 0
        )
        by_model = {(line.model,): (line.sums, line.before)[of] for line in found.models}
        assert {
            name: one.cost_nano_usd for name, one in by_model.items() if one.cost_nano_usd
        } == cost_by(wanted, 2)
    costs, earlier = cost_by(now, 0, 1), cost_by(before, 0, 1)
    changes = {name: costs.get(name, 0) - earlier.get(name, 0) for name in {*costs, *earlier}}
    moved = sorted(changes.items(), key=lambda one: (-abs(one[1]), one[0]))
    assert [((one.project_id, one.workflow), one.change_nano_usd) for one in found.movers] == [
        one for one in moved if one[1]
    ]
    assert {one.outcome for one in found.errors} == {
        outcome for *_, outcome in now if outcome not in WELL
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_sum_is_that_of_the_calls_of_each_clients_own_month(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    of = projects_of(desk)
    house(desk, rounds=3)  # Two have no days yet, and one has no zone that anybody knows.
    booked = [random_call(dice, number, of) for number in range(150)]
    zones = {project.project_id: project.time_zone for project in of}
    zones["prj_unknown"] = "Europe/Berlin"
    book(desk, *booked)
    desk.pass_ms(SPRING + (4 + dice.randrange(29)) * DAY_MS - desk.now)
    today = local_day("Europe/Berlin", desk.now).date
    march = wanted_of(booked, zones, "2026-03-01", "2026-03-31")
    april = wanted_of(booked, zones, "2026-04-01", "2026-04-30")
    same = wanted_of(booked, zones, "2026-03-01", f"2026-03-{today[-2:]}")

    def check() -> None:
        assert reviewed(desk, "2026-04").is_running
        check_review(reviewed(desk, "2026-03"), march, {})
        running = reviewed(desk)
        check_review(running, april, same)
        # A page of clients says the same of them, and so does the first page of the desk.
        paged = desk.read(lambda tx: review.get_review(tx, "", desk.now, page=1))
        assert paged.clients == running.clients
        glance = desk.read(lambda tx: overview.clients_overview(tx, desk.levels, desk.now))
        assert (glance.month, glance.before) == (running.total, running.before)

    check()
    house(desk, rounds=3)
    check()
    desk.do_alone(forget_spans)
    check()
    house(desk)
    check()
    own = {project.project_id: project for project in of}
    for line in reviewed(desk, "2026-03").clients:
        if line.project_id in own and line.sums != Sums():
            days = [desk_day(own[line.project_id].time_zone, date) for date in ("03-01", "03-31")]
            question = UsageQuestion(
                (), line.project_id, days[0].start_unix_ms, days[1].end_unix_ms
            )
            answer = desk.read(lambda tx, q=question: calls.query_usage(tx, q, desk.now))  # type: ignore[misc]  # asked at once
            assert line.sums == answer.total


def desk_day(zone: str, date: str) -> LocalDay:
    noon = datetime.fromisoformat(f"2026-{date}T12:00:00").replace(tzinfo=load_zone(zone))
    return local_day(zone, int(noon.timestamp()) * 1_000)


def test_clients_are_shown_by_pages_of_the_dearest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = [desk.project(f"Client {number}")[0].project_id for number in range(5)]
    book(
        desk,
        *(call(n, project_id=own, cost_nano_usd=100 + n) for n, own in enumerate(of)),
    )
    monkeypatch.setattr(limits, "DESK_ROWS", 2)
    everything = reviewed(desk).clients
    assert [line.project_id for line in everything] == of[::-1]
    for page, first, last, before, after in ((1, 0, 2, 0, 2), (2, 2, 4, 1, 3), (9, 4, 5, 2, 0)):
        found = desk.read(lambda tx, p=page: review.get_review(tx, "", desk.now, page=p))  # type: ignore[misc]  # asked at once
        assert found.clients == everything[first:last]
        assert (found.listed.before, found.listed.after) == (before, after)
        assert found.total.call_count == 5


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
