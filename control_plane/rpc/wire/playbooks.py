"""Playbooks and how their steps stand, on the wire."""

from collections.abc import Iterable

from control_plane.core import fields
from control_plane.core.playbook import Finding, MarkKind, Step, to_markdown
from control_plane.rpc.wire.instants import instant_or_none_to_wire
from control_plane.usecases.playbooks import Held, Verified
from protos.bursar.admin import v1


def playbook_to_wire(held: Held) -> v1.Playbook:
    """A playbook with where it comes from."""
    playbook, source = held.playbook, held.source
    return v1.Playbook(
        name=playbook.name,
        title=playbook.title,
        about=playbook.scope.value,
        monthly=playbook.monthly,
        steps=map(_step_to_wire, playbook.steps),
        version=source.version,
        author_id=source.author,
        apply_time=instant_or_none_to_wire(source.applied_unix_ms or None),
        toml=source.toml,
        markdown=to_markdown(playbook),
    )


def finding_to_wire(name: str, one: Finding) -> v1.PlaybookFinding:
    """How one step stands."""
    mark = one.mark
    return v1.PlaybookFinding(
        playbook=name,
        step=_step_to_wire(one.step),
        outcome=one.outcome.value,
        text=one.text,
        fix=one.fix,
        marker_id="" if mark is None else mark.marked_by,
        mark_time=instant_or_none_to_wire(None if mark is None else mark.marked_unix_ms),
        note="" if mark is None else mark.note,
    )


def findings_to_wire(verified: Iterable[Verified]) -> list[v1.PlaybookFinding]:
    """How each step stands."""
    return [finding_to_wire(of.playbook.name, one) for of in verified for one in of.findings]


def kind_from_wire(text: str) -> MarkKind | None:
    """What is said of a step; None takes it back."""
    if not text:
        return None
    try:
        return MarkKind(text)
    except ValueError:
        raise fields.invalid("kind", f"one of {', '.join(MarkKind)}, or empty") from None


def _step_to_wire(step: Step) -> v1.PlaybookStep:
    return v1.PlaybookStep(
        step_id=step.step_id, text=step.text, check=step.check, may_waive=step.may_waive
    )
