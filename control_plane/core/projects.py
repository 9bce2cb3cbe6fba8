"""What a project is: one client of the agency, kept apart from all others."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from control_plane import limits
from control_plane.core import fields
from control_plane.core import limits as rate_bounds
from control_plane.core.zones import check_zone
from protos.values.errors import FailedPreconditionError


class ProjectState(Enum):
    """Whether a project's calls may pass."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    ARCHIVED = "ARCHIVED"


class WhenTooLarge(Enum):
    """What becomes of a call whose worst case does not fit beside what is left."""

    CLAMP = "CLAMP"
    """A smaller limit on its output is put on the wire, where its caller set none."""
    REJECT = "REJECT"
    """It is refused, or waits."""
    COUNT = "COUNT"
    """The provider's token counter is asked first, where it counts exactly; then as CLAMP."""


@dataclass(frozen=True, slots=True)
class Project:
    """A client of the agency."""

    project_id: str
    """Made by the control plane; never changes."""
    display_name: str
    """Unique among projects that are not archived, whatever the case of its letters."""
    time_zone: str
    """IANA zone in which the windows of budgets made later turn."""
    state: ProjectState
    """Whether its calls may pass."""
    patience_ms: int
    """How long a call may wait for money that others hold."""
    created_unix_ms: int
    """When it was made."""
    updated_unix_ms: int
    """When it was last changed."""
    version: int
    """Rises with every change."""
    when_too_large: WhenTooLarge = WhenTooLarge.CLAMP
    hosted_calls: int = 0
    """Calls of tools that a provider runs, which one call may make when its request names no
    limit; 0 for none."""
    rate_weight: int = rate_bounds.RATE_WEIGHT_DEFAULT_PARTS
    """How much of a rate limit that clients share is this one's, beside the others' weights."""
    loop_max: int = 0
    """Equal requests of a workflow in a minute that are no loop yet; 0 where none ever is."""

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return fields.etag_of(self.version)


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that is asked for."""

    display_name: str
    time_zone: str = ""
    """Empty for the installation's."""
    patience_ms: int = 0
    """0 for the default."""


@dataclass(frozen=True, slots=True)
class ProjectChange:
    """The fields of a project that are to change; None leaves one as it is."""

    display_name: str | None = None
    time_zone: str | None = None
    patience_ms: int | None = None
    when_too_large: WhenTooLarge | None = None
    hosted_calls: int | None = None
    rate_weight: int | None = None
    loop_max: int | None = None


CHANGEABLE: Final = (
    *("display_name", "time_zone", "patience_ms", "when_too_large", "hosted_call_count"),
    *("rate_weight", "loop_max_count"),
)
"""What an update mask may name."""

TRANSITIONS: Final[dict[ProjectState, frozenset[ProjectState]]] = {
    ProjectState.ACTIVE: frozenset({ProjectState.SUSPENDED, ProjectState.ARCHIVED}),
    ProjectState.SUSPENDED: frozenset({ProjectState.ACTIVE, ProjectState.ARCHIVED}),
    ProjectState.ARCHIVED: frozenset(),
}
"""From which state a project may go where. Staying where it is changes nothing and is allowed."""


def check_new(asked: NewProject, default_time_zone: str) -> NewProject:
    """The project that is asked for, with its defaults."""
    zone = asked.time_zone or default_time_zone
    return NewProject(
        display_name=fields.check_name(asked.display_name, "project.display_name"),
        time_zone=check_zone(zone, "project.time_zone"),
        patience_ms=check_patience(asked.patience_ms or limits.PATIENCE_DEFAULT_MS),
    )


def check_patience(patience_ms: int) -> int:
    """A patience within its bounds."""
    return fields.check_between(patience_ms, 1, limits.PATIENCE_MAX_MS, "project.patience_ms")


def check_hosted_calls(count: int) -> int:
    """An allowance within its bounds."""
    return fields.check_between(count, 0, limits.HOSTED_CALLS_MAX, "project.hosted_call_count")


def check_rate_weight(weight: int) -> int:
    """A weight within its bounds."""
    return fields.check_between(weight, 1, rate_bounds.RATE_WEIGHT_MAX_PARTS, "project.rate_weight")


def check_loop_max(count: int) -> int:
    """How many equal requests are no loop yet, within bounds."""
    if not count:
        return 0
    least, most = rate_bounds.LOOP_MIN_REQUESTS, rate_bounds.LOOP_MAX_REQUESTS
    return fields.check_between(count, least, most, "project.loop_max_count")


def check_transition(project: Project, to: ProjectState) -> None:
    """Refuse a change of state that the table does not hold."""
    if project.state is not to and to not in TRANSITIONS[project.state]:
        raise FailedPreconditionError(
            f"project {project.display_name!r} is {project.state.value.lower()} and stays so: "
            "make a new project",
            project_id=project.project_id,
            state=project.state.value,
        )


def check_not_archived(project: Project) -> None:
    """Refuse to build on a project that is over."""
    if project.state is ProjectState.ARCHIVED:
        raise FailedPreconditionError(
            f"project {project.display_name!r} is archived: make a new project",
            project_id=project.project_id,
            state=project.state.value,
        )


class ListedProject(NamedTuple):
    """What a list says of a project; of thousands each costs its time."""

    project_id: str
    display_name: str
    state: str
    """The value of a `ProjectState`."""
