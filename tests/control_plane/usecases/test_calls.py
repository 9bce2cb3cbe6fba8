"""The ledger as people read it: sums that equal the calls, to the nano-dollar."""

import random
from dataclasses import replace
from functools import partial

import pytest

from control_plane.core.budgets import Budget, NewBudget
from control_plane.core.calls import OUTCOMES, Call, Settle
from control_plane.core.leases import BudgetRef, Holder, Lease, PeriodKey
from control_plane.core.ledger import fold
from control_plane.core.log import CallFilter
from control_plane.core.pages import Asked
from control_plane.core.sidecars import Sidecar
from control_plane.core.usage import GROUPINGS, Sums, UsageAnswer, UsageQuestion
from control_plane.store import leases, ledger, periods, rollups
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, calls
from protos.values.errors import InvalidArgumentError, NotFoundError
from protos.values.selectors import Selector
from tests.control_plane.desk import DAY_MS, HOUR_MS, NOON, USD, Desk

SIDECAR = Holder("sdc_" + "0" * 26, 1)


def call(number: int, **fields: object) -> Call:
    made = Call(
        call_id=f"call_{number:026d}",
        started_unix_ms=NOON,
        ended_unix_ms=NOON + 900,
        project_id="",
        key_id="key",
        secret_id="sec",
        workflow="w",
        execution="7",
        step="",
        region="",
        provider="openai",
        surface="/v1/chat/completions",
        requested_model="gpt-4o",
        answered_model="gpt-4o-2024-08-06",
        alias="",
        tier="default",
        streamed=True,
        outcome="ok",
        error_kind="",
        status=200,
        first_byte_ms=120,
        quantities={"input": 11, "cached": 5, "output": 3, "reasoning": 2},
        price_version="built-in",
        worst_nano_usd=10_000,
        cost_nano_usd=1_234,
        estimated=False,
        parent_call_id="",
        provider_request_id="req_1",
        clamped_output_count=0,
        vector=(),
        counted=(),
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def book(desk: Desk, *booked: Call) -> None:
    """Book calls as a Sync does."""

    def nowhere(_budget: BudgetRef, _instant: int) -> PeriodKey:
        raise AssertionError

    folded = fold([Settle(n, c, c.cost_nano_usd) for n, c in enumerate(booked, 1)], nowhere)

    def write(tx: Tx) -> None:
        ledger.insert_calls(tx, SIDECAR, folded.calls, desk.now)
        rollups.add(tx, folded.rollups)

    desk.do_alone(write)


def ask(desk: Desk, question: UsageQuestion) -> UsageAnswer:
    return desk.read(lambda tx: calls.query_usage(tx, question, desk.now))


def test_a_call_is_read_as_it_was_booked(desk: Desk) -> None:
    project, _ = desk.project()
    made = call(1, project_id=project.project_id)
    book(desk, made)
    found = desk.read(lambda tx: calls.get_call(tx, made.call_id))
    assert found.call == made
    assert (found.sidecar_id, found.position) == (SIDECAR.sidecar_id, 1)
    with pytest.raises(NotFoundError):
        desk.read(lambda tx: calls.get_call(tx, "call_" + "9" * 26))


@pytest.mark.parametrize("seed", range(8))
def test_every_grouping_sums_to_the_same_total(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    projects = [desk.project(name)[0].project_id for name in ("A", "B")]
    booked = [
        call(
            number,
            project_id=dice.choice(projects),
            key_id=dice.choice("kl"),
            workflow=dice.choice(["", "one", "two"]),
            requested_model=dice.choice(["gpt-4o", "claude-haiku-4-5"]),
            provider=dice.choice(["openai", "anthropic"]),
            outcome=dice.choice(OUTCOMES),
            estimated=dice.random() < 0.1,
            cost_nano_usd=dice.randrange(10**9),
            started_unix_ms=NOON - dice.randrange(20 * DAY_MS),
        )
        for number in range(120)
    ]
    book(desk, *booked)
    expected = sum(made.cost_nano_usd for made in booked)
    for length in range(4):
        group_by = tuple(dice.sample(GROUPINGS, length))
        start = NOON - 21 * DAY_MS
        answer = ask(desk, UsageQuestion(group_by, start_unix_ms=start))
        assert answer.total.cost_nano_usd == expected
        assert answer.total.call_count == len(booked)
        assert sum(row.sums.cost_nano_usd for row in answer.rows) == expected
        assert len({row.group for row in answer.rows}) == len(answer.rows)
    own = ask(desk, UsageQuestion((), projects[0], start_unix_ms=NOON - 21 * DAY_MS))
    assert own.total.cost_nano_usd == sum(
        made.cost_nano_usd for made in booked if made.project_id == projects[0]
    )


def test_days_turn_at_the_midnight_of_the_zone_that_is_asked_for(desk: Desk) -> None:
    project, _ = desk.project()
    # 23:45 and 00:00 in Kathmandu (UTC+5:45) on the two sides of a midnight there.
    midnight = NOON - 12 * HOUR_MS + 18 * HOUR_MS + 15 * 60_000 - DAY_MS
    book(
        desk,
        call(1, project_id=project.project_id, started_unix_ms=midnight - 1, cost_nano_usd=1),
        call(2, project_id=project.project_id, started_unix_ms=midnight, cost_nano_usd=20),
    )
    question = UsageQuestion(("day",), project.project_id, time_zone="Asia/Kathmandu")
    answer = ask(desk, question)
    assert [(row.group, row.sums.cost_nano_usd) for row in answer.rows] == [
        (("2026-11-22",), 1),
        (("2026-11-23",), 20),
    ]
    # By default days are those of the project.
    assert ask(desk, UsageQuestion(("day",), project.project_id)).time_zone == "Europe/Berlin"


def test_without_times_the_current_month_is_summed(desk: Desk) -> None:
    project, _ = desk.project()
    book(
        desk,
        call(1, project_id=project.project_id, started_unix_ms=NOON - 40 * DAY_MS),
        call(2, project_id=project.project_id, started_unix_ms=NOON - 60_000, cost_nano_usd=5),
    )
    assert ask(desk, UsageQuestion()).total.cost_nano_usd == 5


def test_the_dearest_comes_first(desk: Desk) -> None:
    project, _ = desk.project()
    book(
        desk,
        *(
            call(n, project_id=project.project_id, workflow=f"w{n}", cost_nano_usd=cost)
            for n, cost in enumerate([3, 9, 5])
        ),
    )
    rows = ask(desk, UsageQuestion(("workflow",))).rows
    assert [row.group for row in rows] == [("w1",), ("w2",), ("w0",)]


def test_what_was_used_is_counted(desk: Desk) -> None:
    project, _ = desk.project()
    book(desk, call(1, project_id=project.project_id, outcome="timeout", estimated=True))
    assert ask(desk, UsageQuestion()).total == Sums(1, 1, 1, 16, 3, 1_234)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (UsageQuestion(("client",)), "group_by"),
        (UsageQuestion(("day", "day")), "group_by"),
        (UsageQuestion(time_zone="Nowhere"), "time_zone"),
        (UsageQuestion(start_unix_ms=NOON, end_unix_ms=NOON - DAY_MS), "end_time"),
        (UsageQuestion(("day",), start_unix_ms=0), "group_by"),
    ],
)
def test_questions_without_an_answer_are_refused(
    desk: Desk, question: UsageQuestion, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ask(desk, question)
    assert caught.value.fields["field"] == field


def test_calls_are_listed_newest_first_and_filtered(desk: Desk) -> None:
    project, _ = desk.project()
    other, _ = desk.project("Other")
    book(
        desk,
        *(
            call(
                n,
                project_id=(project if n % 2 else other).project_id,
                started_unix_ms=NOON + n * 1_000,
            )
            for n in range(10)
        ),
    )

    def positions(wanted: CallFilter) -> list[int]:
        found: list[int] = []
        token = ""
        while True:
            page = desk.read(partial(calls.list_calls, asked=Asked(2, token), wanted=wanted))
            found += [logged.position for logged in page.items]
            token = page.next_token
            if not token:
                return found

    assert positions(CallFilter()) == list(range(10, 0, -1))
    assert positions(CallFilter(project.project_id)) == [10, 8, 6, 4, 2]
    late = CallFilter(start_unix_ms=NOON + 3_000, end_unix_ms=NOON + 6_000)
    assert positions(late) == [6, 5, 4]
    assert positions(CallFilter(workflow="none")) == []


def test_a_tail_reads_on_from_its_place_and_misses_nothing(desk: Desk) -> None:
    project, _ = desk.project()
    other, _ = desk.project("Other")
    book(desk, *(call(n, project_id=project.project_id) for n in range(3)))
    start = desk.read(lambda tx: calls.tail_from(tx, "", calls.TailStart()))
    assert start == 3
    book(
        desk,
        *(call(n, project_id=(project if n % 2 else other).project_id) for n in range(3, 1_203)),
    )
    seen: list[int] = []
    position = start
    more = True
    while more:
        batch = desk.read(
            partial(calls.tail_calls, project_id=project.project_id, after_position=position)
        )
        assert len(batch.calls) <= 500
        seen += [logged.position for logged in batch.calls]
        position, more = batch.position, batch.more
    assert seen == [n + 1 for n in range(3, 1_203) if n % 2]
    assert position == 1_203


def test_lumps_of_lost_sidecars_are_told_once_for_each_client(desk: Desk) -> None:
    project, wide = desk.project()
    narrow = NewBudget(
        selector=Selector(project_id=project.project_id, workflow="w"), cap_nano_usd=USD
    )
    inside = desk.do(lambda tx, act: budgets.create_budget(tx, narrow, "", act)).budget
    agency = desk.do(
        lambda tx, act: budgets.create_budget(tx, NewBudget(cap_nano_usd=USD), "", act)
    ).budget
    other, own = desk.project("Other")
    holder = desk.sidecar()
    for budget, lump in ((wide, 40), (inside, 30), (agency, 50), (own, 7)):
        desk.do_alone(partial(lump_of, sidecar=holder, budget=budget, amount=lump))

    def asked(**fields: object) -> int:
        return ask(desk, UsageQuestion(**fields)).lump_nano_usd  # type: ignore[arg-type]  # a test's own fields

    assert asked(project_id=project.project_id) == 40
    assert asked(project_id=other.project_id) == 7
    assert asked() == 47
    assert asked(start_unix_ms=NOON) == 0


def lump_of(tx: Tx, sidecar: Sidecar, budget: Budget, amount: int) -> None:
    """A lost lease that was charged."""
    period = periods.ensure(tx, budget.budget_id, "", NOON)
    assert period is not None
    leases.put(
        tx,
        Lease(
            Holder(sidecar.sidecar_id, 1),
            period.key,
            granted_nano_usd=amount,
            state="ORPHANED",
            lump_nano_usd=amount,
        ),
    )
