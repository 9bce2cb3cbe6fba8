"""Any two views of the same usage agree to the nano-dollar, whatever they are grouped by."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from control_plane.core import latency
from control_plane.core.budgets import NewBudget
from control_plane.core.calls import OUTCOMES, WELL, Call
from control_plane.core.ledger import RollupSum, rollup_key
from control_plane.core.projects import NewProject, Project, ProjectChange
from control_plane.core.reports import RefusalCount
from control_plane.core.usage import GROUPINGS, UsageQuestion, local_day
from control_plane.store import ledger, refusals, rollups, usage
from control_plane.store.engine import Tx
from control_plane.usecases import calls, projects
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
    found = desk.read(lambda tx: usage.latencies(tx, project.project_id, start, end))
    wanted: dict[tuple[str, str], dict[int, int]] = {}
    for made in booked:
        ours = made.outcome == "ok" and made.project_id == project.project_id
        if ours and start <= made.started_unix_ms < end:
            counts = wanted.setdefault((made.workflow, made.requested_model), {})
            step = latency.step_of(made.ended_unix_ms - made.started_unix_ms)
            counts[step] = counts.get(step, 0) + 1
    assert found == wanted
    assert sum(sum(counts.values()) for counts in found.values()) > 10


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
        lambda tx: usage.refused(tx, project.project_id, NOON - DAY_MS, NOON + DAY_MS)
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
