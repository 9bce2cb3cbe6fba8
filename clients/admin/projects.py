"""Projects: one client of the agency each, kept apart from all others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from google.protobuf.field_mask_pb2 import FieldMask

from clients.admin.amounts import cap_from_caller
from clients.admin.budgets import Budget, Window, budget_from_wire, window_to_wire
from clients.admin.instants import instant_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1

ProjectState = Literal["unknown", "active", "suspended", "archived"]

_STATE_FROM_WIRE: Mapping[int, ProjectState] = {
    v1.ProjectState.PROJECT_STATE_UNSPECIFIED: "unknown",
    v1.ProjectState.PROJECT_STATE_ACTIVE: "active",
    v1.ProjectState.PROJECT_STATE_SUSPENDED: "suspended",
    v1.ProjectState.PROJECT_STATE_ARCHIVED: "archived",
}
WhenTooLarge = Literal["clamp", "reject", "count"]
_WHEN_TO_WIRE: Mapping[WhenTooLarge, "v1.WhenTooLarge.ValueType"] = {
    "clamp": v1.WhenTooLarge.WHEN_TOO_LARGE_CLAMP,
    "reject": v1.WhenTooLarge.WHEN_TOO_LARGE_REJECT,
    "count": v1.WhenTooLarge.WHEN_TOO_LARGE_COUNT,
}
_WHEN_FROM_WIRE: Mapping[int, WhenTooLarge] = {one: word for word, one in _WHEN_TO_WIRE.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A client of the agency: own keys, budgets, log and statement."""

    project_id: str
    """Made by the control plane, such as prj_01jd…."""
    display_name: str
    """Unique among projects that are not archived."""
    time_zone: str
    """IANA time zone in which its windows turn."""
    state: ProjectState
    """Whether its calls may pass."""
    patience_ms: int
    """How long a call may wait for money that other calls hold."""
    create_time: datetime
    """When it was made."""
    update_time: datetime
    """When it was last changed."""
    etag: str
    """Send it back on update."""
    when_too_large: WhenTooLarge = "clamp"
    """What becomes of a call whose worst case does not fit beside what is left."""
    hosted_call_count: int = 0
    """Calls of tools that a provider runs, which one call may make when its request names no
    limit; 0 for none."""
    rate_weight: int = 100
    """How much of a rate limit that clients share is this one's, beside the others' weights."""
    loop_max_count: int = 0
    """Equal requests of a workflow in a minute that are no loop yet; 0 where none ever is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedProject:
    """A new project together with its first budget."""

    project: Project
    """The project."""
    budget: Budget
    """Its first budget."""


class Projects:
    """Makes, reads and changes projects."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ProjectServiceStub(wire.channel)

    def create(
        self,
        *,
        display_name: str,
        cap_usd: str | None = None,
        cap_nano_usd: int | None = None,
        window: Window = "month",
        time_zone: str = "",
        anchor_day: int = 0,
        patience_ms: int = 0,
        request_id: str = "",
    ) -> CreatedProject:
        """Make a project and its first budget; without a cap that budget only counts."""
        request = v1.CreateProjectRequest(
            request_id=request_id or self._wire.request_id(),
            project=v1.Project(
                display_name=display_name, time_zone=time_zone, patience_ms=patience_ms
            ),
            budget=v1.Budget(
                cap_nano_usd=cap_from_caller(cap_usd, cap_nano_usd),
                window=window_to_wire(window),
                time_zone=time_zone,
                anchor_day=anchor_day,
            ),
        )
        answer = self._wire.ask(self._stub.CreateProject, request)
        return CreatedProject(
            project=project_from_wire(answer.project), budget=budget_from_wire(answer.budget)
        )

    def get(self, project: str) -> Project:
        """Read one project by its id or by its display name."""
        request = v1.GetProjectRequest(project=project)
        return project_from_wire(self._wire.ask(self._stub.GetProject, request))

    def list(self, *, show_archived: bool = False) -> Iterator[Project]:
        """Yield projects by name."""

        def fetch(token: str) -> v1.ListProjectsResponse:
            request = v1.ListProjectsRequest(
                page_size=PAGE_ITEMS, page_token=token, show_archived=show_archived
            )
            return self._wire.ask(self._stub.ListProjects, request)

        return self._wire.pages(fetch, lambda page: map(project_from_wire, page.projects))

    def update(
        self,
        project: Project,
        *,
        display_name: str | None = None,
        time_zone: str | None = None,
        patience_ms: int | None = None,
        when_too_large: WhenTooLarge | None = None,
        hosted_call_count: int | None = None,
        request_id: str = "",
    ) -> Project:
        """Change what is given. Raises EtagMismatchError when `project` is not the newest."""
        wanted = v1.Project(project_id=project.project_id, etag=project.etag)
        paths = []
        if display_name is not None:
            wanted.display_name = display_name
            paths.append("display_name")
        if time_zone is not None:
            wanted.time_zone = time_zone
            paths.append("time_zone")
        if patience_ms is not None:
            wanted.patience_ms = patience_ms
            paths.append("patience_ms")
        if when_too_large is not None:
            wanted.when_too_large = _WHEN_TO_WIRE[when_too_large]
            paths.append("when_too_large")
        if hosted_call_count is not None:
            wanted.hosted_call_count = hosted_call_count
            paths.append("hosted_call_count")
        return self._update(wanted, paths, request_id)

    def set_traffic(
        self,
        project: Project,
        *,
        rate_weight: int | None = None,
        loop_max_count: int | None = None,
        request_id: str = "",
    ) -> Project:
        """Change a client's part of shared rate limits, and when its workflows loop.

        Raises EtagMismatchError when `project` is not the newest.
        """
        wanted = v1.Project(project_id=project.project_id, etag=project.etag)
        paths = []
        if rate_weight is not None:
            wanted.rate_weight = rate_weight
            paths.append("rate_weight")
        if loop_max_count is not None:
            wanted.loop_max_count = loop_max_count
            paths.append("loop_max_count")
        return self._update(wanted, paths, request_id)

    def _update(self, wanted: v1.Project, paths: Sequence[str], request_id: str) -> Project:
        request = v1.UpdateProjectRequest(
            request_id=request_id or self._wire.request_id(),
            project=wanted,
            update_mask=FieldMask(paths=paths),
        )
        return project_from_wire(self._wire.ask(self._stub.UpdateProject, request))

    def suspend(self, project_id: str, *, reason: str = "", request_id: str = "") -> Project:
        """Refuse all calls until the project is resumed."""
        request = v1.SuspendProjectRequest(
            request_id=request_id or self._wire.request_id(), project_id=project_id, reason=reason
        )
        return project_from_wire(self._wire.ask(self._stub.SuspendProject, request))

    def resume(self, project_id: str, *, reason: str = "", request_id: str = "") -> Project:
        """Let calls pass again."""
        request = v1.ResumeProjectRequest(
            request_id=request_id or self._wire.request_id(), project_id=project_id, reason=reason
        )
        return project_from_wire(self._wire.ask(self._stub.ResumeProject, request))

    def archive(self, project_id: str, *, reason: str = "", request_id: str = "") -> Project:
        """End a project for good: its keys are revoked, its ledger stays."""
        request = v1.ArchiveProjectRequest(
            request_id=request_id or self._wire.request_id(), project_id=project_id, reason=reason
        )
        return project_from_wire(self._wire.ask(self._stub.ArchiveProject, request))


def project_from_wire(wire: v1.Project) -> Project:
    """Read a project."""
    return Project(
        project_id=wire.project_id,
        display_name=wire.display_name,
        time_zone=wire.time_zone,
        state=_STATE_FROM_WIRE[wire.state],
        patience_ms=wire.patience_ms,
        create_time=instant_from_wire(wire.create_time),
        update_time=instant_from_wire(wire.update_time),
        etag=wire.etag,
        when_too_large=_WHEN_FROM_WIRE.get(wire.when_too_large, "clamp"),
        hosted_call_count=wire.hosted_call_count,
        rate_weight=wire.rate_weight,
        loop_max_count=wire.loop_max_count,
    )
