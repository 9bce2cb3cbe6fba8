"""Which calls a budget counts.

A selector names a project (or, with an empty project, the whole agency) and narrows it by key,
workflow or model. A budget that is split by key or workflow gives each value the cap for itself;
that value is the call's *partition* of the budget.
"""

from dataclasses import dataclass
from typing import Literal

from protos.values.quick import quick

SplitBy = Literal["", "key", "workflow"]


@quick
@dataclass(frozen=True, slots=True)
class Attributes:
    """What a call is counted by."""

    project_id: str
    key_id: str
    workflow: str
    """The workflow's label; "" when nothing named one."""
    model: str
    """The requested model's id in the price book (never an alias)."""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that all must hold; an empty one holds for every call."""

    project_id: str = ""
    key_id: str = ""
    workflow: str = ""
    model: str = ""
    region: str = ""

    def matches(self, call: Attributes) -> bool:
        """Whether the budget counts this call."""
        return (
            (not self.project_id or self.project_id == call.project_id)
            and (not self.key_id or self.key_id == call.key_id)
            and (not self.workflow or self.workflow == call.workflow)
            and (not self.model or self.model == call.model)
            and (not self.region or self.region == call.region)
        )

    @property
    def conditions(self) -> int:
        """How narrow the selector is: the number of its conditions."""
        return sum(
            1
            for value in (self.project_id, self.key_id, self.workflow, self.model, self.region)
            if value
        )


def partition_of(split: SplitBy, call: Attributes) -> str:
    """The partition of a budget that a call falls in; "" for a budget that is not split."""
    if split == "key":
        return call.key_id
    if split == "workflow":
        return call.workflow
    return ""
