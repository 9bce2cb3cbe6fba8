"""What is counted beside the ledger: refused calls by minute, and when secrets were last used.

Both are levels within bounds: told with each Sync until it was answered, merged by maximum.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from protos.values.selectors import Attributes
from sidecar.core.refusals import Refusal
from sidecar.limits import (
    REFUSAL_KINDS_MAX,
    REFUSAL_MINUTES_MAX,
    SECRET_USES_MAX,
    SENT_REFUSALS_MAX,
    SENT_SECRET_USES_MAX,
)

_MINUTE_MS = 60_000
_SAMPLE_CHARACTERS_MAX = 500


class RefusalKind(NamedTuple):
    """Refused calls that are counted together."""

    project_id: str
    key_id: str
    workflow: str
    model: str
    reason: str
    budget_id: str


_OTHERS = RefusalKind("", "", "", "", "others", "")


class RefusalLevel(NamedTuple):
    """How many calls of a kind were refused in a minute so far."""

    minute_unix_ms: int
    kind: RefusalKind
    calls: int
    sample: str
    """The first refusal's message."""


@dataclass(slots=True)
class _Tally:
    sample: str
    count: int = 0
    told: int = 0


class Tallies:
    """Counters that wait to be told."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._minutes: OrderedDict[int, dict[RefusalKind, _Tally]] = OrderedDict()
        self._uses: OrderedDict[str, int] = OrderedDict()

    def refused(self, refusal: Refusal, attributes: Attributes, unix_ms: int) -> None:
        """Count a refused call."""
        minute = unix_ms - unix_ms % _MINUTE_MS
        tallies = self._minutes.get(minute)
        if tallies is None:
            while len(self._minutes) >= REFUSAL_MINUTES_MAX:
                self._minutes.popitem(last=False)
            tallies = self._minutes[minute] = {}
        kind = RefusalKind(
            attributes.project_id,
            attributes.key_id,
            attributes.workflow,
            attributes.model,
            refusal.reason.value,
            refusal.budget_id,
        )
        if kind not in tallies and len(tallies) >= REFUSAL_KINDS_MAX:
            kind = _OTHERS
        tally = tallies.get(kind)
        if tally is None:
            tally = tallies[kind] = _Tally(refusal.message[:_SAMPLE_CHARACTERS_MAX])
        tally.count += 1

    def used(self, secret_id: str, unix_ms: int) -> None:
        """Remember that a secret was used, to the minute."""
        minute = unix_ms - unix_ms % _MINUTE_MS
        if self._uses.get(secret_id) == minute:
            return
        while len(self._uses) >= SECRET_USES_MAX:
            self._uses.popitem(last=False)
        self._uses[secret_id] = minute

    def refusals(self) -> list[RefusalLevel]:
        """The levels that were not told yet, the oldest minute first."""
        levels = [
            RefusalLevel(minute, kind, tally.count, tally.sample)
            for minute, tallies in self._minutes.items()
            for kind, tally in tallies.items()
            if tally.count > tally.told
        ]
        return levels[:SENT_REFUSALS_MAX]

    def uses(self) -> dict[str, int]:
        """Secrets whose last use was not told yet, with the minute; the longest waiting first."""
        return dict(islice(self._uses.items(), SENT_SECRET_USES_MAX))

    def told(self, levels: list[RefusalLevel], uses: dict[str, int], unix_ms: int) -> None:
        """A Sync that carried these was answered."""
        for level in levels:
            tally = self._minutes.get(level.minute_unix_ms, {}).get(level.kind)
            if tally is not None:
                tally.told = max(tally.told, level.calls)
        for secret_id, minute in uses.items():
            if self._uses.get(secret_id) == minute:
                del self._uses[secret_id]
        for minute in [each for each in self._minutes if each + 2 * _MINUTE_MS <= unix_ms]:
            if all(tally.told == tally.count for tally in self._minutes[minute].values()):
                del self._minutes[minute]
