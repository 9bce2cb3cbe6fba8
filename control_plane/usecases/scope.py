"""Holds what a sidecar reports to the projects that it was let in for.

A scoped sidecar was never told of any other project, nor of a budget of one, and its scope never
changes; so a report that names one is no late evidence but a forgery, and nothing of it is booked.
What this database does not know is no sign of that: it may be older than the sidecar.
"""

from collections.abc import Iterator

from control_plane.core.calls import Line, Return, Settle, Unreadable, Void
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import Report
from control_plane.core.sidecars import Sidecar
from control_plane.store import budgets
from control_plane.store.engine import Tx


def is_beyond(tx: Tx, sidecar: Sidecar, report: Report) -> bool:
    """Whether a report speaks of projects, or of budgets of projects, that are none of its own."""
    if not sidecar.project_ids:
        return False
    inside = frozenset(sidecar.project_ids)
    if any(refusal.project_id not in inside | {""} for refusal in report.refusals):
        return True
    for record in report.records:
        if isinstance(record, Settle | Void) and record.call.project_id not in inside:
            return True
    named = {lease.lease.budget_id for lease in report.leases}
    named.update(budget.budget_id for demand in report.demands for budget in demand.budgets)
    for record in report.records:
        named.update(budget.budget_id for budget in _budgets_of(record))
    for budget_id in sorted(named):
        budget = budgets.get(tx, budget_id)
        if budget is not None and budget.selector.project_id not in inside | {""}:
            return True
    return False


def _budgets_of(record: Line) -> Iterator[BudgetRef | PeriodKey]:
    match record:
        case Settle() | Void():
            yield from record.call.vector
            yield from record.call.counted
        case Return():
            yield record.lease
        case Unreadable():
            return
        case _:
            yield from record.vector
