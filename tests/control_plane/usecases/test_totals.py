"""Any two views of the same usage agree to the nano-dollar, whatever they are grouped by."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from control_plane.core import latency
from control_plane.core.budgets import NewBudget
from control_plane.core.calls import OUTCOMES, WELL, Call
from control_plane.core.ledger import RollupSum, rollup_key
from control_plane.core.projects import NewProject, Project, ProjectChange
from control_plane.core.reports import RefusalCount
from control_plane.core.usage import GROUPINGS, UsageQuestion, local_day, spans_of
from control_plane.store import ledger, refusals, refused, rollups, spans, usage
from control_plane.store.engine import Tx
from control_plane.usecases import calls, model_matrix, projects
from control_plane.usecases.acts import Act
from control_plane.usecases.housekeeping import keep_house
from tests.control_plane.desk import DAY_MS, HOUR_MS, NOON, Desk
from tests.control_plane.usecases.test_calls import book, call

ZONES = ("Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")
SPRING = int(datetime(2026, 3, 28, tzinfo=UTC).timestamp()) * 1_000
"""The day before clocks change in Europe; Lord Howe's and Auckland's change a week later."""


def projects_of(desk: Desk) -> list[Project]:
    made = []
    for zone in ZONES:
        project, _ = desk.project(zone)
        made.append(moved(desk, project, zone))
    return made


def moved(desk: Desk, project: Project, zone: str) -> Project:
    change = ProjectChange(time_zone=zone)
    return desk.do(
        lambda tx, act: projects.update_project(tx, project.project_id, project.etag, change, act)
    )


def house(desk: Desk, rounds: int = 1) -> None:
    for _ in range(rounds):
        desk.do_alone(lambda tx: keep_house(tx, desk.levels, desk.now))


def random_call(dice: random.Random, number: int, of: list[Project]) -> Call:
    started = SPRING + dice.randrange(-20 * DAY_MS, 20 * DAY_MS)
    return call(
        number,
        # A project that is unknown here has no days, and is summed all the same.
        project_id=dice.choice([*(project.project_id for project in of), "prj_unknown"]),
        key_id=dice.choice("kl"),
        workflow=dice.choice(["", "one", "two"]),
        requested_model=dice.choice(["gpt-4o", "claude-haiku-4-5"]),
        outcome=dice.choice(OUTCOMES),
        cost_nano_usd=dice.randrange(10**9),
        started_unix_ms=started,
        ended_unix_ms=started + int(dice.lognormvariate(7, 1)),
    )


def correct(desk: Desk, made: Call, delta: int) -> Call:
    """What every correction does to a call and to the sums that it is in."""

    def write(tx: Tx) -> None:
        ledger.correct_call(tx, made.call_id, delta)
        rollups.add(tx, {rollup_key(made): RollupSum(cost_nano_usd=delta)})

    desk.do_alone(write)
    return replace(made, cost_nano_usd=made.cost_nano_usd + delta)


def group_of(made: Call, group_by: tuple[str, ...], zone: str) -> tuple[str, ...]:
    values = {
        "project": made.project_id,
        "workflow": made.workflow,
        "model": made.requested_model,
        "key": made.key_id,
        "provider": made.provider,
        "outcome": made.outcome,
        "day": local_day(zone, made.started_unix_ms).date,
    }
    return tuple(values[name] for name in group_by)


def check_views(desk: Desk, dice: random.Random, booked: list[Call], of: list[Project]) -> None:
    """Ask in many ways, and hold every answer against the calls themselves."""
    for _ in range(12):
        group_by = tuple(dice.sample(GROUPINGS, dice.randrange(4)))
        zone = dice.choice([*ZONES, "Europe/Berlin"])
        whose = dice.choice(["", *(project.project_id for project in of)])
        start = local_day(zone, SPRING + dice.randrange(-20 * DAY_MS, 0)).start_unix_ms
        end = local_day(zone, SPRING + dice.randrange(0, 20 * DAY_MS)).end_unix_ms
        if dice.random() < 0.3:
            start, end = start + 9 * HOUR_MS, end - 5 * HOUR_MS
        wanted: dict[tuple[str, ...], list[int]] = {}
        for made in booked:
            if start <= made.started_unix_ms < end and whose in ("", made.project_id):
                row = wanted.setdefault(group_of(made, group_by, zone), [0, 0, 0, 0])
                row[0] += made.cost_nano_usd
                row[1] += 1
                row[2] += made.outcome not in WELL
                row[3] += made.worst_nano_usd if made.outcome == "ok" and not made.estimated else 0
        question = UsageQuestion(group_by, whose, start, end, zone)
        answer = desk.read(lambda tx, q=question: calls.query_usage(tx, q, desk.now))  # type: ignore[misc]  # asked at once
        found = {
            row.group: [
                row.sums.cost_nano_usd,
                row.sums.call_count,
                row.sums.failed_count,
                row.sums.held_nano_usd,
            ]
            for row in answer.rows
        }
        assert found == wanted, question
        assert answer.total.cost_nano_usd == sum(row[0] for row in wanted.values())


def check_spans(desk: Desk, booked: list[Call], tasks: dict[tuple[str, str], str]) -> None:
    """Hold every row of months, of five days, of days and of tasks against the calls themselves."""
    rows = desk.read(lambda tx: tx.rows("SELECT * FROM rollup_zone WHERE spans = 1"))
    zones = {row["project_id"]: row["time_zone"] for row in rows}
    wanted: dict[tuple[str, ...], list[int]] = {}
    steps: dict[tuple[str | int, ...], int] = {}
    for made in booked:
        zone = zones.get(made.project_id)
        if zone is None:
            continue
        month, five, day = spans_of(local_day(zone, made.started_unix_ms).date)
        pair, model = (made.project_id, made.workflow), (made.provider, made.requested_model)
        keys: list[tuple[str, ...]] = [
            key
            for span in (month, five, day)
            for key in (
                ("span_workflow", zone, span, *pair, *model),
                ("span_model", zone, span, made.project_id, *model, made.outcome),
                ("span_total", zone, span, *model, made.outcome),
            )
        ]
        if made.workflow:
            task = five, tasks.get(pair, made.workflow), *model
            keys.append(("task_span", *task))
            if made.outcome == "ok":
                step = latency.step_of(made.ended_unix_ms - made.started_unix_ms)
                steps[*task, step] = steps.get((*task, step), 0) + 1
        for key in keys:
            sums = wanted.setdefault(key, [0, 0, 0])
            sums[0] += made.cost_nano_usd
            sums[1] += 1
            sums[2] += made.outcome not in WELL
    found: dict[tuple[str, ...], list[int]] = {}
    columns = {name: ("time_zone", "span", *key) for name, key in spans.TABLES.items()}
    for table, key in {**columns, "task_span": ("span", "task", "provider", "model")}.items():
        for row in desk.read(lambda tx, of=table: tx.rows(f"SELECT * FROM {of}")):  # type: ignore[misc]  # noqa: S608 - asked at once, of our tables
            sums = [row["cost_nano_usd"], row["call_count"], row["failed_count"]]
            if any(sums):
                found[table, *(row[name] for name in key)] = sums
    assert found == wanted
    took = desk.read(lambda tx: tx.rows("SELECT * FROM task_latency WHERE call_count <> 0"))
    key = "span", "task", "provider", "model", "step"
    assert {tuple(row[name] for name in key): row["call_count"] for row in took} == steps


@pytest.mark.parametrize("seed", range(4))
def test_months_and_tasks_are_the_sums_of_their_calls_whatever_happens(
    desk: Desk, seed: int
) -> None:
    dice = random.Random(seed)
    of = projects_of(desk)
    house(desk, len(of) - 1)  # One has no days yet.
    booked = [random_call(dice, number, of) for number in range(150)]
    tasks: dict[tuple[str, str], str] = {}

    def name_tasks() -> None:
        for _ in range(4):
            pair = dice.choice(of).project_id, dice.choice(["one", "two"])
            task = dice.choice(["", "one", "both"])
            if task or pair in tasks:
                desk.do(partial(set_task, pair, task))
                tasks[pair] = task
                if not task:
                    del tasks[pair]

    name_tasks()
    book(desk, *booked)
    check_spans(desk, booked, tasks)
    for place in dice.sample(range(len(booked)), 30):
        made = booked[place]
        booked[place] = correct(desk, made, dice.randrange(-made.cost_nano_usd, 10**9))
    name_tasks()
    check_spans(desk, booked, tasks)
    of[0] = moved(desk, of[0], "America/Los_Angeles")
    check_spans(desk, booked, tasks)
    late = [random_call(dice, number, of) for number in range(150, 200)]
    book(desk, *late)
    house(desk, 3)
    check_spans(desk, booked + late, tasks)
    assert len({made.project_id for made in booked}) == len(of) + 1
    # What an earlier version left is made anew, and comes to the same.
    desk.do_alone(forget_spans)
    house(desk)
    check_spans(desk, booked + late, tasks)


def set_task(pair: tuple[str, str], task: str, tx: Tx, act: Act) -> None:
    model_matrix.set_task(tx, *pair, task, act)


def forget_spans(tx: Tx) -> None:
    for table in (*spans.TABLES, "task_span", "task_latency"):
        tx.run(f"DELETE FROM {table}")  # noqa: S608 - our tables
    tx.run("UPDATE rollup_zone SET spans = 0")


@pytest.mark.parametrize("seed", range(6))
def test_all_views_agree_whatever_happens_to_the_ledger(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    of = projects_of(desk)
    house(desk, len(of) - 2)  # Two have no days yet.
    booked = [random_call(dice, number, of) for number in range(150)]
    book(desk, *booked)
    check_views(desk, dice, booked, of)
    for place in dice.sample(range(len(booked)), 30):
        made = booked[place]
        booked[place] = correct(desk, made, dice.randrange(-made.cost_nano_usd, 10**9))
    late = [random_call(dice, number, of) for number in range(150, 200)]
    book(desk, *late)
    check_views(desk, dice, booked + late, of)
    # A client moves: its days are those of the other zone, and nothing else changes.
    of[0] = moved(desk, of[0], "America/Los_Angeles")
    check_views(desk, dice, booked + late, of)
    house(desk, 3)
    check_views(desk, dice, booked + late, of)
    # Before the spans of all are made, days answer.
    desk.do_alone(forget_spans)
    check_views(desk, dice, booked + late, of)


@pytest.mark.parametrize("with_days", [False, True])
def test_how_long_calls_took_is_the_same_from_days_and_from_calls(
    desk: Desk, with_days: bool
) -> None:
    dice = random.Random(7)
    project, _ = desk.project()
    booked = [random_call(dice, number, [project]) for number in range(200)]
    book(desk, *booked)
    if not with_days:
        desk.do_alone(lambda tx: rollups.drop_days(tx, project.project_id))
    start, end = SPRING - 10 * DAY_MS + HOUR_MS, SPRING + 10 * DAY_MS
    of = project.project_id, start, end
    wanted: dict[tuple[str, str], dict[int, int]] = {}
    for made in booked:
        ours = made.outcome == "ok" and made.project_id == project.project_id
        if ours and start <= made.started_unix_ms < end:
            step = latency.step_of(made.ended_unix_ms - made.started_unix_ms)
            for name in (("", ""), ("w", made.workflow), ("m", made.requested_model)):
                counts = wanted.setdefault(name, {})
                counts[step] = counts.get(step, 0) + 1
    named = {name for kind, name in wanted if kind == "w"} - {"two"}
    found = desk.read(lambda tx: usage.latencies(tx, *of))
    assert found == {"": wanted["", ""]}
    found = desk.read(lambda tx: usage.latencies(tx, *of, workflows=sorted(named)))
    assert found == {name: wanted["w", name] for name in named}
    found = desk.read(lambda tx: usage.latencies(tx, *of, models=["gpt-4o", "none"]))
    assert found == {"gpt-4o": wanted["m", "gpt-4o"]}
    assert sum(wanted["", ""].values()) > 10


def test_a_quantile_is_within_a_tenth_of_the_true_one() -> None:
    dice = random.Random(1)
    took = sorted(int(dice.lognormvariate(8, 1)) + 20 for _ in range(5_000))
    counts: dict[int, int] = {}
    for duration in took:
        step = latency.step_of(duration)
        counts[step] = counts.get(step, 0) + 1
    for percent in (1, 50, 95, 100):
        true = took[-(-len(took) * percent // 100) - 1]
        told = latency.quantile_ms(counts, percent)
        assert told is not None
        assert abs(told - true) * 10 <= true
    assert latency.quantile_ms({}, 50) is None


def test_refusals_that_are_told_again_are_in_the_sums_once(desk: Desk) -> None:
    project, _ = desk.project()
    minute = NOON - NOON % 60_000

    def count(n: int, at: int = minute) -> RefusalCount:
        return RefusalCount(
            at, project.project_id, "key", "w", "gpt", "budget_exhausted", "bud", n, "sample"
        )

    for counts in ([count(3)], [count(3), count(2, minute + 60_000)], [count(5)], [count(4)]):
        desk.do_alone(lambda tx, c=counts: refusals.merge(tx, "sdc", c))  # type: ignore[misc]  # run at once
    desk.do_alone(lambda tx: refusals.merge(tx, "other", [count(10)]))
    desk.do_alone(lambda tx: refusals.drop_before(tx, NOON + DAY_MS))
    [found] = desk.read(
        lambda tx: refused.most(tx, project.project_id, NOON - DAY_MS, NOON + DAY_MS, 9)
    )
    assert (found.refused_count, found.reason, found.budget_id) == (17, "budget_exhausted", "bud")


def test_a_new_project_has_days_from_its_first_call(desk: Desk) -> None:
    project, _ = desk.do(
        lambda tx, act: projects.create_project(tx, NewProject("A", "Asia/Tokyo"), NewBudget(), act)
    )
    assert desk.read(lambda tx: rollups.zones_of(tx, [project.project_id])) == {
        project.project_id: "Asia/Tokyo"
    }
    assert desk.read(rollups.without_days) is None
