"""Budgets: made, renamed, capped, ended; and what stands in their periods.

A decision about a cap is numbered, kept for good, and put in force in the open periods that it
concerns within its own transaction. What was used is never touched.
"""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import budgets, fields, pages
from control_plane.core.budgets import (
    Budget,
    BudgetChange,
    CapChange,
    NewBudget,
    Period,
    Reach,
    SetCap,
)
from control_plane.core.leases import PeriodKey
from control_plane.core.pages import Asked, Page
from control_plane.core.prices import resolve_model
from control_plane.core.projects import check_not_archived
from control_plane.store import budgets as store
from control_plane.store import holdings, installation, keys, policy, prices, projects
from control_plane.store.engine import Tx
from control_plane.usecases import reach
from control_plane.usecases.acts import Act, record
from control_plane.usecases.levels import Levels
from protos.values import ids
from protos.values.errors import (
    FailedPreconditionError,
    LimitExceededError,
    NotFoundError,
)
from protos.values.money import nano_to_usd


@dataclass(frozen=True, slots=True)
class ShownBudget:
    """A budget with its current period."""

    budget: Budget
    period: Period | None
    """None for a budget that is split."""


def create_budget(tx: Tx, asked: NewBudget, reason: str, act: Act) -> ShownBudget:
    """Make a budget."""
    fields.check_reason(reason)
    budget = insert_new(tx, asked, reason, act)
    policy.bump(tx)
    record(
        tx,
        act,
        budget.budget_id,
        project_id=budget.selector.project_id,
        display_name=budget.display_name,
        cap_nano_usd=budget.cap_nano_usd,
        window=budget.window,
        reason=reason,
    )
    return shown(tx, budget, act.now_unix_ms)


def insert_new(tx: Tx, asked: NewBudget, reason: str, act: Act) -> Budget:
    """Make a budget inside another change: checked, stored, its cap decided."""
    wanted = _checked(tx, asked)
    budget = Budget(
        budget_id=act.id(ids.BUDGET),
        display_name=wanted.display_name,
        selector=wanted.selector,
        split_by=wanted.split_by,
        window=budgets.check_window(wanted.window),
        time_zone=wanted.time_zone,
        anchor_day=wanted.anchor_day,
        cap_nano_usd=wanted.cap_nano_usd,
        cap_version=1,
        max_offline_ms=wanted.max_offline_ms,
        offline_until_unix_ms=_without(tx, wanted, act),
        created_unix_ms=act.now_unix_ms,
        archived_unix_ms=None,
        version=1,
    )
    store.insert(tx, budget)
    store.insert_change(
        tx,
        CapChange(
            budget_id=budget.budget_id,
            cap_version=1,
            period_id="",
            old_cap_nano_usd=None,
            new_cap_nano_usd=budget.cap_nano_usd,
            actor=act.actor.principal_id,
            reason=reason,
            changed_unix_ms=act.now_unix_ms,
        ),
    )
    return budget


def _without(tx: Tx, wanted: NewBudget, act: Act) -> int:
    """Until when a cut-off sidecar may start calls of a new budget that does not know it."""
    project_id = wanted.selector.project_id
    if wanted.cap_nano_usd is None or (project_id and not keys.any_of(tx, project_id)):
        return 0
    return reach.last_call_unix_ms(tx, wanted.selector, act.now_unix_ms)


def _decided_until(tx: Tx, budget: Budget, act: Act) -> int:
    """Until when a cut-off sidecar may go by what was before a budget got or lost its cap."""
    if budget.is_capped:
        return budgets.authority_end_unix_ms(budget, act.now_unix_ms)
    last_unix_ms = reach.last_call_unix_ms(tx, budget.selector, act.now_unix_ms)
    return max(last_unix_ms, budget.offline_until_unix_ms)


def get_budget(tx: Tx, budget_id: str, now_unix_ms: int, levels: Levels) -> ShownBudget:
    """One budget with its current period."""
    return with_held(shown(tx, found(tx, budget_id), now_unix_ms), levels)


def list_budgets(
    tx: Tx,
    asked: Asked,
    *,
    project_id: str,
    show_archived: bool,
    now_unix_ms: int,
    levels: Levels,
) -> Page[ShownBudget]:
    """Budgets with their current periods."""
    filters = {"list": "budgets", "project": project_id, "archived": str(show_archived)}
    wanted = pages.begin(asked, filters, (str,))
    rows = store.page(tx, wanted, project_id=project_id, show_archived=show_archived)
    page = pages.finish(rows, wanted, filters, lambda row: (row.budget_id,))
    return page.map(lambda budget: with_held(shown(tx, budget, now_unix_ms), levels))


def update_budget(tx: Tx, budget_id: str, etag: str, change: BudgetChange, act: Act) -> ShownBudget:
    """Change the name or max_offline; the rest of a budget never changes."""
    budget = found(tx, budget_id)
    fields.check_etag(etag, budget.version, "the budget")
    _check_active(budget)
    changed = budget
    if change.display_name is not None:
        name = fields.check_name(change.display_name, "budget.display_name")
        changed = replace(changed, display_name=name)
    if change.max_offline_ms is not None:
        changed = replace(
            changed,
            max_offline_ms=budgets.check_offline(change.max_offline_ms),
            offline_until_unix_ms=budgets.authority_end_unix_ms(budget, act.now_unix_ms),
        )
    changed = replace(changed, version=budget.version + 1)
    store.update(tx, changed)
    policy.bump(tx)
    record(
        tx,
        act,
        budget_id,
        project_id=budget.selector.project_id,
        display_name=changed.display_name,
        max_offline_ms=changed.max_offline_ms,
    )
    return shown(tx, changed, act.now_unix_ms)


def set_cap(
    tx: Tx, wish: SetCap, act: Act, *, keeps_period: bool = False
) -> tuple[ShownBudget, CapChange, Reach]:
    """Set the cap, for this period or for good. Usage is never reset.

    With `keeps_period` a raise for good must not lower a period that was raised alone.
    """
    fields.check_reason(wish.reason)
    budget = found(tx, wish.budget_id)
    fields.check_etag(wish.etag, budget.version, "the budget", required=False)
    _check_active(budget)
    budgets.check_cap(wish.cap_nano_usd, "cap_nano_usd")
    period_id = ""
    if wish.this_period_only:
        budgets.check_for_one_period(budget, wish.cap_nano_usd)
        period_id = budget.span_at(act.now_unix_ms).period_id
    elif keeps_period:
        _check_keeps_period(tx, budget, wish.cap_nano_usd, act.now_unix_ms)
    changed, change = _decide(tx, budget, period_id, wish.cap_nano_usd, wish.reason, act)
    reached = _reach(tx, budget, changed, change.policy_version, act)
    return shown(tx, changed, act.now_unix_ms), change, reached


def undo_cap(
    tx: Tx, budget_id: str, cap_version: int, reason: str, act: Act
) -> tuple[ShownBudget, CapChange, Reach]:
    """Take the newest decision about a cap back: a new decision for what was in force before it.

    Where a decision for good had replaced one for this period alone, both are put back, so that
    the period and the later ones are as they were. Refused when it is too late, when the decision
    is not the newest any more, and when it held for a period that is over.
    """
    fields.check_reason(reason)
    budget = found(tx, budget_id)
    _check_active(budget)
    undone = store.change(tx, budget_id, cap_version)
    if undone is None:
        raise NotFoundError(f"the budget has no decision {cap_version}", budget_id=budget_id)
    period_id = budget.span_at(act.now_unix_ms).period_id
    budgets.check_undo(budget, undone, period_id, act.now_unix_ms)
    in_force = store.cap_in_force(tx, budget_id, period_id, before_version=cap_version)
    changed, change = budget, undone
    if not undone.period_id:
        changed, change = _decide(tx, budget, "", undone.old_cap_nano_usd, reason, act)
    if undone.period_id or in_force != undone.old_cap_nano_usd:
        changed, change = _decide(tx, changed, period_id, in_force, reason, act)
    reached = _reach(tx, budget, changed, change.policy_version, act)
    return shown(tx, changed, act.now_unix_ms), change, reached


def _decide(
    tx: Tx, budget: Budget, period_id: str, cap_nano_usd: int | None, reason: str, act: Act
) -> tuple[Budget, CapChange]:
    """Number a decision, put it in force and record it; an empty period id means for good."""
    for_good = not period_id
    changed = replace(
        budget,
        cap_nano_usd=cap_nano_usd if for_good else budget.cap_nano_usd,
        cap_version=budget.cap_version + 1,
        version=budget.version + 1,
    )
    if changed.is_capped != budget.is_capped:
        changed = replace(changed, offline_until_unix_ms=_decided_until(tx, budget, act))
    change = CapChange(
        budget_id=budget.budget_id,
        cap_version=changed.cap_version,
        period_id=period_id,
        old_cap_nano_usd=(
            budget.cap_nano_usd if for_good else store.cap_in_force(tx, budget.budget_id, period_id)
        ),
        new_cap_nano_usd=cap_nano_usd,
        actor=act.actor.principal_id,
        reason=reason,
        changed_unix_ms=act.now_unix_ms,
        policy_version=policy.bump(tx),
    )
    store.update(tx, changed)
    store.insert_change(tx, change)
    store.put_in_force(tx, budget.budget_id, period_id, cap_nano_usd, changed.cap_version)
    record(
        tx,
        act,
        budget.budget_id,
        project_id=budget.selector.project_id,
        old_cap_nano_usd=change.old_cap_nano_usd,
        new_cap_nano_usd=cap_nano_usd,
        period_id=period_id,
        cap_version=changed.cap_version,
        reason=reason,
    )
    return changed, change


def archive_budget(tx: Tx, budget_id: str, reason: str, act: Act) -> ShownBudget:
    """End a budget: it counts and caps nothing from now on."""
    fields.check_reason(reason)
    budget = found(tx, budget_id)
    if budget.archived_unix_ms is None:
        project_id = budget.selector.project_id
        if project_id and len(store.active_of(tx, [project_id])) == 1:
            raise FailedPreconditionError(
                "the last budget of a project cannot end: calls that no budget matches are "
                "refused. Make another one first, take its cap away, or archive the project",
                budget_id=budget_id,
            )
        budget = end(tx, budget, act)
        policy.bump(tx)
    record(tx, act, budget_id, project_id=budget.selector.project_id, reason=reason)
    return shown(tx, budget, act.now_unix_ms)


def end(tx: Tx, budget: Budget, act: Act) -> Budget:
    """End a budget inside another change."""
    ended = replace(budget, archived_unix_ms=act.now_unix_ms, version=budget.version + 1)
    store.update(tx, ended)
    store.close_periods(tx, budget.budget_id)
    return ended


def list_periods(
    tx: Tx, asked: Asked, budget_id: str, partition: str, levels: Levels
) -> Page[Period]:
    """The periods of a budget, newest first, and its partitions."""
    found(tx, budget_id)
    filters = {"list": "periods", "budget": budget_id, "partition": partition}
    wanted = pages.begin(asked, filters, (int, str))
    rows = holdings.periods_page(tx, wanted, budget_id=budget_id, partition=partition)
    page = pages.finish(rows, wanted, filters, lambda row: (row.span.start_unix_ms, row.partition))
    return page.map(lambda period: _held(period, levels))


def list_cap_changes(tx: Tx, asked: Asked, budget_id: str) -> Page[CapChange]:
    """The changes of a cap, newest first."""
    found(tx, budget_id)
    filters = {"list": "cap changes", "budget": budget_id}
    wanted = pages.begin(asked, filters, (int,))
    rows = store.changes_page(tx, wanted, budget_id=budget_id)
    return pages.finish(rows, wanted, filters, lambda row: (row.cap_version,))


def found(tx: Tx, budget_id: str) -> Budget:
    """The budget of an id. Raises NotFoundError."""
    fields.check_id(budget_id, ids.BUDGET, "budget_id")
    budget = store.get(tx, budget_id)
    if budget is None:
        raise NotFoundError(f"there is no budget {budget_id}", budget_id=budget_id)
    return budget


def shown(tx: Tx, budget: Budget, now_unix_ms: int) -> ShownBudget:
    """A budget with its current period; one in which nothing happened yet is shown empty."""
    if budget.split_by:
        return ShownBudget(budget, None)
    span = budget.span_at(now_unix_ms)
    period = holdings.period(tx, budget, "", span)
    if period is None:
        cap_nano_usd = store.cap_in_force(tx, budget.budget_id, span.period_id)
        period = Period(budget.budget_id, "", span, cap_nano_usd, cap_version=budget.cap_version)
    return ShownBudget(budget, period)


def with_held(budget: ShownBudget, levels: Levels) -> ShownBudget:
    """The same with what open calls hold, as last reported."""
    period = budget.period
    return budget if period is None else replace(budget, period=_held(period, levels))


def _held(period: Period, levels: Levels) -> Period:
    key = PeriodKey(period.budget_id, period.partition, period.span.period_id)
    return replace(period, held_nano_usd=levels.held_nano_usd(key))


def _checked(tx: Tx, asked: NewBudget) -> NewBudget:
    """The budget that is asked for, checked against what there is."""
    selector = budgets.check_selector(asked.selector)
    zone = installation.get(tx).time_zone
    if selector.project_id:
        project = projects.get(tx, selector.project_id)
        if project is None:
            raise NotFoundError(
                f"there is no project {selector.project_id}", project_id=selector.project_id
            )
        check_not_archived(project)
        zone = project.time_zone
    if selector.key_id:
        key = keys.get(tx, selector.key_id)
        if key is None or key.project_id != selector.project_id:
            raise NotFoundError(f"the project has no key {selector.key_id}", key_id=selector.key_id)
    if selector.model:
        model = resolve_model(prices.everything(tx), selector.model, "budget.model")
        selector = replace(selector, model=model)
    wanted = budgets.check_new(replace(asked, selector=selector), zone, limits.OFFLINE_DEFAULT_MS)
    _check_room(tx, wanted)
    return wanted


def _check_room(tx: Tx, wanted: NewBudget) -> None:
    """Keep the number of budgets, and of those that one call can match, within bounds."""
    own = wanted.selector.project_id
    agency = store.active_of(tx, [""])
    if own:
        scopes = [agency + store.active_of(tx, [own])]
    else:
        by_project: dict[str, list[Budget]] = {"": list(agency)}
        for budget in store.active(tx):
            if budget.selector.project_id:
                by_project.setdefault(budget.selector.project_id, list(agency)).append(budget)
        scopes = list(by_project.values())
    for scope in scopes:
        same = sum(budget.selector.project_id == own for budget in scope)
        if same >= limits.SCOPE_BUDGETS_MAX:
            raise LimitExceededError(
                f"there are {same} budgets here: archive one first",
                limit=str(limits.SCOPE_BUDGETS_MAX),
            )
        matching = budgets.matching_max([*(b.selector for b in scope), wanted.selector])
        if matching > limits.VECTOR_LEASES_MAX:
            raise LimitExceededError(
                f"one call could match {matching} budgets, {limits.VECTOR_LEASES_MAX} at most are "
                "allowed: archive one that counts the same calls first",
                limit=str(limits.VECTOR_LEASES_MAX),
            )


def _check_active(budget: Budget) -> None:
    if budget.archived_unix_ms is not None:
        raise FailedPreconditionError(
            f"budget {budget.display_name!r} is archived: make a new one",
            budget_id=budget.budget_id,
        )


def _check_keeps_period(tx: Tx, budget: Budget, cap_nano_usd: int | None, now: int) -> None:
    before_nano_usd = budget.cap_nano_usd
    if cap_nano_usd is None or before_nano_usd is None or cap_nano_usd <= before_nano_usd:
        return
    period_id = budget.span_at(now).period_id
    raised_nano_usd = store.cap_in_force(tx, budget.budget_id, period_id)
    if raised_nano_usd is not None and cap_nano_usd < raised_nano_usd:
        raised, wanted = nano_to_usd(raised_nano_usd), nano_to_usd(cap_nano_usd)
        raise fields.invalid(
            "cap",
            f"this {_period_word(budget)} alone was raised to {raised}, so {wanted} from now on "
            f"would lower it. Set {raised} or more from now on; or, if it is to be lowered, set "
            f"{wanted} for this {_period_word(budget)} only first",
        )


def _period_word(budget: Budget) -> str:
    return "period" if budget.window == "once" else budget.window


def _reach(tx: Tx, before: Budget, changed: Budget, version: int, act: Act) -> Reach:
    project_id = changed.selector.project_id
    concerned, acked = holdings.reach_of(tx, project_id, version)
    last_unix_ms = changed.offline_until_unix_ms
    if before.is_capped:
        last_unix_ms = budgets.authority_end_unix_ms(changed, act.now_unix_ms)
    return Reach(
        policy_version=version,
        sidecar_count=concerned,
        acked_count=acked,
        guaranteed_unix_ms=last_unix_ms,
    )
