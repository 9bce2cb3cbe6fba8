"""Statements, workflows and branding on the wire."""

from typing import Final

from control_plane.core import fields
from control_plane.core.statements import State
from control_plane.core.workflows import Roi
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from control_plane.store.branding import Branding
from control_plane.store.statements import Kept, Settings
from control_plane.usecases.workflows import WorkflowView
from protos.bursar.admin import v1

_STATES: Final = {
    State.DRAFT: v1.StatementState.STATEMENT_STATE_DRAFT,
    State.APPROVED: v1.StatementState.STATEMENT_STATE_APPROVED,
    State.SENT: v1.StatementState.STATEMENT_STATE_SENT,
    State.SUPERSEDED: v1.StatementState.STATEMENT_STATE_SUPERSEDED,
}


def statement_to_wire(kept: Kept) -> v1.Statement:
    """A version, without what it says."""
    return v1.Statement(
        statement_id=kept.statement_id,
        project_id=kept.project_id,
        month=kept.month,
        version=kept.version,
        state=_STATES[kept.state],
        sha256=kept.sha256,
        call_count=kept.call_count,
        cost_nano_usd=kept.cost_nano_usd,
        charge_nano_usd=kept.charge_nano_usd,
        create_time=instant_to_wire(kept.created_unix_ms),
        approver_id=kept.approved_by,
        send_time=instant_or_none_to_wire(kept.due_unix_ms),
        sent_time=instant_or_none_to_wire(kept.sent_unix_ms),
    )


def settings_to_wire(settings: Settings) -> v1.StatementSettings:
    """How a client's statements go out."""
    return v1.StatementSettings(
        project_id=settings.project_id,
        automatic=settings.automatic,
        send_day=settings.send_day,
        recipients=settings.recipients,
        note=settings.note,
    )


def settings_from_wire(message: v1.StatementSettings) -> Settings:
    """The settings that are asked for."""
    return Settings(
        project_id=message.project_id,
        automatic=message.automatic,
        send_day=message.send_day or Settings("").send_day,
        recipients=tuple(message.recipients),
        note=message.note,
    )


def roi_to_wire(roi: Roi) -> v1.WorkflowRoi:
    """What was agreed."""
    return v1.WorkflowRoi(
        project_id=roi.project_id,
        workflow=roi.workflow,
        unit=roi.unit,
        units=roi.units,
        counts=roi.counts,
        seconds_per_unit=roi.seconds_per_unit,
        agreed_by=roi.agreed_by,
        agreed_on=roi.agreed_on,
    )


def roi_from_wire(message: v1.WorkflowRoi) -> Roi:
    """What is to be kept."""
    return Roi(
        project_id=message.project_id,
        workflow=message.workflow,
        unit=message.unit,
        units=message.units,
        counts=message.counts or "execution",
        seconds_per_unit=message.seconds_per_unit,
        agreed_by=message.agreed_by,
        agreed_on=message.agreed_on,
    )


def workflow_to_wire(project_id: str, view: WorkflowView) -> v1.Workflow:
    """A workflow with its month."""
    return v1.Workflow(
        project_id=project_id,
        workflow=view.workflow,
        call_count=view.totals.call_count,
        failed_count=view.totals.failed_count,
        cost_nano_usd=view.totals.cost_nano_usd,
        roi=roi_to_wire(view.roi) if view.roi is not None else None,
    )


def branding_to_wire(branding: Branding) -> v1.Branding:
    """How the agency shows itself."""
    return v1.Branding(
        agency=branding.agency,
        colour=branding.colour,
        logo=branding.logo,
        note=branding.note,
        names_bursar=branding.names_bursar,
        etag=fields.etag_of(branding.version),
    )


def branding_from_wire(message: v1.Branding) -> Branding:
    """The branding that is asked for; what kind of picture the logo is, it says itself."""
    return Branding(
        agency=message.agency,
        colour=message.colour,
        logo=message.logo,
        note=message.note,
        names_bursar=message.names_bursar,
    )
