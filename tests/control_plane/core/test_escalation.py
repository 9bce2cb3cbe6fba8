"""Who is told when: hours of work, quiet hours, rounds, and what a client hears."""

from dataclasses import replace
from datetime import datetime

import pytest

from control_plane.core.alerts import MINUTE_MS, Alert, Rule, Severity, State
from control_plane.core.escalation import (
    Agreement,
    ClientTold,
    Hours,
    Person,
    Tier,
    answer_due_unix_ms,
    client_is_due,
    default_hours,
    due_tiers,
    may_be_sent_unix_ms,
    steps,
)
from control_plane.core.zones import load_zone

BERLIN = "Europe/Berlin"
HOURS = default_hours(BERLIN)
P1, P2, P3, P4 = Severity


def at(text: str) -> int:
    """A local time in Berlin; 2026-11-23 is a Monday."""
    return int(datetime.fromisoformat(text).replace(tzinfo=load_zone(BERLIN)).timestamp()) * 1_000


def alert(severity: Severity, begun: int, **fields: object) -> Alert:
    made = Alert("a", Rule.STOPPED, "s", "prj", severity, State.OPEN, begun, round_unix_ms=begun)
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of the test's own


@pytest.mark.parametrize(
    ("severity", "begun", "expected"),
    [
        (P1, "2026-11-23T10:00", ["10:00 OWNER", "10:15 BACKUP", "10:30 LEAD", "10:45 OWNER"]),
        (P1, "2026-11-22T03:00", ["03:00 OWNER", "03:30 BACKUP", "04:00 LEAD", "04:30 OWNER"]),
        (P2, "2026-11-23T10:00", ["10:00 OWNER", "14:00 BACKUP", "09:00 LEAD"]),
        (P2, "2026-11-23T15:00", ["15:00 OWNER", "11:00 BACKUP", "09:00 LEAD"]),
        (P2, "2026-11-21T12:00", ["12:00 OWNER", "13:00 BACKUP", "09:00 LEAD"]),
        (P3, "2026-11-23T10:00", ["10:00 OWNER"]),
        (P4, "2026-11-23T10:00", ["09:00 OWNER"]),
        (P4, "2026-11-22T10:00", ["09:00 OWNER"]),
    ],
)
def test_a_round_of_telling(severity: Severity, begun: str, expected: list[str]) -> None:
    zone = load_zone(BERLIN)
    taken = [
        f"{datetime.fromtimestamp(step.at_unix_ms // 1000, zone):%H:%M} {step.tier}"
        for step in steps(severity, at(begun), HOURS)
    ]
    assert taken[:4] == expected
    assert len(taken) == {P1: 9, P2: 3, P3: 1, P4: 1}[severity]


@pytest.mark.parametrize(
    ("severity", "begun", "done", "due"),
    [
        (P1, "2026-11-23T10:00", 1, "2026-11-23T10:15"),
        (P1, "2026-11-23T10:00", 2, "2026-11-23T10:30"),
        (P1, "2026-11-22T03:00", 1, "2026-11-22T03:30"),
        (P2, "2026-11-20T16:00", 1, "2026-11-23T12:00"),
        (P3, "2026-11-20T10:00", 1, "2026-11-23T17:00"),
        (P3, "2026-11-21T10:00", 1, "2026-11-23T17:00"),
    ],
)
def test_by_when_somebody_answers(severity: Severity, begun: str, done: int, due: str) -> None:
    assert answer_due_unix_ms(alert(severity, at(begun), steps_done=done), HOURS) == at(due)


def test_a_digest_is_not_answered_and_neither_is_what_was() -> None:
    assert answer_due_unix_ms(alert(P4, at("2026-11-23T10:00")), HOURS) == 0
    assert answer_due_unix_ms(alert(P1, at("2026-11-23T10:00"), round_unix_ms=0), HOURS) == 0


def test_each_is_told_once_also_when_nobody_looked_for_an_hour() -> None:
    begun = at("2026-11-23T10:00")
    one = alert(P1, begun)
    assert due_tiers(one, HOURS, begun) == ((Tier.OWNER,), 1)
    later = replace(one, steps_done=1)
    assert due_tiers(later, HOURS, begun + 14 * MINUTE_MS) == ((), 1)
    assert due_tiers(later, HOURS, begun + 15 * MINUTE_MS) == ((Tier.BACKUP,), 2)
    everybody = (Tier.BACKUP, Tier.LEAD, Tier.OWNER)
    assert due_tiers(later, HOURS, begun + 60 * MINUTE_MS) == (everybody, 5)
    assert due_tiers(replace(one, steps_done=9), HOURS, begun * 2) == ((), 9)
    for quiet in (replace(one, muted_by="b"), replace(one, round_unix_ms=0)):
        assert due_tiers(quiet, HOURS, begun)[0] == ()


def test_quiet_hours_hold_back_what_is_no_page() -> None:
    nights = Hours(BERLIN, 22 * 60, 7 * 60, (1, 2, 3, 4, 5, 6, 7))
    weekend = Hours(BERLIN, 0, 24 * 60, (6, 7))
    cases = [
        (nights, P2, "2026-11-23T21:59", "2026-11-23T21:59"),
        (nights, P2, "2026-11-23T22:00", "2026-11-24T07:00"),
        (nights, P2, "2026-11-24T06:59", "2026-11-24T07:00"),
        (nights, P1, "2026-11-24T03:00", "2026-11-24T03:00"),
        (weekend, P3, "2026-11-21T12:00", "2026-11-23T00:00"),
        (None, P3, "2026-11-21T12:00", "2026-11-21T12:00"),
    ]
    for quiet, severity, now, sent in cases:
        person = Person("p", "Dana", ("c",), quiet)
        assert may_be_sent_unix_ms(person, severity, at(now)) == at(sent), now


def test_hours_turn_with_the_clocks() -> None:
    """Clocks went back in the night to Sunday, 25 October 2026: it had 25 hours."""
    days = Hours(BERLIN, 0, 24 * 60, (1, 2, 3, 4, 5, 6, 7))
    begin, end = next(
        stretch
        for stretch in days.stretches(at("2026-10-25T12:00"))
        if stretch[0] >= at("2026-10-25T00:00")
    )
    assert end - begin == 25 * 60 * MINUTE_MS


STOP = alert(P1, at("2026-11-23T10:00"), opened_unix_ms=at("2026-11-23T10:00"))
EIGHTY = replace(STOP, rule=Rule.THRESHOLD, severity=P2, facts={"percent": 80})


@pytest.mark.parametrize(
    ("one", "told", "thresholds", "minutes", "due"),
    [
        (STOP, ClientTold.NEVER, True, 600, False),
        (STOP, ClientTold.LATE, False, 29, False),
        (STOP, ClientTold.LATE, False, 30, True),
        (STOP, ClientTold.AT_ONCE, False, 0, True),
        (replace(STOP, client_told=True), ClientTold.AT_ONCE, False, 0, False),
        (replace(STOP, state=State.RESOLVED), ClientTold.AT_ONCE, False, 0, False),
        (replace(STOP, state=State.ACKNOWLEDGED), ClientTold.LATE, False, 30, True),
        (EIGHTY, ClientTold.AT_ONCE, False, 600, False),
        (EIGHTY, ClientTold.NEVER, True, 0, True),
        (replace(EIGHTY, muted_by="b"), ClientTold.NEVER, True, 0, False),
        (replace(EIGHTY, facts={"percent": 50}), ClientTold.NEVER, True, 0, False),
    ],
)
def test_a_client_is_told_what_its_contract_says(
    one: Alert, told: ClientTold, thresholds: bool, minutes: int, due: bool
) -> None:
    agreement = Agreement(
        "prj", client_channel_ids=("c",), client_told=told, client_thresholds=thresholds
    )
    assert client_is_due(one, agreement, STOP.opened_unix_ms + minutes * MINUTE_MS) is due
    nowhere = replace(agreement, client_channel_ids=())
    assert not client_is_due(one, nowhere, STOP.opened_unix_ms + minutes * MINUTE_MS)
