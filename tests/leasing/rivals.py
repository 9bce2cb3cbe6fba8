"""How others keep a cap, under the same calls: simple models, fair to them, with their sources.

* Leases of one size: a sidecar takes the cap divided by the number of sidecars whenever what it
  holds does not cover a call, or what is left of it; a lease that was not used for a minute goes
  back. Asking costs no time.
* LiteLLM before 1.84: a call passes while the recorded spend is below the cap; what a pod spends is
  written, and what others spent is read, once a minute (BerriAI/litellm pull requests 24682 and
  30661; `proxy_batch_write_at`, 60 s by default).
* LiteLLM from 1.84: a shared counter is raised by the worst case before the call; while the counter
  is below the cap the call passes, and its hold is cut down to what is left
  (`reserve_budget_for_request`). The counter is taken to be always there and exact.
* Bifrost, open source: a call passes while the replica's own usage is below the cap; usage is added
  after the call, and replicas do not read each other's (maximhq/bifrost#3547 and the example in its
  documentation of budgets).

None of them lets a call wait: it passes or is refused at once.
"""

import heapq
import random
from collections import defaultdict
from typing import Protocol

from tests.leasing.truth import Planned, Truth
from tests.leasing.world import Case

IDLE_US = 60_000_000
FLUSH_US = 60_000_000


class Keeper(Protocol):
    """Somebody's way to keep caps."""

    def admit(self, call: Planned, now_us: int) -> bool:
        """Whether the call passes."""
        ...

    def ended(self, call: Planned, now_us: int) -> None:
        """It was billed."""
        ...


class FixedLeases:
    """Leases of one size."""

    def __init__(self, case: Case) -> None:
        self._size = {budget: cap // case.sidecars for budget, cap in case.caps.items()}
        self._free = dict(case.caps)
        self._available: dict[tuple[int, str], int] = defaultdict(int)
        self._used_us: dict[tuple[int, str], int] = {}

    def admit(self, call: Planned, now_us: int) -> bool:
        leases = [(call.sidecar, budget) for budget in call.budgets]
        for lease in leases:
            if not self._covered(lease, call.worst, now_us):
                return False
        for lease in leases:
            self._available[lease] -= call.worst
            self._used_us[lease] = now_us
        return True

    def _covered(self, lease: tuple[int, str], worst: int, now_us: int) -> bool:
        budget = lease[1]
        missing = worst - self._available[lease]
        if missing <= 0:
            return True
        if self._free[budget] < missing:
            self._take_back(budget, now_us)
        taken = min(max(self._size[budget], missing), self._free[budget])
        if taken < missing:
            return False
        self._free[budget] -= taken
        self._available[lease] += taken
        self._used_us[lease] = now_us
        return True

    def _take_back(self, budget: str, now_us: int) -> None:
        for lease, used_us in self._used_us.items():
            if lease[1] == budget and now_us - used_us >= IDLE_US:
                self._free[budget] += self._available[lease]
                self._available[lease] = 0

    def ended(self, call: Planned, now_us: int) -> None:
        for budget in call.budgets:
            self._available[call.sidecar, budget] += call.worst - call.cost

    def idle_share(self, case: Case) -> float:
        """Which part of all caps lies idle in leases."""
        return sum(self._available.values()) / sum(case.caps.values())


class BatchedSpend:
    """LiteLLM before 1.84: recorded spend, written and read once a minute."""

    def __init__(self, case: Case) -> None:
        self._caps = case.caps
        self._recorded: dict[str, int] = defaultdict(int)
        self._read: dict[int, dict[str, int]] = defaultdict(dict)
        self._own: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._flushed_us: dict[int, int] = {}

    def _flush(self, pod: int, now_us: int) -> None:
        # Pods start at different times, so each has its own minute.
        last_us = self._flushed_us.setdefault(pod, -(pod * 7_919_000) % FLUSH_US - FLUSH_US)
        if now_us - last_us >= FLUSH_US:
            self._flushed_us[pod] = now_us - (now_us - last_us) % FLUSH_US
            for budget, spent in self._own[pod].items():
                self._recorded[budget] += spent
            self._own[pod].clear()
            self._read[pod] = dict(self._recorded)

    def admit(self, call: Planned, now_us: int) -> bool:
        pod = call.sidecar
        self._flush(pod, now_us)
        return all(
            self._read[pod].get(budget, 0) + self._own[pod][budget] < self._caps[budget]
            for budget in call.budgets
        )

    def ended(self, call: Planned, now_us: int) -> None:
        self._flush(call.sidecar, now_us)
        for budget in call.budgets:
            self._own[call.sidecar][budget] += call.cost


class CutReservations:
    """LiteLLM from 1.84: one counter, holds that are cut down to what is left."""

    def __init__(self, case: Case) -> None:
        self._caps = case.caps
        self._counter: dict[str, int] = defaultdict(int)
        self._holds: dict[int, dict[str, int]] = {}

    def admit(self, call: Planned, now_us: int) -> bool:
        left = {budget: self._caps[budget] - self._counter[budget] for budget in call.budgets}
        if any(room <= 0 for room in left.values()):
            return False
        holds = {budget: min(call.worst, room) for budget, room in left.items()}
        for budget, amount in holds.items():
            self._counter[budget] += amount
        self._holds[call.number] = holds
        return True

    def ended(self, call: Planned, now_us: int) -> None:
        for budget, amount in self._holds.pop(call.number).items():
            self._counter[budget] += call.cost - amount


class OwnUsage:
    """Bifrost: each replica counts for itself."""

    def __init__(self, case: Case) -> None:
        self._caps = case.caps
        self._used: dict[tuple[int, str], int] = defaultdict(int)

    def admit(self, call: Planned, now_us: int) -> bool:
        return all(self._used[call.sidecar, each] < self._caps[each] for each in call.budgets)

    def ended(self, call: Planned, now_us: int) -> None:
        for budget in call.budgets:
            self._used[call.sidecar, budget] += call.cost


RIVALS: dict[str, type[FixedLeases | BatchedSpend | CutReservations | OwnUsage]] = {
    "fixed leases": FixedLeases,
    "LiteLLM < 1.84": BatchedSpend,
    "LiteLLM >= 1.84": CutReservations,
    "Bifrost": OwnUsage,
}


def play(case: Case, rival: str, seed: int) -> tuple[Truth, float]:
    """The same calls under a rival's rules: what came of them, and what lay idle in leases."""
    truth = Truth(dict(case.caps))
    keeper: Keeper = RIVALS[rival](case)
    ends: list[tuple[int, int, Planned]] = []
    idle = 0.0
    for at_us, call in case.arrivals(random.Random(seed)):
        while ends and ends[0][0] <= at_us:
            end_us, _, over = heapq.heappop(ends)
            truth.ended(over)
            keeper.ended(over, end_us)
        call.came_us = at_us
        if keeper.admit(call, at_us):
            truth.opened(call, at_us)
            heapq.heappush(ends, (at_us + call.lasts_us, call.number, call))
        else:
            if not truth.refused and isinstance(keeper, FixedLeases):
                idle = keeper.idle_share(case)
            truth.was_refused(call, at_us, "refused")
    for _, _, over in sorted(ends):
        truth.ended(over)
    return truth, idle
