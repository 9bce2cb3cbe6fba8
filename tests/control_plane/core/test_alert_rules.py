"""Each rule at its edges, and the text that each finding makes."""

from dataclasses import replace

import pytest

from control_plane.core.alert_health import (
    Answers,
    DeliverySeen,
    LatencySeen,
    MarginSeen,
    OrphanSeen,
    PriceSeen,
    RetirementSeen,
    SidecarSeen,
    WorkflowSeen,
    judge_answers,
    judge_delivery,
    judge_latency,
    judge_margin,
    judge_orphans,
    judge_price,
    judge_retirement,
    judge_sidecar,
)
from control_plane.core.alert_money import BudgetSeen, Pace, judge
from control_plane.core.alert_texts import (
    Context,
    tell,
    tell_client,
    tell_escalated,
    tell_over,
)
from control_plane.core.alerts import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Alert,
    Finding,
    Rule,
    Severity,
    State,
)
from control_plane.core.deliveries import Message
from control_plane.core.forecast import Forecast, Trouble
from control_plane.core.leases import PeriodKey

USD = 1_000_000_000
NOON = 1_795_435_200_000
P1, P2, P3, P4 = Severity
CONTEXT = Context("Dana", NOON + HOUR_MS, "Europe/Berlin", "https://desk.example/alerts/a")

SEEN = BudgetSeen(
    key=PeriodKey("bgt_1", "", "2026-11-01"),
    project_id="prj",
    client="Acme Dental",
    budget="Acme Dental, each month",
    cap_nano_usd=100 * USD,
    cap_version=3,
    spent_nano_usd=10 * USD,
    start_unix_ms=NOON - 22 * DAY_MS,
    end_unix_ms=NOON + 8 * DAY_MS,
)


def found(seen: BudgetSeen) -> list[tuple[Rule, Severity]]:
    return [(one.rule, one.severity) for one in judge(seen, NOON)]


@pytest.mark.parametrize(
    ("spent", "percents"),
    [(49, []), (50, [50]), (80, [50, 80]), (95, [50, 80, 95]), (100, [50, 80, 95, 100])],
)
def test_thresholds_of_a_version_of_a_cap(spent: int, percents: list[int]) -> None:
    seen = replace(SEEN, spent_nano_usd=spent * USD)
    assert [one.facts["percent"] for one in judge(seen, NOON)] == percents
    short = replace(SEEN, spent_nano_usd=spent * USD - 1)
    assert len(list(judge(short, NOON))) == max(0, len(percents) - 1)
    raised = replace(seen, cap_version=4)
    subjects = [{one.subject for one in judge(which, NOON)} for which in (seen, raised)]
    assert not subjects[0] & subjects[1]


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        # 90 dollars are left; a runaway takes a twelfth of the cap in an hour.
        (0, 50, None),
        (5, 0, None),
        (1.24, 8, None),
        (1.25, 15, P1),
        (3, 15, P1),
        (3.75, 8.3, None),
        (1.24, 15, None),
        (5, 45, P1),
    ],
)
def test_time_to_cap_by_both_paces(short: float, long: float, expected: Severity | None) -> None:
    pace = Pace(short_nano_usd=int(short * USD), long_nano_usd=int(long * USD))
    kinds = [one for rule, one in found(replace(SEEN, pace=pace)) if rule is Rule.TIME_TO_CAP]
    assert kinds == ([] if expected is None else [expected])


def test_a_slow_pace_near_the_cap_is_a_notice_then_a_page() -> None:
    for left, expected in ((31, None), (30, P2), (11, P2), (10, P1)):
        seen = replace(
            SEEN,
            spent_nano_usd=(100 - left) * USD,
            pace=Pace(short_nano_usd=USD // 2, long_nano_usd=5 * USD),
        )
        kinds = [one for rule, one in found(seen) if rule is Rule.TIME_TO_CAP]
        assert kinds == ([] if expected is None else [expected]), left


def test_what_does_not_reach_the_cap_before_the_window_ends_is_not_told() -> None:
    near = replace(
        SEEN,
        spent_nano_usd=95 * USD,
        pace=Pace(short_nano_usd=USD // 2, long_nano_usd=5 * USD),
    )
    assert (Rule.TIME_TO_CAP, P1) in found(replace(near, end_unix_ms=NOON + HOUR_MS + 1))
    assert (Rule.TIME_TO_CAP, P1) not in found(replace(near, end_unix_ms=NOON + HOUR_MS))
    assert (Rule.TIME_TO_CAP, P1) in found(replace(near, end_unix_ms=None))


def test_the_first_refused_call_stops_a_client_until_its_budget_has_room() -> None:
    stopped = replace(SEEN, refused_count=1, refused_unix_ms=NOON, still_refused=True)
    assert found(stopped) == [(Rule.STOPPED, P1)]
    assert found(replace(stopped, still_refused=False)) == []


def forecast(expected: int, trouble: Trouble = Trouble.NONE) -> Forecast:
    return Forecast(expected * USD, 90 * USD, 120 * USD, trouble, 0, 60)


@pytest.mark.parametrize(
    ("seen", "tells"),
    [
        (replace(SEEN, forecast=forecast(106)), True),
        (replace(SEEN, forecast=forecast(105)), False),
        (replace(SEEN, forecast=forecast(99), forecast_was_above=True), True),
        (replace(SEEN, forecast=forecast(98), forecast_was_above=True), False),
        (replace(SEEN, forecast=forecast(200, Trouble.IRREGULAR)), False),
        (replace(SEEN, forecast=forecast(200), start_unix_ms=NOON - 3 * DAY_MS + 1), False),
    ],
)
def test_a_forecast_above_the_cap(seen: BudgetSeen, tells: bool) -> None:
    assert found(seen) == ([(Rule.FORECAST, P3)] if tells else [])


def workflow(
    quarter: tuple[int, int], hour: tuple[int, int], project: str = "prj", **more: tuple[int, int]
) -> WorkflowSeen:
    windows = {15 * MINUTE_MS: Answers(*quarter), HOUR_MS: Answers(*hour)}
    windows[30 * MINUTE_MS] = Answers(*more.get("half", quarter))
    windows[6 * HOUR_MS] = Answers(*more.get("six", hour))
    return WorkflowSeen(project, "Acme", "leads", "openai", windows)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (workflow((30, 10), (100, 29)), P1),
        (workflow((30, 10), (100, 28)), P2),
        (workflow((30, 8), (100, 29)), P2),
        (workflow((30, 10), (50, 19)), None),
        (workflow((4, 2), (100, 90)), None),
        (workflow((30, 0), (100, 90)), None),
        (workflow((100, 12), (100, 12), six=(400, 48)), P2),
        (workflow((100, 11), (100, 11), six=(400, 47)), None),
    ],
)
def test_failures_are_measured_by_both_windows(
    seen: WorkflowSeen, expected: Severity | None
) -> None:
    kinds = [one.severity for one in judge_answers([seen])]
    assert kinds == ([] if expected is None else [expected])


def test_a_provider_that_fails_three_clients_is_out() -> None:
    failing = [workflow((30, 20), (100, 60), f"prj{number}") for number in range(3)]
    assert [one.rule for one in judge_answers(failing[:2])] == [Rule.ERROR_RATE] * 2
    out, *errors = judge_answers(failing)
    assert (out.rule, out.severity, out.facts["client_count"]) == (Rule.OUTAGE, P1, 3)
    assert {(one.group, one.rank < out.rank) for one in errors} == {(out.group, True)}


SLOW = LatencySeen("prj", "Acme", "leads", 20, 2_001, 400, 1_000)
SILENT = SidecarSeen("sdc", "host-1", (), NOON - 2 * MINUTE_MS - 1)
ORPHAN = OrphanSeen("sdc", "host-1", 3 * USD, 2)
LOSS = MarginSeen("prj", "Acme", "2026-11", 5 * USD, 4 * USD)
DEARER = PriceSeen("prj", "Acme", "openai", "gpt", "v2", NOON + DAY_MS, 40 * USD, 250_000)
GONE = RetirementSeen(
    "prj", "Acme", "openai", "gpt-4", NOON + 6 * DAY_MS, "gpt-5", 40 * USD, 30 * USD
)
MUTE = DeliverySeen("chn", "ops mail", 2, "550 no such user")


def test_what_is_usual_is_not_told() -> None:
    quiet = [
        judge_latency(replace(SLOW, p95_ms=2_000)),
        judge_latency(replace(SLOW, call_count=19)),
        judge_latency(replace(SLOW, usual_count=19)),
        judge_latency(replace(SLOW, p95_ms=499, usual_p95_ms=1)),
        judge_sidecar(replace(SILENT, heard_unix_ms=NOON - 2 * MINUTE_MS), NOON),
        judge_orphans(replace(ORPHAN, held_nano_usd=0)),
        judge_margin(replace(LOSS, charge_nano_usd=5 * USD)),
        judge_margin(replace(LOSS, cost_nano_usd=USD - 1, charge_nano_usd=0)),
        judge_price(replace(DEARER, effect_ppm=50_000)),
        judge_price(replace(DEARER, spent_nano_usd=0)),
        judge_retirement(replace(GONE, spent_nano_usd=0), NOON),
        judge_retirement(replace(GONE, retires_unix_ms=NOON + 90 * DAY_MS), NOON),
    ]
    assert [list(one) for one in quiet] == [[]] * len(quiet)


@pytest.mark.parametrize(("days", "expected"), [(-1, P2), (6, P2), (7, P3), (30, P4), (89, P4)])
def test_a_retirement_gets_graver(days: int, expected: Severity) -> None:
    (one,) = judge_retirement(replace(GONE, retires_unix_ms=NOON + days * DAY_MS), NOON)
    assert one.severity is expected


def all_findings() -> list[Finding]:
    pace = Pace(short_nano_usd=5 * USD, long_nano_usd=45 * USD)
    budget = replace(
        SEEN,
        spent_nano_usd=81 * USD,
        pace=pace,
        refused_count=7,
        still_refused=True,
        refused_unix_ms=NOON,
        forecast=forecast(130),
    )
    failing = [workflow((30, 20), (100, 60), f"prj{number}") for number in range(3)]
    return [
        *judge(budget, NOON),
        *judge_answers(failing),
        *judge_latency(SLOW),
        *judge_sidecar(SILENT, NOON),
        *judge_orphans(ORPHAN),
        *judge_margin(LOSS),
        *judge_price(DEARER),
        *judge_price(replace(DEARER, effect_ppm=-250_000)),
        *judge_retirement(GONE, NOON),
        *judge_retirement(replace(GONE, replacement="", replaced_nano_usd=None), NOON),
        *judge_delivery(MUTE),
        Finding(Rule.TEST, "t", "prj", P3, facts={"client": "Acme"}),
    ]


def alert_of(one: Finding) -> Alert:
    return Alert(
        "alt_1",
        one.rule,
        one.subject,
        one.project_id,
        one.severity,
        State.OPEN,
        NOON,
        measure=one.measure,
        facts=one.facts,
    )


def words(text: Message) -> str:
    return "\n".join([text.subject, text.what, *(f"{name}: {said}" for name, said in text.lines)])


def test_every_rule_has_a_text_with_all_that_somebody_needs() -> None:
    assert {one.rule for one in all_findings()} == set(Rule)
    for one in all_findings():
        text = tell(alert_of(one), CONTEXT)
        names = [name for name, _ in text.lines]
        assert names == [
            "Since",
            "How much",
            "If nothing is done",
            "Do this",
            "Owner",
            "Answer by",
            "Acknowledge",
        ]
        assert all(said for _, said in text.lines), text
        assert "Answer by: 2026-11-23 14:00 Europe/Berlin" in words(text)


def test_a_text_says_what_is_used_and_names_the_amounts() -> None:
    by_rule = {one.rule: words(tell(alert_of(one), CONTEXT)) for one in all_findings()}
    assert (
        "[P1] Acme Dental: Acme Dental, each month is stopped at its cap" in by_rule[Rule.STOPPED]
    )
    assert (
        "7 calls refused since 2026-11-23 13:00 Europe/Berlin; $81.00 of $100.00 are used"
        in (by_rule[Rule.STOPPED])
    )
    assert "has used 80% of its cap" in by_rule[Rule.THRESHOLD]
    assert "$130.00 expected ($90.00 to $120.00) of $100.00" in by_rule[Rule.FORECAST]
    assert "about -$10.00 a month" in by_rule[Rule.PRICE]


def test_the_next_one_reads_why_and_those_who_were_told_read_that_it_is_over() -> None:
    stopped = alert_of(next(one for one in all_findings() if one.rule is Rule.STOPPED))
    assert "Why you: Dana has not answered" in words(tell_escalated(stopped, CONTEXT, "Dana"))
    over = replace(
        stopped,
        state=State.RESOLVED,
        resolved_unix_ms=NOON + 7 * MINUTE_MS,
        answered_by="kim",
        note="raised",
    )
    assert words(tell_over(over, CONTEXT)).endswith("Lasted: 7 min\nEnded: kim: raised")


def test_a_client_reads_of_its_budget_and_of_nothing_else() -> None:
    for one in all_findings():
        if one.rule in (Rule.STOPPED, Rule.THRESHOLD):
            said = words(tell_client(alert_of(one), CONTEXT)).casefold()
            assert "$81.00 of $100.00 are used" in said
            for word in ("bursar", "alt_1", "dana", "desk.example", "bgt_1", "acme"):
                assert word not in said
