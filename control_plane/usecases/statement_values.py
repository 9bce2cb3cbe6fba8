"""Gathers what a statement holds, from the roll-ups and from what was agreed."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane import limits
from control_plane.core import latency as steps
from control_plane.core.alerts import Rule
from control_plane.core.budgets import Budget
from control_plane.core.cost_lines import CostLines, LineKey, LineSum
from control_plane.core.forecast import forecast
from control_plane.core.latency import Counts
from control_plane.core.leases import PeriodKey
from control_plane.core.prices import Price
from control_plane.core.projects import Project
from control_plane.core.statements import (
    FORMAT,
    UNITS_MIN,
    Ahead,
    Brand,
    Cap,
    Coming,
    Incident,
    Latency,
    ModelLine,
    Month,
    MonthLine,
    RefusedLine,
    Statement,
    Totals,
    WorkflowLine,
    Worth,
    totals_from,
)
from control_plane.core.usage import Refused, Stretch, UsageRow, total_of
from control_plane.core.windows import window_at
from control_plane.store import (
    alerts,
    branding,
    budgets,
    periods,
    prices,
    rate_cards,
    retirements,
    spending,
    workflows,
)
from control_plane.store import refused as refused_store
from control_plane.store import usage as usage_store
from control_plane.store.engine import Tx
from protos.values.money import NANO_PER_USD, PICO_PER_NANO
from protos.values.rates import ModelPrice, UnpriceableError
from protos.values.selectors import Selector

_INCIDENTS: Final[Mapping[Rule, str]] = {
    Rule.THRESHOLD: "{percent}% of the cap was used",
    Rule.STOPPED: "the cap was reached and calls were stopped",
    Rule.ERROR_RATE: "calls of {workflow} to {provider} failed more often than usual",
    Rule.LATENCY: "calls of {workflow} were slower than usual",
}
"""What a client reads of which alerts, in the words of the month after."""
_MEAN_MONTH_MS = 2_629_746_000
"""No month's middle by the mean is outside of it."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What a version is called by."""

    statement_id: str
    version: int
    note: str
    lines_sha256: str


def month_of(zone: str, name: str) -> Month | None:
    """A month by its name, such as 2026-10; None when there is no such month."""
    year, _, number = name.partition("-")
    if not (len(year) == 4 and len(number) == 2 and year.isdecimal() and number.isdecimal()):
        return None
    # Each has a month before, with which it is compared; instants begin with 1970.
    if not (1971 <= int(year) < 9000 and 1 <= int(number) <= 12):
        return None
    return _month_of_number(zone, (int(year) - 1970) * 12 + int(number) - 1)


def month_at(zone: str, instant_unix_ms: int) -> Month:
    """The month that an instant is in."""
    span = window_at("month", zone, 1, instant_unix_ms)
    assert span.end_unix_ms is not None
    return Month(span.period_id[:7], span.start_unix_ms, span.end_unix_ms, zone)


def month_before(month: Month) -> Month:
    """The month before, by its name: of a client who moved, a month may begin late."""
    return _month_of_number(month.time_zone, _number_of(month) - 1)


def month_after(month: Month) -> Month:
    """The month after."""
    return _month_of_number(month.time_zone, _number_of(month) + 1)


def _number_of(month: Month) -> int:
    year, _, number = month.name.partition("-")
    return (int(year) - 1970) * 12 + int(number) - 1


def _month_of_number(zone: str, months: int) -> Month:
    return month_at(zone, months * _MEAN_MONTH_MS + _MEAN_MONTH_MS // 2)


def totals_in(tx: Tx, project_id: str, month: Month) -> Totals:
    """All of a month."""
    whole = Stretch("", month.start_unix_ms, month.end_unix_ms)
    return totals_from(total_of(usage_store.sums(tx, whole, (), project_id=project_id)))


def gather(
    tx: Tx, project: Project, month: Month, lines: CostLines, heading: Heading, now_unix_ms: int
) -> Statement:
    """All that a statement holds; it says nothing yet about a version before."""
    whole = Stretch("", month.start_unix_ms, month.end_unix_ms)
    own = project.project_id
    totals = totals_in(tx, own, month)
    shows_charges = _is_charged(tx, own, month)
    by_workflow = usage_store.sums(tx, whole, ("workflow",), project_id=own)
    by_model = usage_store.sums(tx, whole, ("provider", "model"), project_id=own)
    took = usage_store.latencies(tx, own, month.start_unix_ms, month.end_unix_ms)
    refused = refused_store.most(
        tx, own, month.start_unix_ms, month.end_unix_ms, limits.STATEMENT_REFUSALS_MAX
    )
    before = totals_in(tx, own, month_before(month))
    workflow_lines = _workflow_lines(tx, own, month, by_workflow, totals)
    return Statement(
        format=FORMAT,
        statement_id=heading.statement_id,
        version=heading.version,
        project_id=own,
        client=project.display_name,
        month=month,
        as_of_unix_ms=now_unix_ms,
        shows_charges=shows_charges,
        totals=totals,
        before=before if before.call_count else None,
        latency=_latency(took.get("", {})),
        months=_months(tx, own, month),
        workflows=workflow_lines,
        models=_model_lines(tx, own, month, by_model, totals),
        refusals=_refusals(tx, refused),
        incidents=_incidents(tx, own, month),
        cap=_cap(tx, project, month, totals),
        worths=_worths(tx, own, lines, by_workflow, shows_charges=shows_charges),
        ahead=_ahead(tx, project, now_unix_ms),
        coming=(
            *_coming(prices.everything(tx), lines, now_unix_ms),
            *_retirements(tx, lines, now_unix_ms),
        ),
        brand=_brand(tx),
        note=heading.note,
        difference=None,
        lines_sha256=heading.lines_sha256,
    )


def _is_charged(tx: Tx, project_id: str, month: Month) -> bool:
    """Whether a rate card held at any time of the month."""
    cards = rate_cards.of_project(tx, project_id)
    return any(card.valid_from_unix_ms < month.end_unix_ms for card in cards)


def _latency(counts: Counts) -> Latency | None:
    middle, tail = steps.quantile_ms(counts, 50), steps.quantile_ms(counts, 95)
    return None if middle is None or tail is None else Latency(middle, tail)


def _workflow_lines(
    tx: Tx, project_id: str, month: Month, rows: Iterable[UsageRow], totals: Totals
) -> tuple[WorkflowLine, ...]:
    """The dearest workflows, and all others as one line.

    Callers may have put an id of each run into the name: only what is shown is looked at closely.
    """
    of = tx, project_id, month.start_unix_ms, month.end_unix_ms
    most = limits.STATEMENT_WORKFLOWS_MAX
    summed = {row.group[0]: totals_from(row.sums) for row in rows}
    names = list({*summed, *refused_store.workflows(*of, most + 1)})
    names.sort(key=lambda name: (-summed.get(name, Totals()).cost_nano_usd, name))
    shown = names if len(names) <= most else names[: most - 1]
    took = usage_store.latencies(*of, workflows=shown) if shown else {}
    stopped = refused_store.by_workflow(*of, shown)
    lines = tuple(
        WorkflowLine(
            workflow=name,
            totals=summed.get(name, Totals()),
            latency=_latency(took.get(name, {})),
            refused_count=stopped.get(name, 0),
        )
        for name in shown
    )
    if len(shown) == len(names):
        return lines
    folded = WorkflowLine(
        "",
        _left_of(totals, (line.totals for line in lines)),
        None,
        refused_store.count(*of) - sum(stopped.values()),
        folded_count=refused_store.workflow_count(*of) - len(lines),
    )
    return (*lines, folded)


def _model_lines(
    tx: Tx, project_id: str, month: Month, rows: Iterable[UsageRow], totals: Totals
) -> tuple[ModelLine, ...]:
    summed = {(row.group[0], row.group[1]): totals_from(row.sums) for row in rows}
    names = sorted(summed, key=lambda name: (-summed[name].cost_nano_usd, *name))
    most = limits.STATEMENT_MODELS_MAX
    shown = names if len(names) <= most else names[: most - 1]
    took: dict[str, Counts] = {}
    if shown:
        took = usage_store.latencies(
            tx,
            project_id,
            month.start_unix_ms,
            month.end_unix_ms,
            models=list(dict.fromkeys(model for _, model in shown)),
        )
    lines = tuple(
        ModelLine(provider, model, summed[provider, model], _latency(took.get(model, {})))
        for provider, model in shown
    )
    if len(shown) == len(names):
        return lines
    left = _left_of(totals, (line.totals for line in lines))
    return (*lines, ModelLine("", "", left, None, len(names) - len(lines)))


def _left_of(totals: Totals, shown: Iterable[Totals]) -> Totals:
    """What is not shown of all: also of those beyond what one question answers."""
    left = {name: getattr(totals, name) for name in Totals.__slots__}
    for one in shown:
        for name in left:
            left[name] -= getattr(one, name)
    return Totals(**left)


def _months(tx: Tx, project_id: str, month: Month) -> tuple[MonthLine, ...]:
    found: list[MonthLine] = []
    at = month
    for _ in range(limits.STATEMENT_MONTHS_MAX):
        summed = totals_in(tx, project_id, at)
        found.append(
            MonthLine(at.name, summed.cost_nano_usd, summed.charge_nano_usd, summed.call_count)
        )
        at = month_before(at)
    found.reverse()
    used = [number for number, line in enumerate(found) if line.call_count]
    return tuple(found[used[0] :]) if used else (found[-1],)


def _refusals(tx: Tx, refused: Iterable[Refused]) -> tuple[RefusedLine, ...]:
    lines = []
    for one in refused:
        budget = budgets.get(tx, one.budget_id) if one.budget_id else None
        lines.append(
            RefusedLine(
                one.workflow,
                one.reason,
                budget.display_name if budget is not None else "",
                one.refused_count,
                one.first_unix_ms,
                one.last_unix_ms,
            )
        )
    return tuple(lines)


def _monthly_budget(tx: Tx, project: Project) -> Budget | None:
    return monthly_budget(budgets.active_of(tx, [project.project_id]), project)


def monthly_budget(of_project: Iterable[Budget], project: Project) -> Budget | None:
    """The oldest budget that counts every call of a client by its own calendar month."""
    wanted = Selector(project_id=project.project_id)
    for budget in of_project:
        monthly = budget.window == "month" and budget.anchor_day == 1 and not budget.split_by
        if monthly and budget.selector == wanted and budget.time_zone == project.time_zone:
            return budget
    return None


def _cap(tx: Tx, project: Project, month: Month, totals: Totals) -> Cap | None:
    budget = _monthly_budget(tx, project)
    if budget is None:
        return None
    period_id = f"{month.name}-01"
    cap = budgets.cap_in_force(tx, budget.budget_id, period_id)
    if cap is None:
        return None
    period = periods.get(tx, PeriodKey(budget.budget_id, "", period_id))
    spent = period.spent_nano_usd if period is not None else totals.cost_nano_usd
    return Cap(budget.display_name, cap, spent)


def _worths(
    tx: Tx, project_id: str, lines: CostLines, rows: Iterable[UsageRow], *, shows_charges: bool
) -> tuple[Worth, ...]:
    summed = {row.group[0]: totals_from(row.sums) for row in rows}
    found = []
    for roi in workflows.rois(tx, project_id):
        totals = summed.get(roi.workflow)
        if totals is None:
            continue
        if roi.counts == "execution":
            units = lines.successful_runs(roi.workflow)
        else:
            units = totals.call_count - totals.failed_count
        if units >= UNITS_MIN:
            amount = totals.charge_nano_usd if shows_charges else totals.cost_nano_usd
            found.append(
                Worth(
                    roi.workflow,
                    roi.unit,
                    roi.units,
                    units,
                    roi.seconds_per_unit,
                    roi.agreed_by,
                    roi.agreed_on,
                    amount,
                )
            )
    return tuple(sorted(found, key=lambda worth: (-worth.saved_seconds, worth.workflow)))


def _ahead(tx: Tx, project: Project, now_unix_ms: int) -> Ahead | None:
    """The running month's forecast, where it stands its own test."""
    zone = project.time_zone
    span = window_at("month", zone, 1, now_unix_ms)
    month = month_at(zone, now_unix_ms)
    selector = Selector(project_id=project.project_id)
    history = spending.hourly(tx, selector, zone, now_unix_ms)
    spent = totals_in(tx, project.project_id, month).cost_nano_usd
    seen = forecast(history, span, spent, now_unix_ms)
    if not seen.is_trusted:
        return None
    budget = _monthly_budget(tx, project)
    cap = budgets.cap_in_force(tx, budget.budget_id, f"{month.name}-01") if budget else None
    proposed = None
    if cap is not None and seen.high_nano_usd > cap:
        proposed = round_cap(seen.high_nano_usd * 11 // 10)
    return Ahead(
        month.name, seen.low_nano_usd, seen.expected_nano_usd, seen.high_nano_usd, proposed
    )


def round_cap(amount_nano_usd: int) -> int:
    """The next amount of two leading digits in whole dollars: $237.10 becomes $240."""
    dollars = max(1, -(-amount_nano_usd // NANO_PER_USD))
    step: int = 10 ** max(0, len(str(dollars)) - 2)
    return -(-dollars // step) * step * NANO_PER_USD


def _coming(known: Iterable[Price], lines: CostLines, now_unix_ms: int) -> tuple[Coming, ...]:
    """Prices that begin later, for models that were used, and what they would have changed."""
    later: dict[tuple[str, str], list[Price]] = {}
    for price in known:
        if price.valid_from_unix_ms > now_unix_ms:
            for name in (price.model_price.model, *price.model_price.aliases):
                later.setdefault((price.model_price.provider, name), []).append(price)
    effects: dict[tuple[str, str, int], int] = {}
    for key, line in lines.sums.items():
        for price in later.get((key.provider, key.model), ()):
            model = price.model_price
            of = (model.provider, model.model, price.valid_from_unix_ms)
            effects[of] = effects.get(of, 0) + _dearer_pico_usd(key, line, model)
    return tuple(
        Coming(provider, model, at, effect // PICO_PER_NANO)
        for (provider, model, at), effect in sorted(effects.items(), key=lambda item: item[0][2])
    )


def _dearer_pico_usd(key: LineKey, line: LineSum, price: ModelPrice) -> int:
    """What a line would cost more by a price's first tier; nothing where it cannot be said."""
    if not key.price_version:
        return 0
    try:
        rate = price.tiers_of(key.variant)[0].rate_pico_usd(key.kind)
    except UnpriceableError:
        return 0
    return line.quantity * (rate - key.rate_pico_usd)


def _retirements(tx: Tx, lines: CostLines, now_unix_ms: int) -> list[Coming]:
    used = {(key.provider, key.model) for key in lines.sums}
    return [
        Coming(
            one.provider,
            one.model,
            one.retires_unix_ms,
            0,
            is_retired=True,
            replacement=one.replacement,
        )
        for one in retirements.everything(tx)
        if one.retires_unix_ms > now_unix_ms and (one.provider, one.model) in used
    ]


def _incidents(tx: Tx, project_id: str, month: Month) -> tuple[Incident, ...]:
    """What the client's people may read of alerts: of its cap and its own workflows."""
    found = alerts.opened_within(
        tx,
        project_id,
        tuple(_INCIDENTS),
        month.start_unix_ms,
        month.end_unix_ms,
        limits.STATEMENT_INCIDENTS_MAX,
    )
    return tuple(
        Incident(
            what=_INCIDENTS[alert.rule].format_map(_Facts(alert.facts)),
            opened_unix_ms=alert.opened_unix_ms,
            acknowledged_unix_ms=alert.answered_unix_ms or None,
            resolved_unix_ms=alert.resolved_unix_ms or None,
        )
        for alert in found
    )


class _Facts(dict[str, object]):
    """Facts of an alert; what an older one did not note is told as unknown."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def _brand(tx: Tx) -> Brand:
    shown = branding.get(tx)
    return Brand(
        agency=shown.agency,
        colour=shown.colour,
        logo_type=shown.logo_type,
        logo_base64=base64.b64encode(shown.logo).decode("ascii"),
        note=shown.note,
        names_bursar=shown.names_bursar,
    )
