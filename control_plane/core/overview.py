"""How clients stand now: which budget binds each, how urgent it is, what to raise it to.

A client's *binding* budget is the one that its calls meet first: of its own budgets the most
urgent, and of equally urgent ones the one that is used up furthest. A budget that is split has a
cap for each value and no standing of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from control_plane import limits
from control_plane.core.budgets import Budget, CapChange, Period
from control_plane.core.forecast import Forecast
from control_plane.core.listed import Listed
from control_plane.core.projects import ListedProject, ProjectState
from control_plane.core.raises import proposed_cap_nano_usd
from control_plane.core.usage import Sums

_PERCENT_PPM = 10_000
NEAR_PPM = 80 * _PERCENT_PPM
"""From here on a budget is near its cap."""


class Urgency(IntEnum):
    """How much a budget needs somebody; the most urgent first."""

    STOPPED = 0
    """Calls are refused because it is used up."""
    TIGHT = 1
    """Calls are refused that are larger than what is left; smaller ones pass."""
    NEAR = 2
    """Four fifths of it are used, or more."""
    ABOVE = 3
    """It is forecast to be used up in this period."""
    FINE = 4
    COUNTING = 5
    """It has no cap."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Calls that a budget refused since its cap was last decided about."""

    call_count: int = 0
    exhausted_count: int = 0
    """Of them: because it was used up, and not only too small for one call."""
    first_unix_ms: int = 0
    last_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a budget's period is forecast to come to."""

    forecast: Forecast
    runs_out_unix_ms: int | None
    """When its cap is reached; None when it is not in this period."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One budget as it stands now."""

    budget: Budget
    period: Period
    newest: CapChange
    """The newest decision about its cap."""
    refused: Refused = Refused()
    outlook: Outlook | None = None
    used_ppm: int = field(init=False)
    """Spent, in millionths of the cap; a million when there is nothing to spend."""
    urgency: Urgency = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what hundreds are put in order by, and counted by."""
        object.__setattr__(self, "used_ppm", self._used_ppm())
        object.__setattr__(self, "urgency", self._urgency())

    @property
    def cap_nano_usd(self) -> int | None:
        """The cap that is in force in this period."""
        return self.period.cap_nano_usd

    def _used_ppm(self) -> int:
        cap = self.cap_nano_usd
        if not cap:
            return 0 if cap is None else 1_000_000
        return self.period.spent_nano_usd * 1_000_000 // cap

    @property
    def forecast_nano_usd(self) -> int | None:
        """What the period will come to, where that can be believed."""
        if self.outlook is None or not self.outlook.forecast.is_trusted:
            return None
        return self.outlook.forecast.expected_nano_usd

    def _urgency(self) -> Urgency:
        cap, spent = self.cap_nano_usd, self.period.spent_nano_usd
        if cap is None:
            return Urgency.COUNTING
        if spent >= cap or self.refused.exhausted_count:
            return Urgency.STOPPED
        if self.refused.call_count:
            return Urgency.TIGHT
        if self.used_ppm >= NEAR_PPM:
            return Urgency.NEAR
        expected = self.forecast_nano_usd
        if expected is not None and expected > cap:
            return Urgency.ABOVE
        return Urgency.FINE

    @property
    def needs_somebody(self) -> bool:
        """Whether a person should look at it today."""
        return self.urgency <= Urgency.NEAR

    @property
    def proposed_cap_nano_usd(self) -> int | None:
        """What one press raises the cap to; None where there is no cap to raise."""
        if self.cap_nano_usd is None or self.budget.cap_nano_usd is None:
            return None
        expected = self.forecast_nano_usd or 0
        return proposed_cap_nano_usd(self.cap_nano_usd, self.period.spent_nano_usd, expected)

    def undo_until_unix_ms(self, now_unix_ms: int) -> int | None:
        """Until when the newest decision can be taken back; None when it cannot any more."""
        end = self.newest.changed_unix_ms + limits.UNDO_MS
        again = self.newest.period_id in {"", self.period.span.period_id}
        return end if self.newest.cap_version > 1 and now_unix_ms < end and again else None

    def order_at(self, now_unix_ms: int) -> tuple[int, int, str]:
        """Sorts the most urgent first.

        One whose cap was just raised stays where it was while that can be taken back: whoever
        presses a second time must not find another client under the pointer.
        """
        urgency, used = int(self.urgency), self.used_ppm
        before = self.newest.old_cap_nano_usd
        if before is not None and self.undo_until_unix_ms(now_unix_ms) is not None:
            urgency = min(urgency, Urgency.STOPPED)
            used = max(used, self.period.spent_nano_usd * 1_000_000 // max(1, before))
        return (urgency, -used, self.budget.budget_id)


@dataclass(frozen=True, slots=True)
class MonthForecast:
    """What all clients together are forecast to come to."""

    expected_nano_usd: int
    low_nano_usd: int
    high_nano_usd: int
    missing_count: int
    """Clients with spend and without a forecast: of them what is spent counts."""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client as the first page shows it."""

    project: ListedProject
    standings: tuple[Standing, ...]
    """Its own budgets that are not split, the most urgent first."""
    month: Sums
    """Its calls of its own month of the same name as the agency's."""
    workflow_count: int = 0
    """Workflows that had calls in the last week."""
    daily_nano_usd: tuple[int, ...] = ()
    """What each of its last 30 days cost, oldest first."""

    @property
    def binding(self) -> Standing | None:
        """The budget that its calls meet first."""
        return self.standings[0] if self.standings else None

    @property
    def month_forecast(self) -> Forecast | None:
        """The forecast of its widest monthly budget, where it can be believed."""
        for one in self.standings:
            # The project is the only condition of a budget that counts all of a client's calls.
            whole = one.budget.window == "month" and one.budget.selector.conditions == 1
            if whole and one.outlook is not None and one.outlook.forecast.is_trusted:
                return one.outlook.forecast
        return None

    @property
    def is_suspended(self) -> bool:
        """Whether all its calls are refused because a person wants that."""
        return self.project.state == ProjectState.SUSPENDED.value

    def order_at(self, now_unix_ms: int) -> tuple[int, int, str]:
        """Sorts the most urgent first."""
        if self.binding is None or self.is_suspended:
            return (len(Urgency), 0, self.project.display_name.casefold())
        urgency, used, _ = self.binding.order_at(now_unix_ms)
        return (urgency, used, self.project.display_name.casefold())


@dataclass(frozen=True, slots=True)
class Overview:
    """All clients at a glance."""

    rows: tuple[ClientRow, ...]
    """The most urgent first; without their workflows and days."""
    shown: tuple[ClientRow, ...]
    """Those of them that are asked for, whole."""
    listed: Listed
    """Which page of those of the name that is."""
    agency: tuple[Standing, ...]
    """Budgets of the whole agency."""
    month: Sums
    """All calls of this month, of each client by its own zone."""
    before: Sums
    """The calls of the month before in the same way, up to the end of the same day of it."""
    month_start_unix_ms: int
    month_end_unix_ms: int
    time_zone: str
    """Of the agency; its month is the one that runs, and is each client's own of that name."""
    client_count: int
    """Clients in all; more than there are rows when there are too many for a page."""

    @property
    def needing(self) -> tuple[ClientRow, ...]:
        """Clients that a person should look at today."""
        return tuple(
            row
            for row in self.rows
            if row.binding is not None and row.binding.needs_somebody and not row.is_suspended
        )

    @property
    def forecast(self) -> MonthForecast | None:
        """What the month comes to; None where no client has a forecast that can be believed.

        Of each client the widest of its monthly budgets counts: the one that narrows nothing.
        """
        expected = low = high = missing = known = 0
        for row in self.rows:
            found = row.month_forecast
            if found is None:
                spent = row.month.cost_nano_usd
                expected, low, high = expected + spent, low + spent, high + spent
                missing += bool(spent)
            else:
                known += 1
                expected += found.expected_nano_usd
                low += found.low_nano_usd
                high += found.high_nano_usd
        return MonthForecast(expected, low, high, missing) if known else None

    @property
    def margin_ppm(self) -> int | None:
        """Of what is charged, what is left after its cost; None where nothing is charged."""
        charged = self.month.charge_nano_usd
        if not charged:
            return None
        return (charged - self.month.charged_cost_nano_usd) * 1_000_000 // charged


def by_project(
    standings: Iterable[Standing], now_unix_ms: int
) -> Mapping[str, tuple[Standing, ...]]:
    """Standings by project, "" for the agency, the most urgent first."""
    found: dict[str, list[Standing]] = {}
    for standing in standings:
        found.setdefault(standing.budget.selector.project_id, []).append(standing)
    return {
        project_id: tuple(sorted(group, key=lambda one: one.order_at(now_unix_ms)))
        for project_id, group in found.items()
    }
