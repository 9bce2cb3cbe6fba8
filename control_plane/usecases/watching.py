"""Looks at what the rules of alerts judge. Reads only; what is found is applied in `alerting`.

Three rounds, by what they cost: periods, refusals, sidecars, lost money and given-up messages with
every look; how calls ended every five minutes; and each client's forecast, margin, prices, models
and latency every half hour, a few clients with each look.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from control_plane import limits
from control_plane.core import alert_health as health
from control_plane.core.alert_fold import LookedAt, looked_at_in
from control_plane.core.alert_money import BudgetSeen, judge
from control_plane.core.alerts import DAY_MS, MINUTE_MS, Alert, Finding, Rule
from control_plane.core.forecast import forecast, runs_out_unix_ms
from control_plane.core.latency import quantile_ms
from control_plane.core.leases import PeriodKey
from control_plane.core.prices import Price, in_force
from control_plane.core.projects import Project, ProjectState
from control_plane.core.usage import local_day
from control_plane.core.windows import window_at
from control_plane.store import (
    alerts,
    budgets,
    channels,
    forecasts,
    outbox,
    periods,
    prices,
    projects,
    spending,
)
from control_plane.store import retirements as retirement_store
from control_plane.store import watching as store
from control_plane.store.engine import Tx
from control_plane.store.forecasts import SeenForecast
from control_plane.store.watching import CappedPeriod, RefusedLately
from protos.values import quantities as kinds
from protos.values.rates import UnpriceableError

_ALWAYS = (
    Rule.THRESHOLD,
    Rule.STOPPED,
    Rule.TIME_TO_CAP,
    Rule.FORECAST,
    Rule.SILENT,
    Rule.ORPHANED,
    Rule.DELIVERY,
    Rule.TEST,
)
_OF_ANSWERS = (Rule.ERROR_RATE, Rule.OUTAGE)
_OF_CLIENTS = (Rule.MARGIN, Rule.RETIRING, Rule.LATENCY)
REFUSED_LATELY_MS = 10 * MINUTE_MS
"""A refusal is news for so long."""
STOPPED_USED_PERCENT = 90
"""A call that is too large for what is left stops a client only when so much is used, and who is
stopped stays so while so much is."""
GONE_USED_PERCENT = 99
"""When so much is used, a client that was refused at all is stopped, however long ago."""

Latencies = dict[str, dict[int, int]]
"""Calls by workflow and step of latency."""


@dataclass(slots=True)
class Watch:
    """When what was looked at last. Soft: after a restart everything is looked at anew."""

    since_unix_ms: int = 0
    """Since when it has been looked without a pause."""
    looked_unix_ms: int = 0
    in_haste: bool = False
    """The last look failed: the next leaves out what takes long, so that pages never starve."""
    answers_unix_ms: int = 0
    clients: dict[str, int] = field(default_factory=dict)
    """When each client was looked at."""
    latencies: dict[str, tuple[int, Latencies]] = field(default_factory=dict)
    """The day that runs, and what its calls took, when a client was looked at."""

    def begins_at(self, now_unix_ms: int) -> bool:
        """Whether nobody looked for so long that paces begin anew."""
        return not 0 <= now_unix_ms - self.looked_unix_ms <= limits.LOOK_PAUSE_MS

    def took(self, seen: "Seen", now_unix_ms: int) -> None:
        """Note what was looked at, once it is applied."""
        if self.begins_at(now_unix_ms):
            self.since_unix_ms = now_unix_ms
        self.looked_unix_ms = now_unix_ms
        self.in_haste = False
        if seen.answers:
            self.answers_unix_ms = now_unix_ms
        self.clients.update(dict.fromkeys(seen.clients, now_unix_ms))
        self.latencies.update(seen.latencies)


@dataclass(slots=True)
class Seen:
    """What one look found."""

    looked_at: LookedAt
    findings: list[Finding] = field(default_factory=list)
    spent: dict[PeriodKey, int] = field(default_factory=dict)
    """What is to be noted of periods."""
    forecasts: list[SeenForecast] = field(default_factory=list)
    clients: tuple[str, ...] = ()
    answers: bool = False
    latencies: dict[str, tuple[int, Latencies]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Client:
    """A client whose half hour has come."""

    project_id: str
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class _Looked:
    """What is read once for all periods."""

    forecasts: dict[str, SeenForecast]
    above: frozenset[PeriodKey]
    """Periods whose forecast alert goes on."""
    stopped: frozenset[PeriodKey]
    """Periods that are known to be stopped."""
    refused: dict[str, list[RefusedLately]] = field(default_factory=dict)


def look(tx: Tx, watch: Watch, now_unix_ms: int) -> Seen:
    """Look at what is due."""
    known = [one for one in projects.everything(tx) if one.state is not ProjectState.ARCHIVED]
    due = [] if watch.in_haste else _due(known, watch, now_unix_ms)
    since_answers = now_unix_ms - watch.answers_unix_ms
    answers = not watch.in_haste and since_answers >= limits.ANSWERS_LOOK_MS
    sidecars = store.speaking_sidecars(tx)
    silent = [one for one in sidecars if list(health.judge_sidecar(one, now_unix_ms))]
    scopes: dict[Rule, frozenset[str] | None] = dict.fromkeys(_ALWAYS)
    if answers:
        scopes.update(dict.fromkeys(_OF_ANSWERS))
    ids = frozenset(client.project_id for client in due)
    scopes.update(dict.fromkeys(_OF_CLIENTS, ids))
    frozen = frozenset(id_ for one in silent for id_ in (one.project_ids or ("",)))
    seen = Seen(looked_at_in(scopes, frozen), clients=tuple(sorted(ids)), answers=answers)
    names = {one.project_id: one.display_name for one in known}
    _budgets(tx, seen, watch, now_unix_ms)
    for one in silent:
        seen.findings += health.judge_sidecar(one, now_unix_ms)
    for orphan in store.orphaned(tx):
        seen.findings += health.judge_orphans(orphan)
    _deliveries(tx, seen, now_unix_ms)
    if answers:
        _answers(tx, seen, names, now_unix_ms)
    book = prices.everything(tx) if due else []
    for client in due:
        seen.forecasts += forecasts_of(tx, client.project_id, now_unix_ms)
        _client(tx, seen, client, book, now_unix_ms)
        _latency(tx, seen, client, watch, now_unix_ms)
    return seen


def _due(known: list[Project], watch: Watch, now_unix_ms: int) -> list[_Client]:
    clients = [_Client(one.project_id, one.display_name, one.time_zone) for one in known]
    before = now_unix_ms - limits.CLIENT_LOOK_MS
    due = [one for one in clients if watch.clients.get(one.project_id, 0) <= before]
    due.sort(key=lambda one: (watch.clients.get(one.project_id, 0), one.project_id))
    return due[: limits.LOOKED_AT_CLIENTS_MAX]


def _budgets(tx: Tx, seen: Seen, watch: Watch, now_unix_ms: int) -> None:
    begins = watch.begins_at(now_unix_ms)
    since = now_unix_ms if begins else watch.since_unix_ms
    live = alerts.going_on(tx)
    looked = _Looked(
        forecasts.latest(tx), _periods(live, Rule.FORECAST), _periods(live, Rule.STOPPED)
    )
    for one in store.refused_since(tx, now_unix_ms - REFUSED_LATELY_MS):
        looked.refused.setdefault(one.budget_id, []).append(one)
    for period in store.capped_periods(tx, since, now_unix_ms):
        slot = now_unix_ms // limits.PACE_NOTE_MS
        is_due = slot > period.noted_unix_ms // limits.PACE_NOTE_MS
        changed = period.spent_nano_usd != period.noted_nano_usd or not period.noted_unix_ms
        if begins or (is_due and changed):
            seen.spent[period.key] = period.spent_nano_usd
        seen.findings += judge(_budget(tx, period, looked, now_unix_ms), now_unix_ms)


def _budget(
    tx: Tx,
    period: CappedPeriod,
    looked: _Looked,
    now_unix_ms: int,
) -> BudgetSeen:
    refused = looked.refused.get(period.key.budget_id, [])
    mine = [one for one in refused if _is_of(one, period)]
    used = period.spent_nano_usd * 100 >= period.cap_nano_usd * STOPPED_USED_PERCENT
    # A workflow that gave up calling is stopped all the same, while the money is gone.
    gone = STOPPED_USED_PERCENT if period.key in looked.stopped else GONE_USED_PERCENT
    is_stopped = period.spent_nano_usd * 100 >= period.cap_nano_usd * gone
    count, first = (0, 0)
    if mine or is_stopped:
        decided = store.cap_decided_unix_ms(tx, period.key.budget_id, period.cap_version)
        since = max(period.start_unix_ms, decided)
        is_stopped |= any(
            (one.reason == "exhausted" or used) and one.last_unix_ms >= since for one in mine
        )
        count, first = store.refused_at_cap(tx, period, since, now_unix_ms)
    found = looked.forecasts.get(period.key.budget_id)
    of_this = found is not None and found.period_id == period.key.period_id
    return BudgetSeen(
        key=period.key,
        project_id=period.project_id,
        client=period.client,
        budget=period.budget,
        cap_nano_usd=period.cap_nano_usd,
        cap_version=period.cap_version,
        spent_nano_usd=period.spent_nano_usd,
        start_unix_ms=period.start_unix_ms,
        end_unix_ms=period.end_unix_ms,
        pace=period.pace,
        refused_count=count,
        refused_unix_ms=first,
        still_refused=is_stopped,
        forecast=found.forecast if found is not None and of_this else None,
        forecast_was_above=period.key in looked.above,
    )


def _periods(live: list[Alert], rule: Rule) -> frozenset[PeriodKey]:
    """The periods that alerts of a rule about budgets are about."""
    names = ("budget_id", "partition", "period_id")
    return frozenset(
        PeriodKey(*(str(alert.facts[name]) for name in names))
        for alert in live
        if alert.rule is rule
    )


def _is_of(one: RefusedLately, period: CappedPeriod) -> bool:
    part = {"key": one.key_id, "workflow": one.workflow}.get(period.split_by, "")
    return part == period.key.partition


def _deliveries(tx: Tx, seen: Seen, now_unix_ms: int) -> None:
    for row in outbox.given_up_since(tx, now_unix_ms - DAY_MS):
        channel = channels.get(tx, row["channel_id"])
        if channel is not None:
            failed = health.DeliverySeen(
                channel.channel_id, channel.display_name, int(row["n"]), row["error"]
            )
            seen.findings += health.judge_delivery(failed)


def _answers(tx: Tx, seen: Seen, names: dict[str, str], now_unix_ms: int) -> None:
    windows = sorted({window for burn in health.BURNS for window in burn[:2]})
    rows = store.answers(tx, windows, now_unix_ms, health.SHORT_FLOOR_COUNT)
    seen.findings += health.judge_answers(
        health.WorkflowSeen(project_id, names.get(project_id, ""), workflow, provider, counts)
        for project_id, workflow, provider, counts in rows
    )


def forecasts_of(tx: Tx, project_id: str, now_unix_ms: int) -> Iterator[SeenForecast]:
    """Forecasts of a client's capped budgets, or with an empty id of the agency's own.

    The agency's read everybody's roll-ups, so they are asked for by themselves, where a read that
    takes too long harms nothing else.
    """
    for budget in budgets.active_of(tx, [project_id]):
        if not budget.is_capped or budget.split_by or budget.window == "day":
            continue
        span = budget.span_at(now_unix_ms)
        period = periods.get(tx, PeriodKey(budget.budget_id, "", span.period_id))
        if period is None or period.cap_nano_usd is None:
            continue
        history = spending.hourly(tx, budget.selector, budget.time_zone, now_unix_ms)
        spent, cap = period.spent_nano_usd, period.cap_nano_usd
        yield SeenForecast(
            budget.budget_id,
            span.period_id,
            forecast(history, span, spent, now_unix_ms),
            runs_out_unix_ms(history, span, spent, cap, now_unix_ms),
            now_unix_ms,
        )


def _client(tx: Tx, seen: Seen, client: _Client, book: list[Price], now_unix_ms: int) -> None:
    month = window_at("month", client.time_zone, 1, now_unix_ms)
    cost, charge = store.charged(tx, client.project_id, month.start_unix_ms)
    seen.findings += health.judge_margin(
        health.MarginSeen(client.project_id, client.name, month.period_id[:7], cost, charge)
    )
    used = store.models_used(tx, client.project_id, now_unix_ms - 30 * DAY_MS)
    if used:
        seen.findings += _price_changes(client, used, book, now_unix_ms)
        seen.findings += _retirements(tx, client, used, book, now_unix_ms)


def _price_changes(
    client: _Client, used: list[store.ModelUse], book: list[Price], now_unix_ms: int
) -> Iterator[Finding]:
    for use in used:
        mine = [price for price in book if price.name == (use.provider, use.model)]
        for price in mine:
            begins = price.valid_from_unix_ms
            if not now_unix_ms - limits.PRICE_NEWS_MS <= begins < now_unix_ms + 90 * DAY_MS:
                continue
            before = in_force(mine, begins - 1).get(price.name)
            effect = None if before is None else _effect_ppm(use, before, price)
            if effect is not None:
                yield from health.judge_price(
                    health.PriceSeen(
                        client.project_id,
                        client.name,
                        use.provider,
                        use.model,
                        price.model_price.version,
                        begins,
                        use.cost_nano_usd,
                        effect,
                    )
                )


def _retirements(
    tx: Tx, client: _Client, used: list[store.ModelUse], book: list[Price], now_unix_ms: int
) -> Iterator[Finding]:
    held = in_force(book, now_unix_ms)
    for one in retirement_store.everything(tx):
        for use in used:
            if (use.provider, use.model) != (one.provider, one.model):
                continue
            now, then = (
                held.get((one.provider, one.model)),
                held.get((one.provider, one.replacement)),
            )
            effect = _effect_ppm(use, now, then) if now is not None and then is not None else None
            replaced = (
                None
                if effect is None
                else use.cost_nano_usd + use.cost_nano_usd * effect // 1_000_000
            )
            seen = health.RetirementSeen(
                client.project_id,
                client.name,
                one.provider,
                one.model,
                one.retires_unix_ms,
                one.replacement,
                use.cost_nano_usd,
                replaced,
            )
            yield from health.judge_retirement(seen, now_unix_ms)


def _effect_ppm(use: store.ModelUse, before: Price, after: Price) -> int | None:
    """What another price adds to what a model cost, by its standard rates of input and output.

    An estimate: cached tokens count as input on both sides. None where either is not priced by
    tokens, or nothing was used.
    """
    try:
        costs = [
            use.input_count * tier.rate_pico_usd(kinds.INPUT)
            + use.output_count * (tier.rate_pico_usd(kinds.OUTPUT) if use.output_count else 0)
            for tier in (before.model_price.tiers[0], after.model_price.tiers[0])
        ]
    except UnpriceableError:
        return None
    return None if not costs[0] else (costs[1] - costs[0]) * 1_000_000 // costs[0]


def _latency(tx: Tx, seen: Seen, client: _Client, watch: Watch, now_unix_ms: int) -> None:
    """Compare the calls since the last look with those of the two weeks before this day."""
    today = local_day(client.time_zone, now_unix_ms)
    start = today.start_unix_ms
    now = store.latency_of_day(tx, client.project_id, start, now_unix_ms + 1)
    seen.latencies[client.project_id] = (start, now)
    day, before = watch.latencies.get(client.project_id, (0, {}))
    if not day:
        return
    usual = store.latency_of_day(tx, client.project_id, start - 14 * DAY_MS, start)
    for workflow, counts in now.items():
        earlier = before.get(workflow, {}) if day == start else {}
        lately = {step: count - earlier.get(step, 0) for step, count in counts.items()}
        p95, usual_p95 = quantile_ms(lately, 95), quantile_ms(usual.get(workflow, {}), 95)
        if p95 is not None and usual_p95 is not None:
            seen.findings += health.judge_latency(
                health.LatencySeen(
                    client.project_id,
                    client.name,
                    workflow,
                    sum(lately.values()),
                    p95,
                    sum(usual[workflow].values()),
                    usual_p95,
                )
            )
