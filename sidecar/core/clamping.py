"""How much an answer may cost when its caller set no limit.

Such a call holds its default, or without one the model's own maximum, while that is under a tenth
of what is left in every budget. Nearer the cap a limit is put on the wire: a fair share (a tenth)
of what is left, but never below a floor that this workflow's answers are known to fit in. A limit
that a caller set is never altered.
"""

from collections import OrderedDict, deque
from dataclasses import replace
from typing import NamedTuple

from protos.values.selectors import Attributes
from sidecar.core.calls import Bound
from sidecar.core.policy import Policy, WhenTooLarge
from sidecar.limits import (
    CLAMP_PARTS,
    OUTPUT_FLOOR_TOKENS,
    OUTPUT_SAMPLES_MAX,
    OUTPUT_SAMPLES_MIN,
    OUTPUT_UNKNOWN_TOKENS,
    OUTPUT_WORKFLOWS_MAX,
)


class WorkflowKey(NamedTuple):
    """Whose answers are remembered together."""

    project_id: str
    workflow: str
    """The workflow's label, or the key's id when nothing named a workflow."""


class Limited(NamedTuple):
    """A call's worst case under the limit that was chosen for its answers."""

    worst_nano_usd: int
    output_limit: int | None
    """What must go on the wire; None leaves the request as it is."""


class OutputLengths:
    """How long the answers of each workflow were, within bounds."""

    def __init__(self) -> None:
        """Begin without any knowledge."""
        self._samples: OrderedDict[WorkflowKey, deque[int]] = OrderedDict()

    def note(self, workflow: WorkflowKey, output_count: int, choices: int) -> None:
        """Remember the length of a whole answer; of several at once, their mean rounded up."""
        samples = self._samples.get(workflow)
        if samples is None:
            while len(self._samples) >= OUTPUT_WORKFLOWS_MAX:
                self._samples.popitem(last=False)
            samples = self._samples[workflow] = deque(maxlen=OUTPUT_SAMPLES_MAX)
        else:
            self._samples.move_to_end(workflow)
        samples.append(-(-output_count // max(1, choices)))

    def floor_count(self, workflow: WorkflowKey) -> int:
        """The limit below which this workflow's answers are never clamped.

        Twice what 99 of 100 answers needed, but at least 1,024 tokens; 4,096 when not known.
        """
        samples = self._samples.get(workflow)
        if samples is None or len(samples) < OUTPUT_SAMPLES_MIN:
            return OUTPUT_UNKNOWN_TOKENS
        ordered = sorted(samples)
        rank = -(-99 * len(ordered) // 100)
        return max(OUTPUT_FLOOR_TOKENS, 2 * ordered[rank - 1])


def clampable(bound: Bound) -> bool:
    """Whether a limit may be chosen: the client lets it, the caller set none, and output costs."""
    writes = bound.output_max > 0 and bound.output_rate_pico_usd > 0
    return bound.clamps and bound.output_limit is None and writes


def unclamped(bound: Bound) -> Limited:
    """The call as its caller wrote it: its own limit, else its default or the model's maximum."""
    on_wire = bound.output_default if bound.output_limit is None else None
    return Limited(bound.worst_nano_usd(bound.output_most), on_wire)


def near_cap(bound: Bound, left_nano_usd: int | None) -> bool:
    """Whether what it would hold is a tenth of what is left or more; None is not known."""
    if left_nano_usd is None or not clampable(bound):
        return False
    return unclamped(bound).worst_nano_usd * CLAMP_PARTS >= left_nano_usd


def clamp(bound: Bound, within_nano_usd: int, floor_count: int) -> Limited:
    """The largest limit whose worst case stays within an amount, but at least the floor."""
    assert clampable(bound)
    room_pico_usd = max(0, within_nano_usd - bound.input_worst_nano_usd) * 1_000
    affordable_count = room_pico_usd // (bound.choices * bound.output_rate_pico_usd)
    count = max(min(floor_count, bound.output_most), affordable_count)
    if count >= bound.output_most:
        return unclamped(bound)
    return Limited(bound.worst_nano_usd(count), count)


def under_terms(bound: Bound, policy: Policy, attributes: Attributes) -> Bound:
    """The bound of a call under its client's terms: a default, and whether it may be clamped."""
    project = policy.project(attributes.project_id)
    if project is not None and project.when_too_large is WhenTooLarge.REJECT:
        bound = replace(bound, clamps=False)
    return with_default(bound, policy.output_defaults.limit_for(attributes))


def with_default(bound: Bound, limit_count: int | None) -> Bound:
    """The bound of a call under a default; as it was where none matches or its caller set one."""
    if limit_count is None or bound.output_limit is not None or limit_count >= bound.output_max:
        return bound
    return replace(bound, output_default=limit_count)


def fair_share_nano_usd(left_nano_usd: int) -> int:
    """What one call may hold of what is left; rounded down."""
    return max(0, left_nano_usd) // CLAMP_PARTS
