"""Workflows of a client, and what was agreed that they are worth."""

from dataclasses import dataclass, replace

from control_plane.core import pages
from control_plane.core.pages import Asked, Page
from control_plane.core.statements import Totals, totals_from
from control_plane.core.usage import Stretch
from control_plane.core.workflows import Roi, check_roi
from control_plane.store import usage as usage_store
from control_plane.store import workflows as store
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from control_plane.usecases.statement_values import month_at
from protos.values.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """A workflow, and what it used this month."""

    workflow: str
    totals: Totals
    roi: Roi | None


def list_workflows(tx: Tx, asked: Asked, project_id: str, now_unix_ms: int) -> Page[WorkflowView]:
    """Workflows that were used this month or that something was agreed on, by name."""
    filters = {"list": "workflows", "project": project_id}
    wanted = pages.begin(asked, filters, (str,))
    project = projects.found(tx, project_id)
    month = month_at(project.time_zone, now_unix_ms)
    whole = Stretch("", month.start_unix_ms, month.end_unix_ms)
    sums = usage_store.sums(tx, whole, ("workflow",), project_id=project_id)
    summed = {row.group[0]: totals_from(row.sums) for row in sums}
    agreed = {roi.workflow: roi for roi in store.rois(tx, project_id)}
    found = [
        WorkflowView(name, summed.get(name, Totals()), agreed.get(name))
        for name in {*summed, *agreed}
    ]
    found.sort(key=lambda view: view.workflow)
    after = None if wanted.after is None else str(wanted.after[0])
    rows = [view for view in found if after is None or view.workflow > after][: wanted.limit]
    return pages.finish(rows, wanted, filters, lambda view: (view.workflow,))


def set_roi(tx: Tx, wanted: Roi, act: Act) -> Roi:
    """Keep what was agreed; later statements show it, frozen ones stay as they are."""
    projects.found(tx, wanted.project_id)
    kept = replace(check_roi(wanted), set_by=act.actor.principal_id, set_unix_ms=act.now_unix_ms)
    store.put_roi(tx, kept)
    record(
        tx,
        act,
        kept.workflow,
        project_id=kept.project_id,
        unit=kept.unit,
        counts=kept.counts,
        seconds_per_unit=kept.seconds_per_unit,
        agreed_by=kept.agreed_by,
        agreed_on=kept.agreed_on,
    )
    return kept


def drop_roi(tx: Tx, project_id: str, workflow: str, act: Act) -> None:
    """Forget what was agreed: later statements show no worth."""
    projects.found(tx, project_id)
    if not store.drop_roi(tx, project_id, workflow):
        raise NotFoundError(f"nothing was agreed on {workflow!r}", workflow=workflow[:64])
    record(tx, act, workflow, project_id=project_id, agreed=False)
