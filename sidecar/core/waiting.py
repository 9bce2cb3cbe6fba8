"""Calls that wait for money. A waiting call owns nothing; it only has its place in the queue.

The order is by age over all queues, so that calls of several budgets never wait for each other in a
circle. There is one queue per set of budgets, and each is bounded by itself: one client whose
budget is used up never delays another.
"""

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from sidecar.core.admission import NO_CLAIMS, Case
from sidecar.core.instants import Now
from sidecar.core.leases import Account, AccountKey, Lease
from sidecar.limits import (
    ASK_AGAIN_MS,
    ASK_BEHIND_MS,
    ASK_LATE_MS,
    DEMANDS_MAX,
    PATIENCE_MS,
    QUEUE_CALLS_MAX,
    QUEUE_DEMANDS_MAX,
    QUEUES_MAX,
)

QueueKey = tuple[Account, ...]


class DemandLevel(NamedTuple):
    """What a Sync says of a waiting call."""

    call_id: str
    age_ms: int
    worst_nano_usd: int
    budgets: tuple[AccountKey, ...]
    patience_ms: int


Try = Callable[[Case, bool, Mapping[Account, int]], bool]
"""Tries a waiting call, named or not, against what older waiters claim; True when it opened or was
refused, so that it waits no more."""


class Waiting:
    """All waiting calls of a sidecar."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._queues: dict[QueueKey, dict[str, Case]] = {}
        self._cases: dict[str, Case] = {}
        self._firsts: dict[QueueKey, list[Case]] = {}
        """What `_first` chose of a queue, until that may have changed: each call that comes or
        goes asks for it, and a queue is long when many do."""

    def __len__(self) -> int:
        return len(self._cases)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._cases

    @property
    def asked(self) -> bool:
        """Whether a call waits that a Sync told of: those are at the head of their queues."""
        return any(next(iter(queue.values())).told for queue in self._queues.values())

    def case(self, call_id: str) -> Case | None:
        """The waiting call of this id."""
        return self._cases.get(call_id)

    def cases(self) -> list[Case]:
        """All waiting calls."""
        return list(self._cases.values())

    def add(self, case: Case) -> bool:
        """Queue a call behind those of the same budgets; False when there is no room."""
        key = case.route.accounts
        queue = self._queues.get(key)
        if queue is None:
            if len(self._queues) >= QUEUES_MAX:
                return False
            queue = self._queues[key] = {}
        if len(queue) >= QUEUE_CALLS_MAX:
            return False
        queue[case.call_id] = case
        self._cases[case.call_id] = case
        first = self._firsts.get(key, ())
        worst_nano_usd = _worst_nano_usd(case)
        full = len(first) == QUEUE_DEMANDS_MAX
        if not full or any(worst_nano_usd < _worst_nano_usd(one) for one in first):
            self._firsts.pop(key, None)
        return True

    def remove(self, case: Case) -> None:
        """Take a call out of its queue, if it is still there."""
        if self._cases.pop(case.call_id, None) is None:
            return
        key = case.route.accounts
        queue = self._queues[key]
        del queue[case.call_id]
        if any(one is case for one in self._firsts.get(key, ())):
            del self._firsts[key]
        if not queue:
            del self._queues[key]

    def take_all(self) -> list[Case]:
        """Empty all queues, the oldest call first; for queueing anew under another policy."""
        cases = sorted(self._cases.values(), key=_age)
        self._queues.clear()
        self._cases.clear()
        self._firsts.clear()
        return cases

    def fits(self, freed: Collection[Lease], now: Now) -> bool:
        """Whether the oldest of a queue needs only its name now that these leases have more."""
        accounts = {lease.account for lease in freed}
        for key, queue in self._queues.items():
            if accounts.isdisjoint(key):
                continue
            worst_nano_usd = _worst_nano_usd(next(iter(queue.values())))
            leases = (account.lease_at(now.unix_ms) for account in key)
            if all(lease and lease.available_nano_usd >= worst_nano_usd for lease in leases):
                return True
        return False

    def claims(
        self, accounts: Collection[Account], now: Now, *, away: bool
    ) -> Mapping[Account, int]:
        """What the oldest waiter of each of these budgets needs; a newcomer must leave it."""
        if not self._queues:
            return NO_CLAIMS
        oldest: dict[Account, Case] = {}
        for key, queue in self._queues.items():
            case = next(iter(queue.values()))
            for account in key:
                if account in accounts:
                    known = oldest.get(account)
                    if known is None or _age(case) < _age(known):
                        oldest[account] = case
        return {
            account: _worst_nano_usd(case)
            for account, case in oldest.items()
            if away or not _direct(account, now)
        }

    def scan(
        self, attempt: Try, now: Now, named: Collection[str] = (), *, away: bool, every: bool
    ) -> None:
        """Try the waiting calls, the oldest first, those that were named before all others.

        Behind one that goes on waiting nothing of the same queue can open, as it claims more than
        there is. `every` tries those too: after an answer some of them may have to be refused.
        """
        claims: dict[Account, int] = {}

        def settle(case: Case, *, named: bool) -> bool:
            if attempt(case, named, claims):
                self.remove(case)
                return True
            for account in case.route.accounts:
                if account not in claims and (away or not _direct(account, now)):
                    claims[account] = _worst_nano_usd(case)
            return False

        chosen = [self._cases[call_id] for call_id in named if call_id in self._cases]
        for case in sorted(chosen, key=_age):
            settle(case, named=True)
        heads: list[tuple[tuple[int, str], Case, Iterator[Case]]] = []
        for queue in list(self._queues.values()):
            rest = iter(list(queue.values()))
            head = next(rest)
            heads.append((_age(head), head, rest))
        heapq.heapify(heads)
        while heads:
            _, case, rest = heads[0]
            done = True
            if case.call_id in self._cases and case.call_id not in named:
                done = settle(case, named=False)
            following = None
            if every or done:
                following = next(rest, None)
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (_age(following), following, rest))
        self._firsts.clear()  # An attempt may have lowered the worst case of a call that waits on.

    def _window(self) -> list[Case]:
        """Those that a Sync tells of: the first of every queue before the second of any."""
        chosen: list[Case] = []
        for key, queue in self._queues.items():
            if key not in self._firsts:
                self._firsts[key] = _first(queue.values())
        queues = [iter(self._firsts[key]) for key in self._queues]
        for _ in range(QUEUE_DEMANDS_MAX):
            row = [case for queue in queues if (case := next(queue, None)) is not None]
            chosen += sorted(row, key=_age)
            if not row or len(chosen) >= DEMANDS_MAX:
                break
        return chosen[:DEMANDS_MAX]

    def tell_by_boot_ms(self, sent_boot_ms: int) -> int | None:
        """When a Sync should tell of the calls that none has told of yet; the latest went out then.

        At once of one that could be named, by what was heard last. Of others later, as it would
        bring them nothing: their place is by age, so they lose none. Behind one that was told of it
        is early enough before their age lets them reserve money. Behind one that is no larger none
        need be told of: whatever could pay for it pays for the older one first.
        """
        due_boot_ms: int | None = None
        told: dict[QueueKey, int] = {}
        for case in self._window():
            queue, worst_nano_usd = case.route.accounts, _worst_nano_usd(case)
            if case.told:
                told[queue] = min(worst_nano_usd, told.get(queue, worst_nano_usd))
                continue
            if case.hopeful:
                return case.since_boot_ms
            if queue in told and told[queue] <= worst_nano_usd:
                continue
            most_ms = ASK_BEHIND_MS if queue in told else ASK_LATE_MS
            late_ms = min(most_ms, case.patience_ms * most_ms // PATIENCE_MS)
            by_boot_ms = max(case.since_boot_ms + late_ms, sent_boot_ms + ASK_AGAIN_MS)
            due_boot_ms = by_boot_ms if due_boot_ms is None else min(due_boot_ms, by_boot_ms)
        return due_boot_ms

    def demands(self, now: Now) -> list[DemandLevel]:
        """The waiting calls that a Sync tells of, the oldest first; they count as told."""
        told = sorted(self._window(), key=_age)
        for case in told:
            case.told = True
        return [
            DemandLevel(
                call_id=case.call_id,
                age_ms=max(0, now.boot_ms - case.since_boot_ms),
                worst_nano_usd=_worst_nano_usd(case),
                budgets=tuple(account.key for account in case.route.accounts),
                patience_ms=case.patience_ms,
            )
            for case in told
        ]


def _first(queue: Collection[Case]) -> list[Case]:
    """Of calls by age: those that no older one of them undercuts, and then the oldest others.

    Whatever money comes free, it pays for one of the former first.
    """
    if len(queue) <= QUEUE_DEMANDS_MAX:
        return list(queue)
    first: list[Case] = []
    others: list[Case] = []
    least_nano_usd: int | None = None
    for case in queue:
        worst_nano_usd = _worst_nano_usd(case)
        if least_nano_usd is None or worst_nano_usd < least_nano_usd:
            least_nano_usd = worst_nano_usd
            first.append(case)
        elif len(others) < QUEUE_DEMANDS_MAX:
            others.append(case)
    return sorted((first + others)[:QUEUE_DEMANDS_MAX], key=_age)


def _age(case: Case) -> tuple[int, str]:
    return case.since_boot_ms, case.call_id


def _worst_nano_usd(case: Case) -> int:
    assert case.asked is not None
    return case.asked.worst_nano_usd


def _direct(account: Account, now: Now) -> bool:
    lease = account.lease_at(now.unix_ms)
    return lease is not None and lease.direct
