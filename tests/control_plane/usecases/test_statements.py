"""A month is closed where the client lives, frozen once, and told again only as a new version."""

import json
import random
from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from control_plane import limits
from control_plane.core.calls import Call, Settle
from control_plane.core.cost_lines import CostLines, totals_of
from control_plane.core.ledger import RollupKey, RollupSum, fold
from control_plane.core.pages import Asked
from control_plane.core.prices import OPERATOR, Price
from control_plane.core.projects import Project, ProjectChange
from control_plane.core.rate_cards import RateCard
from control_plane.core.statements import STEPS, State, Statement, Step, canonical, read, sha256_of
from control_plane.core.statements import step as step_from
from control_plane.core.workflows import Roi
from control_plane.store import ledger, prices, rate_cards, rollups
from control_plane.store import statements as store
from control_plane.store.engine import Tx
from control_plane.store.statements import Kept, Settings
from control_plane.usecases import cost_lines, projects, statements, workflows
from control_plane.usecases.rate_cards import Charging
from control_plane.usecases.statement_values import month_of, round_cap
from protos.values.errors import (
    EtagMismatchError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from protos.values.rates import ModelPrice, Tier, cost_nano_usd
from tests.control_plane.desk import DAY_MS, HOUR_MS, USD, Desk
from tests.control_plane.usecases.test_calls import SIDECAR, call

PRICE = ModelPrice(
    "openai",
    "gpt-4o",
    ("gpt-4o-2024-08-06",),
    100_000,
    10_000,
    (Tier(0, {"input": 2_500_000, "cached": 1_250_000, "output": 10_000_000}),),
    "book-1",
)
AUCKLAND, LOS_ANGELES = "Pacific/Auckland", "America/Los_Angeles"


def at(zone: str, text: str) -> int:
    """An instant by a clock on the wall."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000


def client(desk: Desk, zone: str, name: str = "") -> Project:
    project, _ = desk.project(name or zone)
    change = ProjectChange(time_zone=zone)
    made = desk.do(
        lambda tx, act: projects.update_project(tx, project.project_id, project.etag, change, act)
    )
    if made.time_zone != project.time_zone:
        desk.do_alone(lambda tx: rollups.make_days(tx, made.project_id, zone))
    return made


def set_price(desk: Desk, price: ModelPrice = PRICE, from_unix_ms: int = 0) -> None:
    made = Price(price, from_unix_ms, OPERATOR)
    desk.do_alone(lambda tx: prices.insert(tx, made, desk.now))


def used(number: int, project: Project, started_unix_ms: int, **fields: object) -> Call:
    """A call that cost what its price says."""
    quantities = {"input": 11 + number, "cached": 5, "output": 3 + number % 7}
    made: dict[str, object] = {
        "project_id": project.project_id,
        "started_unix_ms": started_unix_ms,
        "ended_unix_ms": started_unix_ms + 1_500,
        "quantities": quantities,
        "cost_nano_usd": cost_nano_usd(quantities, PRICE),
        "price_version": PRICE.version,
        "execution": f"run-{number}",
    }
    return call(number, **(made | fields))


def book(desk: Desk, *booked: Call) -> None:
    """Book calls as a Sync does, charges included."""

    def nowhere(*_: object) -> object:
        raise AssertionError

    records = [Settle(n, c, c.cost_nano_usd) for n, c in enumerate(booked, 1)]

    def write(tx: Tx) -> None:
        folded = fold(records, nowhere)  # type: ignore[arg-type]  # no call counts anywhere
        ledger.insert_calls(tx, SIDECAR, folded.calls, desk.now)
        Charging(tx).charge((each.call for each in folded.calls), folded.rollups)
        rollups.add(tx, folded.rollups)

    desk.do_alone(write)


def correct(desk: Desk, made: Call, delta: int) -> None:
    """What a correction does to a call, its charge and the sums."""

    def write(tx: Tx) -> None:
        booked = ledger.booked_call(tx, made.call_id)
        assert booked is not None
        sums: dict[RollupKey, RollupSum] = defaultdict(RollupSum)
        ledger.correct_call(tx, made.call_id, delta)
        sums[booked.rollup].cost_nano_usd += delta
        before = booked.cost_nano_usd
        Charging(tx).follow(made.call_id, before, before + delta, sums)
        rollups.add(tx, sums)

    desk.do_alone(write)


def lines_of(desk: Desk, plan: statements.Plan) -> CostLines:
    lines = desk.read(lambda tx: cost_lines.begin(tx, plan.project.project_id))
    after = None
    while True:
        after = desk.read(lambda tx: cost_lines.add_piece(tx, lines, plan.stretch, after))  # noqa: B023 - called at once
        if after is None:
            return lines


def build(desk: Desk, project: Project, month: str = "") -> Kept:
    plan = desk.read(lambda tx: statements.plan(tx, project.project_id, month, desk.now))
    lines = lines_of(desk, plan)
    return desk.do(lambda tx, act: statements.build_statement(tx, plan, lines, act))


def value_of(desk: Desk, kept: Kept) -> Statement:
    again = desk.read(lambda tx: store.get(tx, kept.statement_id))
    assert again is not None
    assert sha256_of(again.value) == again.sha256
    assert canonical(read(again.value)) == again.value
    return read(again.value)


@pytest.mark.parametrize("zone", [AUCKLAND, LOS_ANGELES])
def test_a_month_is_exactly_that_of_the_client_over_a_change_of_clocks(
    desk: Desk, zone: str
) -> None:
    """Clocks change on 27 September 2026 in Auckland and on 1 November in Los Angeles."""
    set_price(desk)
    project = client(desk, zone)
    months = {"2026-09": 5, "2026-10": 7, "2026-11": 3}
    number = 0
    wanted: dict[str, int] = {}
    for month, count in months.items():
        span = month_of(zone, month)
        assert span is not None
        first = at(zone, f"{month}-01T00:00:00")
        assert span.start_unix_ms == first
        edges = [first, span.end_unix_ms - 1]
        edges += [first + n * DAY_MS for n in range(1, count - 1)]
        booked = [used(number + n, project, instant) for n, instant in enumerate(edges)]
        number += len(booked)
        book(desk, *booked)
        wanted[month] = sum(made.cost_nano_usd for made in booked)
    desk.clock.now_unix_ms = at(zone, "2026-12-03T09:00:00")
    for month, count in months.items():
        value = value_of(desk, build(desk, project, month))
        assert value.totals.call_count == count
        assert value.totals.cost_nano_usd == wanted[month]
        assert value.months[-1].cost_nano_usd == wanted[month]
        assert sum(line.totals.cost_nano_usd for line in value.workflows) == wanted[month]
        assert sum(line.totals.cost_nano_usd for line in value.models) == wanted[month]


def test_more_workflows_and_models_than_one_question_answers_still_sum_to_the_month(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_price(desk)
    project = client(desk, AUCKLAND)
    start = at(AUCKLAND, "2026-10-05T10:00:00")
    names = [f"w{number}" for number in range(8)]
    booked = [
        used(number, project, start, workflow=name, requested_model=name)
        for number, name in enumerate(names)
    ]
    book(desk, *booked)
    desk.clock.now_unix_ms = at(AUCKLAND, "2026-11-03T09:00:00")
    monkeypatch.setattr(limits, "USAGE_ROWS_MAX", 4)
    monkeypatch.setattr(limits, "STATEMENT_WORKFLOWS_MAX", 3)
    monkeypatch.setattr(limits, "STATEMENT_MODELS_MAX", 3)
    value = value_of(desk, build(desk, project, "2026-10"))
    dearest = sorted(booked, key=lambda made: -made.cost_nano_usd)[:2]
    wanted = sum(made.cost_nano_usd for made in booked)
    assert [line.workflow for line in value.workflows[:2]] == [one.workflow for one in dearest]
    for lines in (value.workflows, value.models):
        assert len(lines) == 3
        assert sum(line.totals.cost_nano_usd for line in lines) == wanted
        assert sum(line.totals.call_count for line in lines) == len(booked)


def test_a_month_of_more_names_than_a_query_returns_is_told_all_the_same(desk: Desk) -> None:
    """Callers put ids of runs into workflow names: of each there are latencies and refusals."""
    set_price(desk)
    project = client(desk, "UTC")
    start = at("UTC", "2026-10-05T10:00:00")
    booked = [used(n, project, start, workflow=f"w{n}") for n in range(3)]
    book(desk, *booked)
    many = limits.READ_ROWS_MAX + 5
    counted = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < :many)"
    params: dict[str, str | int] = {"project": project.project_id, "at": start, "many": many}

    def write(tx: Tx) -> None:
        tx.run(
            f"""INSERT INTO refusal_rollup {counted}
                SELECT :project, :at, 'k', 'run ' || n, 'm', 'exhausted', '', 1 + n / :many
                FROM c""",  # noqa: S608 - written above
            params,
        )
        tx.run(
            f"""INSERT INTO latency_day {counted}
                SELECT :project, :at / 86400000 * 86400000, 'run ' || n, 'm', 'openai', 40, 1
                FROM c""",  # noqa: S608 - written above
            params,
        )

    desk.do_alone(write)
    desk.clock.now_unix_ms = at("UTC", "2026-11-03T09:00:00")
    value = value_of(desk, build(desk, project, "2026-10"))
    assert len(value.workflows) == limits.STATEMENT_WORKFLOWS_MAX
    assert [line.workflow for line in value.workflows[:3]] == ["w2", "w1", "w0"]
    folded = value.workflows[-1]
    assert folded.folded_count == many + 3 - (limits.STATEMENT_WORKFLOWS_MAX - 1)
    assert sum(line.refused_count for line in value.workflows) == many + 1
    assert len(value.refusals) == limits.STATEMENT_REFUSALS_MAX
    # The one that was refused twice leads.
    assert value.refusals[0].workflow == f"run {many}"
    assert value.latency is not None
    assert value.workflows[0].latency is not None


@pytest.mark.parametrize(("zone", "then"), [(LOS_ANGELES, AUCKLAND), (AUCKLAND, LOS_ANGELES)])
@pytest.mark.parametrize("first", ["2026-10", "2026-11"])
def test_no_call_is_in_two_statements_or_in_none_when_a_client_moves(
    desk: Desk, zone: str, then: str, first: str
) -> None:
    set_price(desk)
    project = client(desk, zone)
    begin, edge = at("UTC", "2026-10-01T12:00:00"), at("UTC", "2026-10-31T00:00:00")
    instants = [begin, *(edge + n * HOUR_MS for n in range(72)), at("UTC", "2026-11-30T03:00:00")]
    booked = [used(number, project, instant) for number, instant in enumerate(instants)]
    book(desk, *booked)
    desk.clock.now_unix_ms = at("UTC", "2026-12-03T09:00:00")
    told = value_of(desk, build(desk, project, first))
    project = desk.do(
        lambda tx, act: projects.update_project(
            tx, project.project_id, project.etag, ProjectChange(time_zone=then), act
        )
    )
    desk.do_alone(lambda tx: rollups.make_days(tx, project.project_id, then))
    frozen = [value_of(desk, build(desk, project, month)) for month in ("2026-10", "2026-11")]
    assert told in frozen, "what was told stays as it was told"
    assert sum(value.totals.call_count for value in frozen) == len(booked)
    assert [len(value.months) for value in frozen] == [1, 2]
    for month in ("2026-10", "2026-11"):
        [plan] = desk.read(lambda tx: statements.get_focus_file(tx, project.project_id, month))  # noqa: B023 - called at once
        assert plan.month == next(value.month for value in frozen if value.month.name == month)
    due = desk.read(lambda tx: statements.due_builds(tx, project, desk.now))
    assert due == []


def test_a_month_that_is_not_over_where_the_client_is_cannot_be_frozen(desk: Desk) -> None:
    project = client(desk, LOS_ANGELES)
    desk.clock.now_unix_ms = at("UTC", "2026-11-01T06:59:59")  # 23:59 on 31 October there
    with pytest.raises(FailedPreconditionError):
        build(desk, project, "2026-10")
    desk.clock.now_unix_ms = at("UTC", "2026-11-01T07:00:00")
    assert build(desk, project, "2026-10").version == 1
    for wrong in ("2026-13", "october", "2026-1", "9999-01"):
        with pytest.raises(InvalidArgumentError):
            build(desk, project, wrong)


def test_late_usage_and_corrections_become_a_version_that_says_the_difference(desk: Desk) -> None:
    set_price(desk)
    project = client(desk, AUCKLAND)
    first = [used(n, project, at(AUCKLAND, "2026-10-31T23:59:00") - n) for n in range(4)]
    book(desk, *first)
    desk.clock.now_unix_ms = at(AUCKLAND, "2026-11-03T09:00:00")
    kept = build(desk, project)
    before = value_of(desk, kept)
    assert before.difference is None
    assert build(desk, project) == kept, "nothing changed, so nothing is frozen anew"
    late = used(10, project, at(AUCKLAND, "2026-10-31T23:59:59"))
    book(desk, late)
    correct(desk, first[0], 50)
    second = build(desk, project)
    value = value_of(desk, second)
    assert (second.version, value.version) == (2, 2)
    assert value.difference is not None
    assert value.difference.sha256 == kept.sha256
    assert value.difference.call_count == 1
    assert value.difference.cost_nano_usd == late.cost_nano_usd + 50
    assert value_of(desk, kept) == before, "the first version is as it was frozen"
    states = desk.read(lambda tx: statements.list_statements(tx, Asked(), project.project_id, ""))
    assert [(one.version, one.state) for one in states.items] == [
        (2, State.DRAFT),
        (1, State.SUPERSEDED),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_lines_by_kind_sum_to_cost_and_charge_to_the_nano_dollar(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    set_price(desk)
    project = client(desk, LOS_ANGELES)
    card = RateCard(
        project.project_id,
        "card-1",
        0,
        markup_ppm=dice.randrange(-900_000, 900_000),
        per_call_nano_usd=dice.choice([0, 17]),
        per_execution_nano_usd=dice.choice([0, 1_000_003]),
        included_nano_usd=dice.randrange(1_000_000),
    )
    if seed:
        desk.do_alone(lambda tx: rate_cards.insert(tx, card, desk.now))
    start = at(LOS_ANGELES, "2026-10-01T00:00:00")
    booked = []
    for number in range(80):
        made = used(number, project, start + dice.randrange(31 * DAY_MS))
        odd = dice.random()
        if odd < 0.1:
            made = used(number, project, made.started_unix_ms, estimated=True, cost_nano_usd=777)
        elif odd < 0.2:
            made = used(number, project, made.started_unix_ms, cost_told=True, cost_nano_usd=99)
        elif odd < 0.3:
            made = used(number, project, made.started_unix_ms, price_version="gone")
        elif odd < 0.4:
            made = used(number, project, made.started_unix_ms, cost_nano_usd=0, quantities={})
        booked.append(made)
    book(desk, *booked)
    for made in dice.sample(booked, 10):
        if made.cost_nano_usd:
            correct(desk, made, dice.randrange(-made.cost_nano_usd, 10**6))
    desk.clock.now_unix_ms = at(LOS_ANGELES, "2026-11-03T09:00:00")
    kept = build(desk, project)
    value = value_of(desk, kept)
    lines = desk.read(lambda tx: statements.get_statement_file(tx, kept.statement_id).lines)
    assert totals_of(lines) == (value.totals.cost_nano_usd, value.totals.charge_nano_usd)
    assert sum(line.call_count for _, line in lines) == len(booked)
    for key, line in lines:
        if key.rate_pico_usd:
            assert line.cost_pico_usd == line.quantity * key.rate_pico_usd
    assert value.shows_charges is bool(seed)
    frozen = desk.read(lambda tx: store.lines_of(tx, kept.statement_id))
    assert sha256_of(frozen) == value.lines_sha256
    assert json.loads(frozen)


def test_what_moved_while_lines_were_read_is_not_frozen(desk: Desk) -> None:
    set_price(desk)
    project = client(desk, "UTC")
    book(desk, used(1, project, at("UTC", "2026-10-10T00:00:00")))
    plan = desk.read(lambda tx: statements.plan(tx, project.project_id, "2026-10", desk.now))
    lines = lines_of(desk, plan)
    book(desk, used(2, project, at("UTC", "2026-10-11T00:00:00")))
    with pytest.raises(UnavailableError):
        desk.do(lambda tx, act: statements.build_statement(tx, plan, lines, act))


def test_every_step_is_in_the_table() -> None:
    for state in State:
        for what in Step:
            if (state, what) in STEPS:
                assert step_from(state, what) is STEPS[state, what]
            else:
                with pytest.raises(FailedPreconditionError):
                    step_from(state, what)


def test_what_was_looked_at_is_approved_and_goes_out_at_nine_where_the_client_is(
    desk: Desk,
) -> None:
    set_price(desk)
    project = client(desk, AUCKLAND)
    book(desk, used(1, project, at(AUCKLAND, "2026-10-10T00:00:00")))
    desk.clock.now_unix_ms = at(AUCKLAND, "2026-11-01T10:00:00")
    kept = build(desk, project)
    noted = desk.do(
        lambda tx, act: statements.set_statement_note(tx, kept.statement_id, "All well.", act)
    )
    assert value_of(desk, noted).note == "All well."
    with pytest.raises(EtagMismatchError):
        desk.do(
            lambda tx, act: statements.approve_statement(tx, kept.statement_id, kept.sha256, act)
        )
    done = desk.do(
        lambda tx, act: statements.approve_statement(tx, kept.statement_id, noted.sha256, act)
    )
    assert (done.state, done.approved_by) == (State.APPROVED, desk.owner.principal_id)
    assert done.due_unix_ms == at(AUCKLAND, "2026-11-03T09:00:00")
    assert desk.read(lambda tx: store.due(tx, done.due_unix_ms or 0, 10)) == []
    told = Settings(project.project_id, recipients=("a@b.example",))
    desk.do(lambda tx, act: statements.set_statement_settings(tx, told, act))
    assert desk.read(lambda tx: store.due(tx, done.due_unix_ms or 0, 10)) == [done]
    assert desk.read(lambda tx: store.due(tx, (done.due_unix_ms or 0) - 1, 10)) == []
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: statements.set_statement_note(tx, kept.statement_id, "Late.", act))
    sent = desk.do(lambda tx, act: statements.mark_sent(tx, done, act))
    assert (sent.state, sent.sent_unix_ms is not None) == (State.SENT, True)


@pytest.mark.parametrize(
    ("zone", "month", "day", "local"),
    [
        (AUCKLAND, "2026-08", 27, "2026-09-27T10:00:00"),  # nine hours after midnight: clocks jump
        (LOS_ANGELES, "2026-10", 3, "2026-11-03T09:00:00"),
        ("America/Havana", "2026-02", 8, "2026-03-08T10:00:00"),  # no midnight on that day
        ("UTC", "2026-01", 28, "2026-02-28T09:00:00"),
    ],
)
def test_the_hour_of_sending_is_that_of_the_wall(
    zone: str, month: str, day: int, local: str
) -> None:
    span = month_of(zone, month)
    assert span is not None
    assert statements.send_time(span, day) == at(zone, local)


def test_automatic_clients_get_the_first_version_unasked_and_others_a_draft(desk: Desk) -> None:
    set_price(desk)
    project = client(desk, "UTC")
    settings = Settings(project.project_id, automatic=True, send_day=5, recipients=("a@b.example",))
    desk.do(lambda tx, act: statements.set_statement_settings(tx, settings, act))
    made = used(1, project, at("UTC", "2026-10-10T00:00:00"))
    book(desk, made)
    desk.clock.now_unix_ms = at("UTC", "2026-11-02T23:59:59")
    assert desk.read(lambda tx: statements.due_builds(tx, project, desk.now)) == []
    desk.clock.now_unix_ms = at("UTC", "2026-11-03T00:00:00")
    [plan] = desk.read(lambda tx: statements.due_builds(tx, project, desk.now))
    assert plan.month.name == "2026-10"
    kept = build(desk, project)
    assert kept.state is State.APPROVED
    assert kept.due_unix_ms == at("UTC", "2026-11-05T09:00:00")
    assert desk.read(lambda tx: statements.due_builds(tx, project, desk.now)) == []
    correct(desk, made, 1)
    [again] = desk.read(lambda tx: statements.due_builds(tx, project, desk.now))
    assert again.month.name == "2026-10"
    second = build(desk, project)
    assert second.state is State.APPROVED, "nobody was sent the first"
    desk.do(lambda tx, act: statements.mark_sent(tx, second, act))
    correct(desk, made, 1)
    assert build(desk, project).state is State.DRAFT, "what differs from it a person looks at"


def test_a_worth_is_shown_where_somebody_agreed_and_from_ten_units_on(desk: Desk) -> None:
    set_price(desk)
    project = client(desk, "UTC")
    start = at("UTC", "2026-10-10T00:00:00")
    calls = [used(n, project, start + n * HOUR_MS, workflow="leads") for n in range(12)]
    # A run whose last call failed is no unit, one that failed first is.
    calls += [
        used(50, project, start + DAY_MS, workflow="leads", execution="run-1", outcome="timeout"),
        used(51, project, start - 1, workflow="leads", execution="run-2", outcome="lost"),
        used(52, project, start, workflow="few", execution="x"),
    ]
    book(desk, *calls)
    for workflow in ("leads", "few", "unused"):
        roi = Roi(project.project_id, workflow, "lead", "", "execution", 180, "Dana", "2026-03-02")
        desk.do(lambda tx, act, r=roi: workflows.set_roi(tx, r, act))  # type: ignore[misc]  # run at once
    [worth] = value_of(desk, build(desk, project, "2026-10")).worths
    assert (worth.workflow, worth.unit_count, worth.units) == ("leads", 11, "leads")
    assert worth.saved_seconds == 11 * 180
    assert worth.amount_nano_usd == sum(
        made.cost_nano_usd for made in calls if made.workflow == "leads"
    )
    for wrong in ({"agreed_by": ""}, {"agreed_on": "spring"}, {"seconds_per_unit": 0}):
        fields = {"agreed_by": "Dana", "agreed_on": "2026-03-02", "seconds_per_unit": 1} | wrong
        roi = Roi(project.project_id, "leads", "lead", "", "call", **fields)  # type: ignore[arg-type]  # a test's own fields
        with pytest.raises(InvalidArgumentError):
            desk.do(lambda tx, act, r=roi: workflows.set_roi(tx, r, act))  # type: ignore[misc]  # run at once


def test_a_price_that_comes_is_told_with_its_effect(desk: Desk) -> None:
    set_price(desk)
    project = client(desk, "UTC")
    made = used(1, project, at("UTC", "2026-10-10T00:00:00"), requested_model="gpt-4o")
    book(desk, made)
    tiers = (Tier(0, {"input": 5_000_000, "cached": 1_250_000, "output": 10_000_000}),)
    dearer = ModelPrice("openai", "gpt-4o", (), 100_000, 10_000, tiers, "book-2")
    set_price(desk, dearer, desk.now + DAY_MS)
    [coming] = value_of(desk, build(desk, project, "2026-10")).coming
    assert coming.effect_nano_usd == made.quantities["input"] * 2_500
    assert coming.from_unix_ms == desk.now - 1 + DAY_MS


@pytest.mark.parametrize(
    ("nano", "dollars"), [(1, 1), (99 * USD, 99), (237 * USD + 1, 240), (12_345 * USD, 13_000)]
)
def test_a_proposed_cap_has_two_leading_digits(nano: int, dollars: int) -> None:
    assert round_cap(nano) == dollars * USD
