"""Playbooks: which hold, how each step stands, and what somebody said of it."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from control_plane.core import fields
from control_plane.core.pages import Page
from control_plane.core.playbook import (
    Finding,
    Mark,
    MarkKind,
    Playbook,
    Scope,
    Seen,
    judge,
    parse,
)
from control_plane.core.playbook_checks import CHECKS, AgencyFacts, ClientFacts, Trouble, some
from control_plane.core.windows import window_at
from control_plane.playbooks import limits, shipped
from control_plane.store import installation
from control_plane.store import playbooks as store
from control_plane.store.engine import Tx
from control_plane.store.playbooks import Applied
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from control_plane.usecases.playbook_facts import agency_facts, client_facts
from protos.values.errors import InvalidArgumentError, LimitExceededError, NotFoundError


@dataclass(frozen=True, slots=True)
class Held:
    """A playbook, and where it comes from."""

    playbook: Playbook
    source: Applied
    """Its file; version 0 and no author as it comes with the software."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How the steps of one playbook stand."""

    playbook: Playbook
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is left to do."""
        return all(one.outcome.holds for one in self.findings)


def list_playbooks(tx: Tx) -> Page[Held]:
    """Those that hold, by name; they fit one page."""
    return Page(tuple(_held(tx)), "")


def _held(tx: Tx) -> list[Held]:
    """The agency's own, and the shipped ones that it did not replace, by name."""
    sources = {name: Applied(name, 0, toml, "", 0) for name, toml in shipped().items()}
    sources |= {one.name: one for one in store.newest(tx)}
    return [Held(parse(one.toml), one) for _, one in sorted(sources.items())]


def query_playbook_findings(tx: Tx, project_id: str, name: str, now_unix_ms: int) -> list[Verified]:
    """Look at each step for a client, or with "" for the agency; "" as name is every playbook.

    Raises NotFoundError, and InvalidArgumentError for a playbook that is not about that.
    """
    scope = Scope.CLIENT if project_id else Scope.AGENCY
    if project_id:
        projects.found(tx, project_id)
    held = [_found(tx, name)] if name else _held(tx)
    for one in held:
        if name and one.playbook.scope is not scope:
            raise _not_about(one.playbook)
    wanted = [one.playbook for one in held if one.playbook.scope is scope]
    clients = client_facts(tx, project_id, now_unix_ms)
    agency = agency_facts(tx, now_unix_ms)
    return [_verified(tx, one, project_id, clients, agency) for one in wanted]


def mark_step(
    tx: Tx, name: str, step_id: str, project_id: str, kind: MarkKind | None, note: str, act: Act
) -> Finding:
    """Say that a step was done or is not needed; None takes back what was said."""
    playbook = _found(tx, name).playbook
    step = playbook.step(step_id)
    if (playbook.scope is Scope.CLIENT) != bool(project_id):
        raise _not_about(playbook)
    if project_id:
        projects.found(tx, project_id)
    fields.check_reason(note, "note")
    if kind is MarkKind.WAIVED and not step.may_waive:
        raise fields.invalid("kind", f"step {step_id!r} of {name} cannot be waived")
    if kind is MarkKind.WAIVED and not note.strip():
        raise fields.invalid("note", "say why the step is not needed")
    if kind is MarkKind.DONE and step.check:
        raise fields.invalid("kind", f"step {step_id!r} of {name} is seen by itself")
    month = _month(tx, playbook, act.now_unix_ms)
    if kind is None:
        if not store.drop_mark(tx, name, step_id, project_id, month):
            raise NotFoundError(f"nobody said anything of {step_id!r} of {name}", step_id=step_id)
    else:
        by, now = act.actor.principal_id, act.now_unix_ms
        store.put_mark(tx, Mark(name, step_id, project_id, month, kind, by, now, note))
    record(
        tx,
        act,
        f"{name}/{step_id}",
        project_id=project_id,
        kind=kind.value if kind else "",
        month=month,
        note=note,
    )
    [verified] = query_playbook_findings(tx, project_id, name, act.now_unix_ms)
    return next(one for one in verified.findings if one.step.step_id == step_id)


def apply_playbook(tx: Tx, toml: str, act: Act) -> Held:
    """Add a playbook, or a new version. Raises InvalidArgumentError that tells what is wrong."""
    playbook = parse(toml)
    before = {one.name: one for one in store.newest(tx)}
    if playbook.name not in before and len(before) >= limits.PLAYBOOKS_MAX:
        raise LimitExceededError(
            f"there are {limits.PLAYBOOKS_MAX} playbooks already", limit=str(limits.PLAYBOOKS_MAX)
        )
    version = before[playbook.name].version + 1 if playbook.name in before else 1
    if version > limits.PLAYBOOK_VERSIONS_MAX:
        raise LimitExceededError(
            f"{playbook.name} has {limits.PLAYBOOK_VERSIONS_MAX} versions: give it another id",
            limit=str(limits.PLAYBOOK_VERSIONS_MAX),
        )
    kept = Applied(playbook.name, version, toml, act.actor.principal_id, act.now_unix_ms)
    store.insert(tx, kept)
    record(tx, act, playbook.name, version=version, steps=len(playbook.steps))
    return Held(playbook, kept)


def _verified(
    tx: Tx,
    playbook: Playbook,
    project_id: str,
    clients: Sequence[ClientFacts],
    agency: AgencyFacts,
) -> Verified:
    seen = {
        step.check: _look(step.check, project_id, clients, agency)
        for step in playbook.steps
        if step.check
    }
    marks = store.marks(tx, playbook.name, project_id, _month(tx, playbook, agency.now_unix_ms))
    whose = f" --client {shlex.quote(clients[0].name)}" if project_id else ""
    command = f"bursar playbook mark {playbook.name} STEP{whose}"
    return Verified(playbook, judge(playbook, seen, marks, command))


def _look(name: str, project_id: str, clients: Iterable[ClientFacts], agency: AgencyFacts) -> Seen:
    check = CHECKS[name]
    if check.of_agency is not None:
        return _seen(check.of_agency(agency))
    assert check.of_client is not None
    judge_client: Callable[[ClientFacts, int], Trouble | None] = check.of_client
    looked = [(one, judge_client(one, agency.now_unix_ms)) for one in clients]
    wrong = [(one.name, trouble) for one, trouble in looked if trouble is not None]
    if not wrong:
        return Seen(holds=True)
    if project_id:
        return _seen(wrong[0][1])
    first = wrong[0][1]
    text = f"{some([client for client, _ in wrong])}: {first.text}"
    if len(wrong) > 1:
        text = f"{some([client for client, _ in wrong])}; of the first, {first.text}"
    return Seen(holds=False, text=text, fix=first.fix, page=first.page)


def _seen(trouble: Trouble | None) -> Seen:
    if trouble is None:
        return Seen(holds=True)
    return Seen(holds=False, text=trouble.text, fix=trouble.fix, page=trouble.page)


def _month(tx: Tx, playbook: Playbook, now_unix_ms: int) -> str:
    """The agency's month that marks of a monthly playbook are of."""
    if not playbook.monthly:
        return ""
    return window_at("month", installation.get(tx).time_zone, 1, now_unix_ms).period_id


def _found(tx: Tx, name: str) -> Held:
    held = {one.playbook.name: one for one in _held(tx)}
    if name not in held:
        shown = name[: limits.PLAYBOOK_ID_CHARACTERS_MAX]
        raise NotFoundError(
            f"there is no playbook {shown!r}; there are {', '.join(held)}", playbook=shown
        )
    return held[name]


def _not_about(playbook: Playbook) -> InvalidArgumentError:
    about = "a client: name one" if playbook.scope is Scope.CLIENT else "the agency: name no client"
    return fields.invalid("project_id", f"{playbook.name} is about {about}")
