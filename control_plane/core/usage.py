"""What was used, summed: groupings, spans of time, and how rows become an answer.

Sums are over roll-ups of quarter hours (UTC). Every zone that is in use is off UTC by whole quarter
hours, so a day of any zone is a whole number of them. Every call is in exactly one row of an
answer, so the rows sum to the total, to the nano-dollar.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from control_plane import limits
from control_plane.core import fields
from control_plane.core.budgets import Budget
from control_plane.core.windows import INSTANT_MAX_UNIX_MS, window_at

Grouping = Literal["project", "workflow", "model", "key", "provider", "outcome", "day"]
GROUPINGS: Final[tuple[Grouping, ...]] = (
    "project",
    "workflow",
    "model",
    "key",
    "provider",
    "outcome",
    "day",
)
"""By what may be grouped."""
_SPAN_DAYS: Final = 5
_SPANS_OF_MONTH: Final = 6


@dataclass(frozen=True, slots=True)
class Sums:
    """A sum over calls."""

    call_count: int = 0
    failed_count: int = 0
    """Calls that did not end well."""
    estimated_count: int = 0
    """Calls whose cost is an estimate."""
    input_count: int = 0
    """Tokens of prompt, cached ones included."""
    output_count: int = 0
    cost_nano_usd: int = 0
    charge_nano_usd: int = 0
    """What clients are charged."""
    charged_cost_nano_usd: int = 0
    """What the calls cost that they are charged for; the margin is the difference."""
    held_nano_usd: int = 0
    """What was held for calls that ended well and told their usage."""
    held_cost_nano_usd: int = 0
    """What those cost when they were booked; its share of that says how tight bounds are."""

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(
            self.call_count + other.call_count,
            self.failed_count + other.failed_count,
            self.estimated_count + other.estimated_count,
            self.input_count + other.input_count,
            self.output_count + other.output_count,
            self.cost_nano_usd + other.cost_nano_usd,
            self.charge_nano_usd + other.charge_nano_usd,
            self.charged_cost_nano_usd + other.charged_cost_nano_usd,
            self.held_nano_usd + other.held_nano_usd,
            self.held_cost_nano_usd + other.held_cost_nano_usd,
        )


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A sum over the calls that share the values of the grouping."""

    group: tuple[str, ...]
    """The value of each grouping, in the order that was asked for."""
    sums: Sums


Used = tuple[int, int, int, int]
"""Calls, their cost in nano-dollars, tokens of input and of output: where rows are thousands."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Calls that were refused for one reason within a time."""

    workflow: str
    reason: str
    budget_id: str
    """The budget that decided; empty when none did."""
    refused_count: int
    first_unix_ms: int
    """The quarter hour of the first of them."""
    last_unix_ms: int


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What to sum, and how."""

    group_by: tuple[str, ...] = ()
    project_id: str = ""
    """Empty for all."""
    start_unix_ms: int | None = None
    """None for the start of the current month."""
    end_unix_ms: int | None = None
    """None for now."""
    time_zone: str = ""
    """Empty for the project's or the installation's."""


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """The sums, and over what they were made."""

    rows: tuple[UsageRow, ...]
    total: Sums
    start_unix_ms: int
    end_unix_ms: int
    time_zone: str
    lump_nano_usd: int = 0
    """What was charged for lost journals; in no row, because no call is known for it."""


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A day of a zone, in whole buckets: it has those that begin in it."""

    date: str
    start_unix_ms: int
    end_unix_ms: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Buckets that are summed together."""

    day: str
    """The local date; empty when days do not matter."""
    start_unix_ms: int
    end_unix_ms: int


def check_groupings(group_by: Iterable[str]) -> tuple[Grouping, ...]:
    """Groupings that exist, each once."""
    found: list[Grouping] = []
    for name in group_by:
        known = [grouping for grouping in GROUPINGS if grouping == name]
        if not known or known[0] in found:
            raise fields.invalid("group_by", f"each of {', '.join(GROUPINGS)} at most once")
        found.append(known[0])
    return tuple(found)


def span_of(question: UsageQuestion, zone: str, now_unix_ms: int) -> tuple[int, int]:
    """From when until when, in whole buckets: the start rounded down, the end rounded up."""
    end = now_unix_ms if question.end_unix_ms is None else question.end_unix_ms
    start = question.start_unix_ms
    if start is None:
        start = window_at("month", zone, 1, now_unix_ms).start_unix_ms
    for instant, field in ((start, "start_time"), (end, "end_time")):
        fields.check_between(instant, 0, INSTANT_MAX_UNIX_MS - limits.BUCKET_MS, field)
    if end < start:
        raise fields.invalid("end_time", "lies before start_time")
    return start // limits.BUCKET_MS * limits.BUCKET_MS, bucket_up(end)


def local_day(zone: str, instant_unix_ms: int) -> LocalDay:
    """The day that an instant is in.

    A zone of the distant past may turn inside a bucket, which then counts where it begins.
    """
    span = window_at("day", zone, 1, instant_unix_ms // limits.BUCKET_MS * limits.BUCKET_MS)
    assert span.end_unix_ms is not None
    return LocalDay(span.period_id, bucket_up(span.start_unix_ms), bucket_up(span.end_unix_ms))


def bucket_up(instant_unix_ms: int) -> int:
    """The first bucket that does not begin before an instant."""
    return -(-instant_unix_ms // limits.BUCKET_MS) * limits.BUCKET_MS


def whole_days(zone: str, start_unix_ms: int, end_unix_ms: int) -> tuple[int, int]:
    """From when until when a span of buckets is whole days of a zone; empty when no day is."""
    if start_unix_ms >= end_unix_ms:
        return start_unix_ms, start_unix_ms
    first = local_day(zone, start_unix_ms)
    begin = first.start_unix_ms if first.start_unix_ms == start_unix_ms else first.end_unix_ms
    last = local_day(zone, end_unix_ms)
    return (begin, last.start_unix_ms) if begin < last.start_unix_ms else (begin, begin)


def spans_of(date: str) -> tuple[str, str, str]:
    """The spans that a local date is summed in: its month, five days of it, and itself.

    The last five days of a month are as many as are left of it, three to six.
    """
    month, five = date[:7], min((int(date[8:10]) - 1) // _SPAN_DAYS, _SPANS_OF_MONTH - 1)
    return month, f"{month}/{five}", date


def spans_since(zone: str, start_unix_ms: int, end_unix_ms: int) -> list[str]:
    """Months and five days that have every day from one instant to another, in order.

    They begin with the first of five days, and end with the month of the last.
    """
    found: list[str] = []
    at = start_unix_ms
    while at < end_unix_ms:
        day = local_day(zone, at)
        month, five, _ = spans_of(day.date)
        if found and found[-1] == month:
            pass
        elif five == f"{month}/0":
            found.append(month)
        elif five not in found:
            found.append(five)
        at = day.end_unix_ms
    return found


@lru_cache(maxsize=limits.CACHED_WINDOWS_MAX)
def spans_between(zone: str, begin_unix_ms: int, end_unix_ms: int) -> tuple[str, ...]:
    """The fewest spans that are exactly the days of a zone between two midnights of it.

    Every page asks for the same few, several times.
    """
    found: list[str] = []
    at = begin_unix_ms
    while at < end_unix_ms:
        day = local_day(zone, at)
        month = window_at("month", zone, 1, at)
        assert month.end_unix_ms is not None
        if bucket_up(month.start_unix_ms) == at and bucket_up(month.end_unix_ms) <= end_unix_ms:
            found.append(spans_of(day.date)[0])
            at = bucket_up(month.end_unix_ms)
            continue
        _, five, _ = spans_of(day.date)
        is_whole = not at or spans_of(local_day(zone, at - 1).date)[1] != five
        dates = []
        while at < end_unix_ms and spans_of(day.date)[1] == five:
            dates.append(day.date)
            at = day.end_unix_ms
            day = local_day(zone, at)
        is_whole = is_whole and spans_of(day.date)[1] != five
        found += [five] if is_whole and len(dates) > 1 else dates
    return tuple(found)


def stretches(start_unix_ms: int, end_unix_ms: int, zone: str, *, by_day: bool) -> list[Stretch]:
    """The parts that are summed each for itself: days of a zone, or the whole."""
    if not by_day:
        return [Stretch("", start_unix_ms, end_unix_ms)]
    found = []
    at = start_unix_ms
    while at < end_unix_ms:
        day = local_day(zone, at)
        found.append(Stretch(day.date, at, min(day.end_unix_ms, end_unix_ms)))
        if len(found) > limits.USAGE_DAYS_MAX:
            raise fields.invalid(
                "group_by", f"at most {limits.USAGE_DAYS_MAX} days at once: ask for less time"
            )
        at = day.end_unix_ms
    return found


def arrange(rows: Iterable[UsageRow], group_by: tuple[Grouping, ...]) -> tuple[UsageRow, ...]:
    """Largest cost first; where days are asked for, days in order first."""
    day = group_by.index("day") if "day" in group_by else None

    def order(row: UsageRow) -> tuple[str, int, tuple[str, ...]]:
        return ("" if day is None else row.group[day], -row.sums.cost_nano_usd, row.group)

    return tuple(sorted(rows, key=order))


def lumps_once(lumps: Iterable[tuple[Budget, int]]) -> int:
    """What lumps come to: of each client once, from the widest of its budgets that has any.

    The same money stands in every budget that a call was to be charged to. The widest is the one
    whose selector narrows least; of several the oldest.
    """
    widest: dict[str, tuple[tuple[int, str], int]] = {}
    for budget, amount in lumps:
        selector = budget.selector
        narrowed = [selector.key_id, selector.workflow, selector.model, selector.region]
        rank = sum(map(bool, narrowed)), budget.budget_id
        best = widest.get(selector.project_id)
        if best is None or rank < best[0]:
            widest[selector.project_id] = rank, amount
    return sum(amount for _, amount in widest.values())


def total_of(rows: Iterable[UsageRow]) -> Sums:
    """The sum of all rows."""
    total = Sums()
    for row in rows:
        total = total.plus(row.sums)
    return total
