"""Projects on the wire."""

from typing import Final

from control_plane.core import fields
from control_plane.core.projects import (
    CHANGEABLE,
    NewProject,
    Project,
    ProjectChange,
    ProjectState,
    WhenTooLarge,
)
from control_plane.rpc.wire.instants import instant_to_wire
from control_plane.rpc.wire.masks import paths_of
from protos.bursar.admin import v1

_STATES: Final = {
    ProjectState.ACTIVE: v1.ProjectState.PROJECT_STATE_ACTIVE,
    ProjectState.SUSPENDED: v1.ProjectState.PROJECT_STATE_SUSPENDED,
    ProjectState.ARCHIVED: v1.ProjectState.PROJECT_STATE_ARCHIVED,
}

WHEN_TOO_LARGE: Final = {
    WhenTooLarge.CLAMP: v1.WhenTooLarge.WHEN_TOO_LARGE_CLAMP,
    WhenTooLarge.REJECT: v1.WhenTooLarge.WHEN_TOO_LARGE_REJECT,
    WhenTooLarge.COUNT: v1.WhenTooLarge.WHEN_TOO_LARGE_COUNT,
}
_WHEN_FROM_WIRE: Final[dict[int, WhenTooLarge]] = {
    v1.WhenTooLarge.WHEN_TOO_LARGE_UNSPECIFIED: WhenTooLarge.CLAMP,
    **{number: when for when, number in WHEN_TOO_LARGE.items()},
}


def project_to_wire(project: Project) -> v1.Project:
    """A project."""
    return v1.Project(
        project_id=project.project_id,
        display_name=project.display_name,
        time_zone=project.time_zone,
        state=_STATES[project.state],
        patience_ms=project.patience_ms,
        create_time=instant_to_wire(project.created_unix_ms),
        update_time=instant_to_wire(project.updated_unix_ms),
        etag=project.etag,
        when_too_large=WHEN_TOO_LARGE[project.when_too_large],
        hosted_call_count=project.hosted_calls,
        rate_weight=project.rate_weight,
        loop_max_count=project.loop_max,
    )


def new_project_from_wire(message: v1.Project) -> NewProject:
    """A project that is asked for; what the control plane makes is passed over."""
    return NewProject(message.display_name, message.time_zone, message.patience_ms)


def project_change_from_wire(request: v1.UpdateProjectRequest) -> ProjectChange:
    """The fields of a project that are to change."""
    paths = paths_of(request.update_mask, CHANGEABLE)
    project = request.project
    return ProjectChange(
        display_name=project.display_name if "display_name" in paths else None,
        time_zone=project.time_zone if "time_zone" in paths else None,
        patience_ms=project.patience_ms if "patience_ms" in paths else None,
        when_too_large=_when_from_wire(project) if "when_too_large" in paths else None,
        hosted_calls=project.hosted_call_count if "hosted_call_count" in paths else None,
        rate_weight=project.rate_weight if "rate_weight" in paths else None,
        loop_max=project.loop_max_count if "loop_max_count" in paths else None,
    )


def _when_from_wire(project: v1.Project) -> WhenTooLarge:
    found = _WHEN_FROM_WIRE.get(project.when_too_large)
    if found is None:
        raise fields.invalid("project.when_too_large", "CLAMP, REJECT or COUNT")
    return found
