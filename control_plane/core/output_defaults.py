"""Limits on the output of calls whose callers set none: what they are, and which to propose.

Such a call would hold all that its model can write. A default is put on the wire, so that no more
is billed than is held; a caller's own limit always stands above it. Sidecars choose: the client's
own stand above those for all clients; among them the one for workflow and model, then for the
workflow, then for the model, then for all calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from control_plane import limits
from control_plane.core import fields
from protos.values import ids

MARGIN_DEFAULT_PERCENT: Final = 150
"""What is proposed of the longest answer, when nothing is said."""
_STEP_TOKENS: Final = 256
"""Proposals are whole multiples of this, so that they do not change with every answer."""


class Scope(NamedTuple):
    """Whose calls a default is for; empty means all."""

    project_id: str
    workflow: str
    model: str


@dataclass(frozen=True, slots=True)
class OutputDefault:
    """A limit on the output of calls whose callers set none."""

    scope: Scope
    limit_count: int
    """Tokens of output for each answer, thoughts included."""
    updated_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer of the past."""

    scope: Scope
    """Its project, workflow and model; the workflow may be empty."""
    output_count: int
    """Tokens of output. Of several answers to one call their sum: too high, never too low."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A default that answers of the past suggest."""

    scope: Scope
    limit_count: int
    answer_count: int
    longest_count: int
    p99_count: int
    """What 99 of 100 answers needed at most."""
    present_count: int
    """The limit that holds for such calls now; 0 for none."""
    model_max_count: int
    """What the model writes at most; 0 when that is not known."""


def check_default(wanted: OutputDefault) -> OutputDefault:
    """A default that can be put on the wire of every API. Refuses any other."""
    check_scope(wanted.scope)
    fields.check_between(
        wanted.limit_count,
        limits.OUTPUT_DEFAULT_MIN_TOKENS,
        limits.MODEL_TOKENS_MAX,
        "output_default.limit_count",
    )
    return wanted


def check_scope(scope: Scope) -> Scope:
    """A scope that some call can be in."""
    if scope.project_id:
        fields.check_id(scope.project_id, ids.PROJECT, "output_default.project_id")
    fields.check_label(scope.workflow, "output_default.workflow")
    if len(scope.model) > limits.MODEL_CHARACTERS_MAX or not scope.model.isprintable():
        raise fields.invalid(
            "output_default.model", f"at most {limits.MODEL_CHARACTERS_MAX} printable characters"
        )
    return scope


def chosen(defaults: Mapping[Scope, int], scope: Scope) -> int:
    """The limit that holds for calls of a scope; 0 for none. Sidecars choose in the same order."""
    project_id, workflow, model = scope
    for project in (project_id, ""):
        for wanted in ((workflow, model), (workflow, ""), ("", model), ("", "")):
            limit = defaults.get(Scope(project, *wanted), 0)
            if limit:
                return limit
    return 0


def propose(
    answers: Iterable[Answered],
    defaults: Mapping[Scope, int],
    model_maxima: Mapping[str, int],
    margin_percent: int,
) -> tuple[Proposal, ...]:
    """Defaults for all calls of which enough answers are known, those with the most first.

    The longest answer times the margin, rounded up, but never more than the model writes. Answers
    of calls that named no workflow count for a default of their client and model, and so does every
    other answer of the two, for that default would bind them too.
    """
    lengths: dict[Scope, list[int]] = {}
    of_any_workflow: dict[tuple[str, str], list[int]] = {}
    for answer in answers:
        scope, count = answer.scope, answer.output_count
        lengths.setdefault(scope, []).append(count)
        of_any_workflow.setdefault((scope.project_id, scope.model), []).append(count)
    found = []
    for scope, own in lengths.items():
        counts = own if scope.workflow else of_any_workflow[scope.project_id, scope.model]
        if len(counts) >= limits.PROPOSAL_ANSWERS_MIN:
            most = model_maxima.get(scope.model, 0)
            present = chosen(defaults, scope)
            found.append(_proposal(scope, sorted(counts), present, most, margin_percent))
    found.sort(key=lambda each: (-each.answer_count, each.scope))
    return tuple(found[: limits.PROPOSALS_MAX])


def _proposal(
    scope: Scope, ordered: list[int], present: int, most: int, margin_percent: int
) -> Proposal:
    longest = ordered[-1]
    wanted = -(-longest * margin_percent // 100)
    limit = max(_STEP_TOKENS, -(-wanted // _STEP_TOKENS) * _STEP_TOKENS)
    return Proposal(
        scope=scope,
        limit_count=min(limit, most) if most else limit,
        answer_count=len(ordered),
        longest_count=longest,
        p99_count=ordered[-(-99 * len(ordered) // 100) - 1],
        present_count=present,
        model_max_count=most,
    )
