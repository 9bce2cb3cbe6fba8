"""Workflows, and what was agreed that they are worth."""

from collections.abc import Iterator
from dataclasses import dataclass

from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRoi:
    """What was agreed for one workflow."""

    project_id: str
    """The client."""
    workflow: str
    """Its name."""
    unit: str
    """What it makes, such as lead."""
    units: str = ""
    """Its plural; the unit with an s when empty."""
    counts: str = "execution"
    """execution: a run whose last call ended well is a unit; call: each call that did."""
    seconds_per_unit: int
    """Of a person's time, without the workflow."""
    agreed_by: str
    """Who at the client agreed."""
    agreed_on: str
    """On which date, such as 2026-03-02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow, with its use in the client's running month."""

    workflow: str
    """Its name; "" for calls that named none."""
    call_count: int
    """Calls of the month."""
    failed_count: int
    """Those that did not end well."""
    cost_nano_usd: int
    """What they cost."""
    roi: WorkflowRoi | None
    """What was agreed; None when nothing was."""


class Workflows:
    """Reads workflows and keeps what was agreed."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.WorkflowServiceStub(wire.channel)

    def list(self, project_id: str) -> Iterator[Workflow]:
        """Yield a client's workflows by name."""

        def fetch(token: str) -> v1.ListWorkflowsResponse:
            request = v1.ListWorkflowsRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListWorkflows, request)

        return self._wire.pages(fetch, lambda page: map(workflow_from_wire, page.workflows))

    def set_roi(self, roi: WorkflowRoi, *, request_id: str = "") -> WorkflowRoi:
        """Keep what was agreed; statements that are frozen stay as they are."""
        request = v1.SetRoiRequest(
            request_id=request_id or self._wire.request_id(),
            roi=v1.WorkflowRoi(
                project_id=roi.project_id,
                workflow=roi.workflow,
                unit=roi.unit,
                units=roi.units,
                counts=roi.counts,
                seconds_per_unit=roi.seconds_per_unit,
                agreed_by=roi.agreed_by,
                agreed_on=roi.agreed_on,
            ),
        )
        return roi_from_wire(self._wire.ask(self._stub.SetRoi, request))

    def drop_roi(self, project_id: str, workflow: str, *, request_id: str = "") -> None:
        """Forget what was agreed. Raises NotFoundError when nothing was."""
        request = v1.DropRoiRequest(
            request_id=request_id or self._wire.request_id(),
            project_id=project_id,
            workflow=workflow,
        )
        self._wire.ask(self._stub.DropRoi, request)

    def set_task(self, project_id: str, workflow: str, task: str, *, request_id: str = "") -> None:
        """Say what a workflow does; "" takes it back. NotFoundError where nothing was said."""
        request = v1.SetTaskRequest(
            request_id=request_id or self._wire.request_id(),
            project_id=project_id,
            workflow=workflow,
            task=task,
        )
        self._wire.ask(self._stub.SetTask, request)


def workflow_from_wire(wire: v1.Workflow) -> Workflow:
    """Read a workflow."""
    return Workflow(
        workflow=wire.workflow,
        call_count=wire.call_count,
        failed_count=wire.failed_count,
        cost_nano_usd=wire.cost_nano_usd,
        roi=roi_from_wire(wire.roi) if wire.HasField("roi") else None,
    )


def roi_from_wire(wire: v1.WorkflowRoi) -> WorkflowRoi:
    """Read what was agreed."""
    return WorkflowRoi(
        project_id=wire.project_id,
        workflow=wire.workflow,
        unit=wire.unit,
        units=wire.units,
        counts=wire.counts,
        seconds_per_unit=wire.seconds_per_unit,
        agreed_by=wire.agreed_by,
        agreed_on=wire.agreed_on,
    )
