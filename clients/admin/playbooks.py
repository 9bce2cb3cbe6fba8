"""Playbooks: what the agency does step by step, and how far it is."""

from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookStep:
    """One thing that is to be so."""

    step_id: str
    text: str
    check: str
    """The check that sees it; "" for a step that somebody has to mark."""
    may_waive: bool
    """Whether somebody may say that it is not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """Steps that belong together."""

    name: str
    title: str
    about: str
    """client or agency."""
    monthly: bool
    """Whether it is gone through anew each month."""
    steps: tuple[PlaybookStep, ...]
    version: int
    """0 as it comes with the software."""
    author_id: str
    """Who applied it; "" as it comes."""
    apply_time: datetime | None
    toml: str
    """The file that it was read from."""
    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookFinding:
    """How one step stands."""

    playbook: str
    step: PlaybookStep
    outcome: str
    """PASSED, FAILED, TO_DO, DONE or WAIVED."""
    text: str
    """What is missing."""
    fix: str
    """The command that mends it."""
    marker_id: str
    """Who marked it; "" when nobody did."""
    mark_time: datetime | None
    note: str

    @property
    def holds(self) -> bool:
        """Whether nothing is left to do."""
        return self.outcome in {"PASSED", "DONE", "WAIVED"}


class Playbooks:
    """Reads playbooks, looks at their steps and marks them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.PlaybookServiceStub(wire.channel)

    def list(self) -> tuple[Playbook, ...]:
        """Read all, each in the version that holds."""
        found = self._wire.ask(self._stub.ListPlaybooks, v1.ListPlaybooksRequest())
        return tuple(map(_playbook_from_wire, found.playbooks))

    def verify(self, *, project_id: str = "", playbook: str = "") -> tuple[PlaybookFinding, ...]:
        """Look at each step for a client, or for the agency when none is named."""
        request = v1.QueryPlaybookFindingsRequest(project_id=project_id, playbook=playbook)
        found = self._wire.ask(self._stub.QueryPlaybookFindings, request)
        return tuple(map(_finding_from_wire, found.findings))

    def mark(
        self,
        playbook: str,
        step_id: str,
        *,
        project_id: str = "",
        kind: str = "DONE",
        note: str = "",
        request_id: str = "",
    ) -> PlaybookFinding:
        """Say that a step was DONE or is WAIVED, or with "" take that back."""
        request = v1.MarkStepRequest(
            request_id=request_id or self._wire.request_id(),
            playbook=playbook,
            step_id=step_id,
            project_id=project_id,
            kind=kind,
            note=note,
        )
        return _finding_from_wire(self._wire.ask(self._stub.MarkStep, request))

    def apply(self, toml: str, *, request_id: str = "") -> Playbook:
        """Add a playbook, or a new version. Raises InvalidArgumentError that tells why not."""
        request = v1.ApplyPlaybookRequest(
            request_id=request_id or self._wire.request_id(), toml=toml
        )
        return _playbook_from_wire(self._wire.ask(self._stub.ApplyPlaybook, request))


def _step_from_wire(wire: v1.PlaybookStep) -> PlaybookStep:
    return PlaybookStep(
        step_id=wire.step_id, text=wire.text, check=wire.check, may_waive=wire.may_waive
    )


def _playbook_from_wire(wire: v1.Playbook) -> Playbook:
    return Playbook(
        name=wire.name,
        title=wire.title,
        about=wire.about,
        monthly=wire.monthly,
        steps=tuple(map(_step_from_wire, wire.steps)),
        version=wire.version,
        author_id=wire.author_id,
        apply_time=instant_or_none_from_wire(wire.apply_time),
        toml=wire.toml,
        markdown=wire.markdown,
    )


def _finding_from_wire(wire: v1.PlaybookFinding) -> PlaybookFinding:
    return PlaybookFinding(
        playbook=wire.playbook,
        step=_step_from_wire(wire.step),
        outcome=wire.outcome,
        text=wire.text,
        fix=wire.fix,
        marker_id=wire.marker_id,
        mark_time=instant_or_none_from_wire(wire.mark_time),
        note=wire.note,
    )
