"""Playbooks: what an agency does step by step, and which of it the software sees by itself.

A playbook is TOML. A step either names a check of `playbook_checks.py`, which is looked at anew
whenever somebody asks, or it is manual: somebody says that it was done. There is no language of
conditions: a check that is not in the table is refused.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from control_plane.core import fields
from control_plane.core.playbook_checks import CHECKS
from control_plane.playbooks import limits
from protos.values.errors import InvalidArgumentError

_ID: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_OF_PLAYBOOK: Final = frozenset({"id", "title", "about", "monthly", "step"})
_OF_STEP: Final = frozenset({"id", "text", "check", "manual", "waive"})


class Scope(StrEnum):
    """What a playbook is gone through for."""

    CLIENT = "client"
    AGENCY = "agency"


class MarkKind(StrEnum):
    """What somebody says of a step."""

    DONE = "DONE"
    WAIVED = "WAIVED"


class Outcome(StrEnum):
    """How a step stands."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    TO_DO = "TO_DO"
    DONE = "DONE"
    WAIVED = "WAIVED"

    @property
    def holds(self) -> bool:
        """Whether nothing is left to do."""
        return self not in {Outcome.FAILED, Outcome.TO_DO}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is to be so."""

    step_id: str
    text: str
    check: str = ""
    """The check that sees it; empty for a step that somebody has to mark."""
    may_waive: bool = False
    """Whether somebody may say that it is not needed."""


@dataclass(frozen=True, slots=True)
class Playbook:
    """Steps that belong together."""

    name: str
    title: str
    scope: Scope
    monthly: bool
    """Whether it is gone through anew each month, and marks count for one month alone."""
    steps: tuple[Step, ...]

    def step(self, step_id: str) -> Step:
        """One of its steps. Raises InvalidArgumentError."""
        for one in self.steps:
            if one.step_id == step_id:
                return one
        hint = _meant(step_id, [one.step_id for one in self.steps])
        raise fields.invalid("step_id", f"{self.name} has no step {step_id[:64]!r}{hint}")


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody said of a step."""

    playbook: str
    step_id: str
    project_id: str
    """The client; empty for the agency."""
    month: str
    """Of a monthly playbook, such as 2026-11; else empty."""
    kind: MarkKind
    marked_by: str
    """The principal's id."""
    marked_unix_ms: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check found."""

    holds: bool
    text: str = ""
    """What is missing."""
    fix: str = ""
    """The command that mends it."""
    page: str = ""
    """The page of the desk that mends it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one step stands."""

    step: Step
    outcome: Outcome
    text: str = ""
    """What is missing."""
    fix: str = ""
    """The command that mends it."""
    page: str = ""
    """The page of the desk that mends it; empty for none."""
    mark: Mark | None = None
    """Who said so."""


def parse(text: str) -> Playbook:
    """Read a playbook. Raises InvalidArgumentError that names the step and what is wrong there."""
    if len(text.encode()) > limits.PLAYBOOK_BYTES_MAX:
        raise _wrong(f"has more than {limits.PLAYBOOK_BYTES_MAX} bytes")
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"is no TOML: {error}") from None
    _check_names(read, _OF_PLAYBOOK, "the playbook")
    scope = _text(read, "about", "the playbook")
    if scope not in set(Scope):
        raise _wrong(f'about is {scope!r}: write about = "client" or about = "agency"')
    steps = read.get("step")
    if not isinstance(steps, list) or not steps or not all(isinstance(one, dict) for one in steps):
        raise _wrong("has no step: begin each with [[step]]")
    if len(steps) > limits.PLAYBOOK_STEPS_MAX:
        raise _wrong(f"has {len(steps)} steps, {limits.PLAYBOOK_STEPS_MAX} are allowed")
    made = tuple(_step(one, number) for number, one in enumerate(steps, 1))
    taken: set[str] = set()
    for one in made:
        if one.step_id in taken:
            raise _wrong(f"step {one.step_id!r} stands twice: give each an id of its own")
        taken.add(one.step_id)
    return Playbook(
        name=_id(read, "the playbook"),
        title=_text(read, "title", "the playbook"),
        scope=Scope(scope),
        monthly=_flag(read, "monthly", "the playbook"),
        steps=made,
    )


def judge(
    playbook: Playbook, seen: Mapping[str, Seen], marks: Iterable[Mark], mark_command: str
) -> tuple[Finding, ...]:
    """How each step stands: by what its check saw, else by what somebody said.

    `seen` has an entry for every check of the playbook; `mark_command` is the command up to the
    step's id.
    """
    by_step = {one.step_id: one for one in marks}
    found = []
    for step in playbook.steps:
        mark = by_step.get(step.step_id)
        if mark is not None and mark.kind is MarkKind.WAIVED and step.may_waive:
            found.append(Finding(step, Outcome.WAIVED, mark=mark))
        elif step.check:
            what = seen[step.check]
            outcome = Outcome.PASSED if what.holds else Outcome.FAILED
            found.append(Finding(step, outcome, what.text, what.fix, what.page))
        elif mark is not None and mark.kind is MarkKind.DONE:
            found.append(Finding(step, Outcome.DONE, mark=mark))
        else:
            command = mark_command.replace("STEP", step.step_id)
            found.append(Finding(step, Outcome.TO_DO, "nobody said that it was done", command))
    return tuple(found)


def to_markdown(playbook: Playbook) -> str:
    """The playbook for whoever reads it on paper."""
    whose = "each client" if playbook.scope is Scope.CLIENT else "the agency"
    when = ", every month" if playbook.monthly else ""
    lines = [f"# {playbook.title}", "", f"For {whose}{when}.", ""]
    for step in playbook.steps:
        how = f"seen by itself: {CHECKS[step.check].about}" if step.check else "marked by a person"
        waived = "; may be waived" if step.may_waive else ""
        lines.append(f"- [ ] **{step.step_id}** {_plain(step.text)} *({how}{waived})*")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _step(read: Mapping[str, Any], number: int) -> Step:
    where = f"step {number}"
    _check_names(read, _OF_STEP, where)
    step_id = _id(read, where)
    where = f"step {step_id!r}"
    check, manual = read.get("check", ""), _flag(read, "manual", where)
    if not isinstance(check, str):
        raise _wrong(f"{where}: check is the name of a check, in quotes")
    if check and check not in CHECKS:
        hint = _meant(check, CHECKS) or f"; there are {', '.join(sorted(CHECKS))}"
        raise _wrong(f"{where}: there is no check {check[:64]!r}{hint}")
    if bool(check) == manual:
        raise _wrong(f'{where}: write either check = "NAME" or manual = true')
    return Step(step_id, _text(read, "text", where), check, _flag(read, "waive", where))


def _check_names(read: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for name in read:
        if name not in known:
            raise _wrong(f"{where} has {name[:64]!r}, which means nothing{_meant(name, known)}")


def _id(read: Mapping[str, Any], where: str) -> str:
    found = _text(read, "id", where)
    if not _ID.fullmatch(found) or len(found) > limits.PLAYBOOK_ID_CHARACTERS_MAX:
        raise _wrong(
            f"{where}: the id {found[:64]!r} is not 1 to {limits.PLAYBOOK_ID_CHARACTERS_MAX} small"
            " letters and digits with single - between"
        )
    return found


def _text(read: Mapping[str, Any], name: str, where: str) -> str:
    found = read.get(name)
    if not isinstance(found, str) or not found.strip():
        raise _wrong(f'{where} has no {name}: write {name} = "…"')
    try:
        fields.check_text(found, name, limits.PLAYBOOK_TEXT_CHARACTERS_MAX)
    except InvalidArgumentError as error:
        raise _wrong(f"{where}: {error.message}") from None
    return " ".join(found.split())


def _flag(read: Mapping[str, Any], name: str, where: str) -> bool:
    found = read.get(name, False)
    if not isinstance(found, bool):
        raise _wrong(f"{where}: {name} is true or false, without quotes")
    return found


def _meant(given: str, known: Iterable[str]) -> str:
    close = get_close_matches(given, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _wrong(message: str) -> InvalidArgumentError:
    return fields.invalid("playbook", message)
