"""Lets the rules look at a month, as the control plane would."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from control_plane.core.alert_money import BudgetSeen, Pace, judge
from control_plane.core.alerts import Finding, Rule, Severity
from control_plane.core.leases import PeriodKey
from tests.alerts.months import CAP_NANO_USD, STEP_MS, STEPS, STEPS_PER_HOUR, Month

KEY = PeriodKey("bgt", "", "month")
LOOKS_PER_STEP: Final = 10
"""The control plane looks every 30 seconds. Quiet months are looked at once a step, when it is
over: what is found in between is found then, or was nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one instant."""

    step: int
    spent_nano_usd: int
    findings: tuple[Finding, ...]

    @property
    def pages(self) -> bool:
        return any(finding.severity is Severity.P1 for finding in self.findings)


def looks(month: Month, finely_from: int = STEPS) -> Iterator[Look]:
    """Every look at which something was spent; in the others nothing changes but the paces fall.

    `finely_from` is the step from which on there are LOOKS_PER_STEP.
    """
    spent = hour = before = 0
    for step, cost in enumerate(month):
        oldest = month[step - STEPS_PER_HOUR] if step >= STEPS_PER_HOUR else 0
        parts = LOOKS_PER_STEP if step >= finely_from else 1
        for part in range(1, parts + 1) if cost else ():
            now = cost * part // parts
            pace = Pace(
                short_nano_usd=now + before * (parts - part) // parts,
                short_ms=STEP_MS,
                long_nano_usd=hour + now - oldest * part // parts,
            )
            at_unix_ms = step * STEP_MS + STEP_MS * part // parts
            seen = _seen(spent + now, pace)
            yield Look(step, spent + now, tuple(judge(seen, at_unix_ms)))
            if seen.still_refused:
                return
        spent += cost
        hour += cost - oldest
        before = cost


def _seen(spent_nano_usd: int, pace: Pace) -> BudgetSeen:
    over = spent_nano_usd >= CAP_NANO_USD
    return BudgetSeen(
        key=KEY,
        project_id="prj",
        client="Client",
        budget="All calls",
        cap_nano_usd=CAP_NANO_USD,
        cap_version=1,
        spent_nano_usd=spent_nano_usd,
        start_unix_ms=0,
        end_unix_ms=STEPS * STEP_MS,
        pace=pace,
        refused_count=int(over),
        still_refused=over,
    )


def has_false_page(month: Month) -> bool:
    """Whether anybody is woken in a month that ends below its cap."""
    return any(look.pages for look in looks(month))


def left_when_paged(month: Month, begin: int) -> tuple[int, int]:
    """Of a runaway: what was left when it began, and what was left when somebody was paged."""
    at_begin = CAP_NANO_USD - sum(month[:begin])
    for look in looks(month, begin):
        if look.step >= begin and any(
            finding.rule in (Rule.TIME_TO_CAP, Rule.STOPPED) and finding.severity is Severity.P1
            for finding in look.findings
        ):
            return at_begin, max(0, CAP_NANO_USD - look.spent_nano_usd)
    return at_begin, 0
