"""Which limit the output of a call gets when its caller sets none.

Of those that match, the client's own stand above those for all clients; among them the one for its
workflow and model, then for its workflow, then for its model, then for all its calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from protos.values.selectors import Attributes


@dataclass(frozen=True, slots=True)
class OutputDefault:
    """A limit on the output of calls whose callers set none."""

    project_id: str
    """Only this client's calls; empty for all."""
    workflow: str
    """Only calls of this workflow; empty for all."""
    model: str
    """Only calls of this model; empty for all."""
    limit_count: int
    """Tokens of output for each answer."""


class OutputDefaults:
    """All of them, by what they are for."""

    __slots__ = ("_limits", "items")

    def __init__(self, items: Iterable[OutputDefault] = ()) -> None:
        """Take them; of two for the same calls the last counts."""
        self.items = tuple(items)
        self._limits = {(one.project_id, one.workflow, one.model): one for one in self.items}

    def limit_for(self, attributes: Attributes) -> int | None:
        """The limit for a call of these attributes; None when no default matches."""
        if not self._limits:
            return None
        workflow, model = attributes.workflow, attributes.model
        for project_id in (attributes.project_id, ""):
            for wanted in ((workflow, model), (workflow, ""), ("", model), ("", "")):
                found = self._limits.get((project_id, *wanted))
                if found is not None:
                    return found.limit_count
        return None
