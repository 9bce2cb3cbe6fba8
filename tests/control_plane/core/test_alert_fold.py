"""Alerts through their states: the table itself, and the stories that it tells."""

import itertools

import pytest

from control_plane.core.alert_fold import (
    Changed,
    LookedAt,
    answer,
    fold,
    happen,
    looked_at_in,
    looked_everywhere,
)
from control_plane.core.alerts import (
    HOUR_MS,
    MINUTE_MS,
    TERMS,
    TRANSITIONS,
    Alert,
    Effect,
    Event,
    Finding,
    Rule,
    Severity,
    State,
)

NOON = 1_795_435_200_000
P1, P2, P3 = Severity.P1, Severity.P2, Severity.P3


class Book:
    """Alerts as the store would keep them."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.now = NOON
        self.numbers = itertools.count(1)

    def look(self, *findings: Finding, looked: LookedAt = looked_everywhere) -> list[Changed]:
        changes = fold(
            self.alerts.values(), findings, looked, lambda: f"a{next(self.numbers)}", self.now
        )
        for change in changes:
            if change.dropped:
                del self.alerts[change.alert.alert_id]
            else:
                self.alerts[change.alert.alert_id] = change.alert
        return changes

    def answer(self, event: Event) -> None:
        change = answer(self.only, event, "dana", "on it", self.now)
        assert change is not None
        self.alerts[change.alert.alert_id] = change.alert

    @property
    def only(self) -> Alert:
        (alert,) = self.alerts.values()
        return alert

    def events(self, changes: list[Changed]) -> list[Event]:
        return [line.event for change in changes for line in change.happened]


def finding(rule: Rule = Rule.STOPPED, severity: Severity = P1, **fields: object) -> Finding:
    return Finding(rule, str(fields.pop("subject", "s")), "prj", severity, **fields)  # type: ignore[arg-type]  # fields of the test's own


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_does_not_happen(state: State, event: Event) -> None:
    alert = Alert("a", Rule.STOPPED, "s", "", P1, state, NOON, measure=7, told=True)
    change = happen(alert, event, NOON + 1)
    if (state, event) not in TRANSITIONS:
        assert change is None
        return
    assert change is not None
    led, effects = TRANSITIONS[state, event]
    assert change.alert.state is led
    assert (change.alert.round_unix_ms == NOON + 1) == (Effect.BEGIN_ROUND in effects)
    assert change.tell_over == (Effect.TELL_OVER in effects)
    assert bool(change.alert.resolved_unix_ms) == (led is State.RESOLVED)


def test_every_rule_has_terms() -> None:
    assert set(TERMS) == set(Rule)


def test_what_is_found_opens_once_and_ends_when_it_is_gone() -> None:
    book = Book()
    assert book.events(book.look(finding())) == [Event.FOUND]
    book.now += MINUTE_MS
    assert book.look(finding()) == []
    assert book.events(book.look()) == [Event.GONE]
    assert not book.only.is_live
    assert book.events(book.look(finding())) == [Event.FOUND]
    assert len(book.alerts) == 2


def test_what_tells_once_never_tells_again() -> None:
    book = Book()
    book.look(finding(Rule.THRESHOLD, P2))
    book.look()
    assert book.look(finding(Rule.THRESHOLD, P2)) == []


def test_what_must_hold_is_not_told_before_and_leaves_nothing_when_it_passes() -> None:
    book = Book()
    book.look(finding(Rule.FORECAST, P3))
    assert book.only.state is State.PENDING
    assert book.look()[0].dropped
    book.look(finding(Rule.FORECAST, P3))
    book.now += 6 * HOUR_MS - 1
    assert book.events(book.look(finding(Rule.FORECAST, P3))) == []
    book.now += 1
    assert book.events(book.look(finding(Rule.FORECAST, P3))) == [Event.FOUND]
    assert book.only.opened_unix_ms - book.only.found_unix_ms == 6 * HOUR_MS


def test_what_comes_back_before_it_was_gone_for_long_enough_goes_on() -> None:
    book = Book()
    near = finding(Rule.TIME_TO_CAP, P1)
    book.look(near)
    for _ in range(3):
        book.look()
        book.now += 15 * MINUTE_MS - 1
        assert book.look(near) != []
    book.look()
    book.now += 15 * MINUTE_MS
    assert book.events(book.look()) == [Event.GONE]


def test_an_acknowledgement_ends_the_round_until_it_lapses() -> None:
    book = Book()
    book.look(finding())
    book.answer(Event.ACKNOWLEDGE)
    assert book.only.round_unix_ms == 0
    book.now += 4 * HOUR_MS - 1
    assert book.look(finding()) == []
    book.now += 1
    assert book.events(book.look(finding())) == [Event.LAPSE]
    assert (book.only.state, book.only.round_unix_ms) == (State.OPEN, book.now)
    assert book.only.answered_by == ""


def test_an_acknowledged_notice_that_tells_once_does_not_lapse() -> None:
    book = Book()
    book.look(finding(Rule.THRESHOLD, P2))
    book.answer(Event.ACKNOWLEDGE)
    book.now += 40 * HOUR_MS
    assert book.look(finding(Rule.THRESHOLD, P2)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (finding(Rule.TIME_TO_CAP, P2), finding(Rule.TIME_TO_CAP, P1)),
        (finding(Rule.STOPPED, P1, measure=3), finding(Rule.STOPPED, P1, measure=30)),
    ],
)
def test_an_acknowledgement_lapses_when_it_gets_worse(before: Finding, after: Finding) -> None:
    book = Book()
    book.look(before)
    book.answer(Event.ACKNOWLEDGE)
    assert book.events(book.look(after)) == [Event.WORSE]
    assert (book.only.state, book.only.severity) == (State.OPEN, after.severity)
    book.answer(Event.ACKNOWLEDGE)
    assert book.look(after) == []


def test_what_gets_less_grave_stays_as_grave_until_it_has_for_long_enough() -> None:
    book = Book()
    book.look(finding(Rule.TIME_TO_CAP, P1))
    book.look(finding(Rule.TIME_TO_CAP, P2))
    assert book.only.severity is P1
    book.now += 15 * MINUTE_MS
    assert book.events(book.look(finding(Rule.TIME_TO_CAP, P2))) == [Event.EASED]
    assert book.only.severity is P2


def test_what_a_person_resolved_stays_quiet_while_it_goes_on_and_opens_when_graver() -> None:
    book = Book()
    book.look(finding(Rule.TIME_TO_CAP, P2))
    book.answer(Event.RESOLVE)
    assert book.look(finding(Rule.TIME_TO_CAP, P2)) == []
    assert book.events(book.look(finding(Rule.TIME_TO_CAP, P1))) == [Event.FOUND]


def test_what_a_person_resolved_opens_again_after_it_was_gone() -> None:
    book = Book()
    book.look(finding())
    book.answer(Event.RESOLVE)
    book.look()
    assert not book.only.holds
    assert book.events(book.look(finding())) == [Event.FOUND]


def test_a_silent_sidecar_freezes_what_rests_on_its_data_and_nothing_else() -> None:
    book = Book()
    silent = finding(Rule.SILENT, P2)
    book.look(finding(), silent)
    scopes = {Rule.STOPPED: None, Rule.SILENT: None}
    cases = [(frozenset({"prj"}), 0), (frozenset({""}), 0), (frozenset({"other"}), 1)]
    for frozen, ended in cases:
        again = Book()
        again.alerts = dict(book.alerts)
        changes = again.look(silent, looked=looked_at_in(scopes, frozen))
        assert again.events(changes) == [Event.GONE] * ended, frozen
    assert book.events(book.look(finding(), looked=looked_at_in(scopes, frozenset({"prj"})))) == [
        Event.GONE
    ]


def test_what_was_not_looked_at_neither_opens_nor_ends() -> None:
    book = Book()
    book.look(finding())
    assert book.look(looked=looked_at_in({}, frozenset())) == []
    assert book.look(looked=looked_at_in({Rule.STOPPED: frozenset({"x"})}, frozenset())) == []
    assert book.look(looked=looked_at_in({Rule.STOPPED: frozenset({"prj"})}, frozenset())) != []


def budget(rule: Rule, severity: Severity, rank: int, subject: str = "s") -> Finding:
    return finding(rule, severity, rank=rank, group="b", subject=subject)


def test_of_one_thing_the_highest_speaks_unless_another_is_graver() -> None:
    eighty = budget(Rule.THRESHOLD, P2, 3, "80")
    near = budget(Rule.TIME_TO_CAP, P2, 2)
    page = budget(Rule.TIME_TO_CAP, P1, 6)
    ninety_five = budget(Rule.THRESHOLD, P2, 4, "95")
    stopped = budget(Rule.STOPPED, P1, 7)
    told: list[list[str]] = []
    book = Book()
    for found in (
        [eighty],
        [eighty, near],
        [eighty, page],
        [eighty, page, ninety_five],
        [eighty, page, ninety_five, stopped],
        [eighty, ninety_five],
    ):
        book.now += 15 * MINUTE_MS
        book.look(*found)
        told.append(
            sorted(
                f"{one.rule}{one.subject}"
                for one in book.alerts.values()
                if one.is_live and not one.muted_by
            )
        )
    to_cap, stop = "spend.time_to_caps", "budget.stoppeds"
    assert told == [
        ["budget.threshold80"],
        ["budget.threshold80"],
        [to_cap],
        [to_cap],
        [stop],
        # The page's fifteen minutes are not over yet.
        [to_cap],
    ]


def test_what_is_heard_again_after_it_was_muted_is_not_told_twice() -> None:
    book = Book()
    low, high = budget(Rule.ERROR_RATE, P1, 1), budget(Rule.OUTAGE, P1, 2)
    book.look(low)
    first = next(iter(book.alerts.values()))
    book.alerts[first.alert_id] = Alert(
        **{name: getattr(first, name) for name in first.__slots__} | {"told": True}
    )
    book.look(low, high)
    book.look(low)
    book.now += 15 * MINUTE_MS
    book.look(low)
    again = book.alerts[first.alert_id]
    assert (again.muted_by, again.round_unix_ms, again.steps_done) == ("", book.now, 1)
