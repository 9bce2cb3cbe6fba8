"""Defaults of output: set, taken away, listed, and proposed from what calls used."""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.output_defaults import (
    MARGIN_DEFAULT_PERCENT,
    OutputDefault,
    Proposal,
    Scope,
    check_default,
    check_scope,
    propose,
)
from control_plane.core.pages import Asked, Page
from control_plane.core.prices import in_force
from control_plane.core.projects import check_not_archived
from control_plane.store import output_defaults as store
from control_plane.store import policy, prices
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values.errors import LimitExceededError, NotFoundError


@dataclass(frozen=True, slots=True)
class Proposals:
    """What recent answers suggest."""

    items: tuple[Proposal, ...]
    call_count: int
    """So many calls were read, the newest first."""
    cut: bool
    """There were more."""


def set_output_default(tx: Tx, wanted: OutputDefault, reason: str, act: Act) -> OutputDefault:
    """Set a default, or replace the one of the same scope."""
    fields.check_reason(reason)
    check_default(wanted)
    scope = wanted.scope
    if scope.project_id:
        check_not_archived(projects.found(tx, scope.project_id))
    before = store.get(tx, scope)
    if before is None and store.count(tx, scope.project_id) >= limits.SCOPE_OUTPUT_DEFAULTS_MAX:
        raise LimitExceededError(
            f"there are {limits.SCOPE_OUTPUT_DEFAULTS_MAX} of them already: take one away first",
            limit=str(limits.SCOPE_OUTPUT_DEFAULTS_MAX),
        )
    made = replace(wanted, updated_unix_ms=act.now_unix_ms)
    store.put(tx, made)
    policy.bump(tx)
    _record(tx, act, scope, made.limit_count, reason)
    return made


def delete_output_default(tx: Tx, scope: Scope, reason: str, act: Act) -> None:
    """Take a default away: such calls hold what the next one says, or the model's maximum."""
    fields.check_reason(reason)
    check_scope(scope)
    if not store.delete(tx, scope):
        raise NotFoundError(
            "there is no such default: name its client, workflow and model as they are listed",
            project_id=scope.project_id,
        )
    policy.bump(tx)
    _record(tx, act, scope, 0, reason)


def list_output_defaults(tx: Tx, asked: Asked, project_id: str) -> Page[OutputDefault]:
    """Defaults by project, workflow and model; those for all projects first."""
    if project_id:
        projects.found(tx, project_id)
    filters = {"list": "output_defaults", "project": project_id}
    wanted = pages.begin(asked, filters, (str, str, str))
    return pages.finish(
        store.page(tx, wanted, project_id), wanted, filters, lambda row: tuple(row.scope)
    )


def query_output_default_proposals(
    tx: Tx,
    project_id: str,
    start_unix_ms: int | None,
    margin_percent: int,
    now_unix_ms: int,
) -> Proposals:
    """Propose defaults from the newest answers; changes nothing."""
    if project_id:
        projects.found(tx, project_id)
    margin = margin_percent or MARGIN_DEFAULT_PERCENT
    fields.check_between(margin, 100, limits.MARGIN_MAX_PERCENT, "margin_percent")
    start = now_unix_ms - limits.PROPOSAL_REACH_MS if start_unix_ms is None else start_unix_ms
    answers, read = store.answers(tx, project_id, start, limits.PROPOSAL_CALLS_MAX)
    known = {each.scope: each.limit_count for each in store.everything(tx)}
    maxima: dict[str, int] = {}
    for price in in_force(prices.everything(tx), now_unix_ms).values():
        model = price.model_price
        # The smallest of several providers: it binds wherever the call goes.
        maxima[model.model] = min(model.output_max, maxima.get(model.model, model.output_max))
    found = propose(answers, known, maxima, margin)
    return Proposals(found, read, cut=read == limits.PROPOSAL_CALLS_MAX)


def _record(tx: Tx, act: Act, scope: Scope, limit_count: int, reason: str) -> None:
    record(
        tx,
        act,
        scope.project_id or "all projects",
        project_id=scope.project_id,
        workflow=scope.workflow,
        model=scope.model,
        limit_count=limit_count,
        reason=reason,
    )
