"""Who is told of an alert, when, and by when somebody answers.

The owner is told first, then the backup, then the lead; a page goes round three times. Each step
waits for the answer that its severity promises. Hours of work are an agreement of the client (or
of the agency): they decide how long an answer may take. Quiet hours are a person's own: what is no
page waits until they are over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from control_plane.core.alerts import HOUR_MS, MINUTE_MS, Alert, Rule, Severity
from control_plane.core.windows import local_date_at
from control_plane.core.zones import load_zone

PAGE_ANSWER_MS: Final = 15 * MINUTE_MS
"""By when a page is answered in hours of work."""
PAGE_ANSWER_OTHER_MS: Final = 30 * MINUTE_MS
"""By when a page is answered at any other time."""
NOTICE_ANSWER_MS: Final = 4 * HOUR_MS
"""By when a notice is answered, in hours of work."""
PAGE_ROUNDS: Final = 3
LATE_CLIENT_MS: Final = 30 * MINUTE_MS
"""A client who is told late hears of a stop when it has lasted for so long."""
_DAY_MINUTES: Final = 24 * 60
_DAYS_AHEAD: Final = 15
"""No agreement is without a day of work for so long; see check_hours."""


class Tier(StrEnum):
    """Who of an agreement."""

    OWNER = "OWNER"
    BACKUP = "BACKUP"
    LEAD = "LEAD"


class ClientTold(StrEnum):
    """When a client hears that its calls are stopped."""

    NEVER = "NEVER"
    LATE = "LATE"
    """When it has lasted for half an hour."""
    AT_ONCE = "AT_ONCE"


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of local time on some days of the week."""

    time_zone: str
    opens_minute: int
    """Minutes after midnight."""
    closes_minute: int
    """Minutes after midnight; when it is not larger, the stretch ends on the next day."""
    weekdays: tuple[int, ...]
    """Days on which it begins, from Monday = 1."""

    def stretches(self, from_unix_ms: int) -> Iterator[tuple[int, int]]:
        """Begin and end of each stretch that ends after an instant, for the next two weeks."""
        zone = load_zone(self.time_zone)
        day = local_date_at(zone, from_unix_ms) - timedelta(days=1)
        for _ in range(_DAYS_AHEAD):
            if day.isoweekday() in self.weekdays:
                begin = _instant(self.time_zone, day, self.opens_minute)
                over = self.closes_minute <= self.opens_minute
                end_day = day + timedelta(days=1) if over else day
                end = _instant(self.time_zone, end_day, self.closes_minute)
                if end > from_unix_ms:
                    yield begin, end
            day += timedelta(days=1)

    def covers(self, at_unix_ms: int) -> bool:
        """Whether an instant is in a stretch."""
        return any(begin <= at_unix_ms < end for begin, end in self.stretches(at_unix_ms))

    def after(self, at_unix_ms: int, worked_ms: int) -> int:
        """When so much of these hours has passed."""
        left = worked_ms
        last = at_unix_ms
        for begin, end in self.stretches(at_unix_ms):
            start = max(begin, at_unix_ms)
            if end - start >= left:
                return start + left
            left -= end - start
            last = end
        return last

    def opening_after(self, at_unix_ms: int) -> int:
        """When the next stretch begins that has not begun yet."""
        begins = (begin for begin, _ in self.stretches(at_unix_ms) if begin > at_unix_ms)
        return next(begins, at_unix_ms)

    def end_of_next_day(self, at_unix_ms: int) -> int:
        """When the next stretch ends that has not begun yet."""
        ends = (end for begin, end in self.stretches(at_unix_ms) if begin > at_unix_ms)
        return next(ends, at_unix_ms)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is told of alerts."""

    person_id: str
    display_name: str
    channel_ids: tuple[str, ...]
    """Where messages reach this person."""
    quiet: Hours | None = None
    """When nothing but a page is sent; None for never."""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """Who answers for a client, by when, and what the client itself is told."""

    project_id: str
    """The client; empty for all that have none of their own, and for the agency itself."""
    owner_id: str = ""
    backup_id: str = ""
    lead_id: str = ""
    hours: Hours | None = None
    """Hours of work; None for Monday to Friday from nine to five in the installation's zone."""
    client_channel_ids: tuple[str, ...] = ()
    """Where messages reach the client."""
    client_told: ClientTold = ClientTold.NEVER
    """When the client hears that its calls are stopped."""
    client_thresholds: bool = False
    """Whether the client hears that 80 and 95 percent are used."""
    version: int = 1

    def person_of(self, tier: Tier) -> str:
        """Who has a tier; empty for nobody."""
        return {
            Tier.OWNER: self.owner_id,
            Tier.BACKUP: self.backup_id,
            Tier.LEAD: self.lead_id,
        }[tier]


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody is to be told."""

    at_unix_ms: int
    tier: Tier


def default_hours(time_zone: str) -> Hours:
    """Monday to Friday from nine to five."""
    return Hours(time_zone, 9 * 60, 17 * 60, (1, 2, 3, 4, 5))


def steps(severity: Severity, round_unix_ms: int, hours: Hours) -> tuple[Step, ...]:
    """Who is told when, as long as nobody answers a round of telling."""
    if severity is Severity.P1:
        wait = page_answer_ms(round_unix_ms, hours)
        return tuple(
            Step(round_unix_ms + place * wait, tier)
            for place, tier in enumerate(list(Tier) * PAGE_ROUNDS)
        )
    if severity is Severity.P2:
        due = hours.after(round_unix_ms, NOTICE_ANSWER_MS)
        return (
            Step(round_unix_ms, Tier.OWNER),
            Step(due, Tier.BACKUP),
            Step(hours.opening_after(due), Tier.LEAD),
        )
    if severity is Severity.P3:
        return (Step(round_unix_ms, Tier.OWNER),)
    return (Step(hours.opening_after(round_unix_ms), Tier.OWNER),)


def page_answer_ms(at_unix_ms: int, hours: Hours) -> int:
    """How long a page may wait for its answer."""
    return PAGE_ANSWER_MS if hours.covers(at_unix_ms) else PAGE_ANSWER_OTHER_MS


def answer_due_unix_ms(alert: Alert, hours: Hours) -> int:
    """By when somebody answers, or else the next one is told; 0 where no answer is due."""
    if not alert.round_unix_ms or alert.severity is Severity.P4:
        return 0
    if alert.severity is Severity.P3:
        return hours.end_of_next_day(alert.round_unix_ms)
    ahead = steps(alert.severity, alert.round_unix_ms, hours)
    if alert.severity is Severity.P2:
        return ahead[1].at_unix_ms
    wait = page_answer_ms(alert.round_unix_ms, hours)
    return alert.round_unix_ms + max(1, alert.steps_done) * wait


def due_tiers(alert: Alert, hours: Hours, now_unix_ms: int) -> tuple[tuple[Tier, ...], int]:
    """Who is to be told now, each once, and how many steps are done then.

    Nobody is while the alert is muted or answered.
    """
    if not alert.round_unix_ms or alert.muted_by:
        return (), alert.steps_done
    ahead = steps(alert.severity, alert.round_unix_ms, hours)
    due = [step for step in ahead[alert.steps_done :] if step.at_unix_ms <= now_unix_ms]
    return tuple(dict.fromkeys(step.tier for step in due)), alert.steps_done + len(due)


def client_is_due(alert: Alert, agreement: Agreement, now_unix_ms: int) -> bool:
    """Whether the client is to hear of an alert now, by its contract."""
    if alert.client_told or not alert.is_live or not agreement.client_channel_ids:
        return False
    if alert.rule is Rule.STOPPED:
        lasted = now_unix_ms - alert.opened_unix_ms
        return agreement.client_told is ClientTold.AT_ONCE or (
            agreement.client_told is ClientTold.LATE and lasted >= LATE_CLIENT_MS
        )
    is_threshold = alert.rule is Rule.THRESHOLD and alert.facts.get("percent") in (80, 95)
    return is_threshold and agreement.client_thresholds and not alert.muted_by


def may_be_sent_unix_ms(person: Person, severity: Severity, now_unix_ms: int) -> int:
    """From when on a message may be sent to somebody: now, or when the quiet hours are over."""
    if severity is Severity.P1 or person.quiet is None:
        return now_unix_ms
    at = now_unix_ms
    for begin, end in person.quiet.stretches(now_unix_ms):
        if begin <= at < end:
            at = end
    return at


def _instant(time_zone: str, day: date, minute: int) -> int:
    """A local time of a day; one that the clocks skip is the instant of the jump or after it."""
    plus, minute = divmod(minute, _DAY_MINUTES)
    local = datetime.combine(
        day + timedelta(days=plus), time(minute // 60, minute % 60), tzinfo=load_zone(time_zone)
    )
    return int(local.astimezone(UTC).timestamp()) * 1_000
