"""A sidecar of the demo: opens what its leases cover, tells what it spent, asks for more.

It keeps the protocol's rules and nothing else: no journal, no network, one call at a time. What it
says goes through the same use cases as what a real one says, so the demo's ledger is a real one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from control_plane.core.calls import Call, Line, Settle
from control_plane.core.leases import BudgetRef, LeaseKey
from control_plane.core.ledger import CHAIN_START, chain_after
from control_plane.core.reports import (
    Answer,
    Journal,
    LeaseReport,
    RefusalCount,
    Registration,
    Report,
    WaitingCall,
)
from control_plane.store.engine import Tx
from control_plane.usecases.levels import Levels
from control_plane.usecases.register import drain, register
from control_plane.usecases.sync import sync

T = TypeVar("T")
Write = Callable[[Callable[[Tx], T]], T]

_ROUNDS: Final = 4
"""How often it asks for one call; others' money comes back by then, or does not."""
_PATIENCE_MS: Final = 20_000
_RECORDS: Final = 400
"""Records in one Sync."""
_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class _Lease:
    granted: int = 0
    returned: int = 0
    spent: int = 0
    serial: int = 0
    keep: int = 0
    used_unix_ms: int = 0
    frozen: bool = False
    start_unix_ms: int = 0
    end_unix_ms: int | None = None
    worst: int = 0

    @property
    def free(self) -> int:
        return self.granted - self.returned - self.spent


@dataclass(slots=True)
class DemoSidecar:
    """One sidecar in virtual time."""

    sidecar_id: str
    write: Callable[[Callable[[Tx], Answer]], Answer]
    levels: Levels
    epoch: int = 0
    sync_no: int = 0
    generation: int = 0
    leases: dict[LeaseKey, _Lease] = field(default_factory=dict)
    told: int = 0
    """Records that the ledger has."""
    _chain: bytes = CHAIN_START
    _fresh: list[Line] = field(default_factory=list)
    _refusals: dict[tuple[int, str, str, str, str, str], int] = field(default_factory=dict)

    def register(self, run: Callable[[Callable[[Tx], object]], object], now_unix_ms: int) -> None:
        """Begin."""
        journal = Journal(0, 0, CHAIN_START, lost=False)
        asked = Registration(1, "demo", "demo", "demo", "demo", journal)
        found: list[int] = []

        def begin(tx: Tx) -> None:
            answer = register(tx, self.sidecar_id, asked, self.levels, now_unix_ms)
            found.extend((answer.epoch, answer.generation))

        run(begin)
        self.epoch, self.generation = found

    def call(
        self, made: Call, budgets: tuple[BudgetRef, ...], ahead_nano_usd: int, now_unix_ms: int
    ) -> BudgetRef | None:
        """Make a call that is over at once; the budget that refused it, None when it passed.

        `ahead_nano_usd` is what the calls still to come may need: it is asked for on the way.
        """
        for turn in range(_ROUNDS):
            vector = self._vector(budgets, made.worst_nano_usd, now_unix_ms)
            if vector is not None:
                self._settle(replace(made, vector=vector), now_unix_ms)
                return None
            waiting = WaitingCall(
                made.call_id, turn * 1_000, made.worst_nano_usd, budgets, _PATIENCE_MS
            )
            answer = self.sync(now_unix_ms, [waiting], ahead_nano_usd)
            if made.call_id in answer.hopeless:
                break
        return self._lacking(budgets, made.worst_nano_usd, now_unix_ms)

    def refuse(self, made: Call, budget: BudgetRef) -> None:
        """Count a refusal, to be told with the next Sync."""
        minute = made.started_unix_ms // _MINUTE_MS * _MINUTE_MS
        key = (
            *(minute, made.project_id, made.key_id, made.workflow),
            *(made.requested_model, budget.budget_id),
        )
        self._refusals[key] = self._refusals.get(key, 0) + 1

    def sync(
        self, now_unix_ms: int, demands: Iterable[WaitingCall] = (), ahead_nano_usd: int = 0
    ) -> Answer:
        """Tell everything, in as many Syncs as it takes; the last answer."""
        waiting = tuple(demands)
        while True:
            answer = self._sync(now_unix_ms, waiting, ahead_nano_usd)
            if not self._fresh and not self._refusals:
                return answer

    def leave(self, run: Callable[[Callable[[Tx], object]], object], now_unix_ms: int) -> None:
        """Give everything back, and end in order."""
        while any(lease.free for lease in self.leases.values()):
            for lease in self.leases.values():
                lease.returned += lease.free
                lease.worst = 0
            self.sync(now_unix_ms)
        run(lambda tx: drain(tx, self.sidecar_id, self.epoch, "demo", self.levels, now_unix_ms))

    def _vector(
        self, budgets: tuple[BudgetRef, ...], worst: int, now_unix_ms: int
    ) -> tuple[LeaseKey, ...] | None:
        keys = [self._current(budget, now_unix_ms) for budget in budgets]
        found = [key for key in keys if key is not None]
        fits = all(not self.leases[key].frozen and self.leases[key].free >= worst for key in found)
        return tuple(sorted(found)) if fits and len(found) == len(budgets) else None

    def _lacking(
        self, budgets: tuple[BudgetRef, ...], worst: int, now_unix_ms: int
    ) -> BudgetRef | None:
        for budget in budgets:
            key = self._current(budget, now_unix_ms)
            if key is None or self.leases[key].free < worst:
                return budget
        return budgets[0]

    def _current(self, budget: BudgetRef, now_unix_ms: int) -> LeaseKey | None:
        for key, lease in self.leases.items():
            begun = lease.start_unix_ms <= now_unix_ms
            lasts = lease.end_unix_ms is None or now_unix_ms < lease.end_unix_ms
            if BudgetRef(key.budget_id, key.partition) == budget and begun and lasts:
                return key
        return None

    def _settle(self, made: Call, now_unix_ms: int) -> None:
        for key in made.vector:
            lease = self.leases[key]
            lease.spent += made.cost_nano_usd
            lease.used_unix_ms = now_unix_ms
            lease.worst = made.worst_nano_usd
        seq = self.told + len(self._fresh) + 1
        self._fresh.append(Settle(seq, made, made.cost_nano_usd))

    def _sync(
        self, now_unix_ms: int, waiting: tuple[WaitingCall, ...], ahead_nano_usd: int
    ) -> Answer:
        for lease in self.leases.values():
            over = lease.end_unix_ms is not None and lease.end_unix_ms <= now_unix_ms
            lease.returned += max(0, lease.free - (0 if over else lease.keep))
        self.sync_no += 1
        told, self._fresh = self._fresh[:_RECORDS], self._fresh[_RECORDS:]
        raw = tuple(repr(line).encode() for line in told)
        self._chain = chain_after(self._chain, list(raw))
        refusals, self._refusals = self._refusals, {}
        report = Report(
            epoch=self.epoch,
            incarnation="demo",
            sync_no=self.sync_no,
            generation_seen=self.generation,
            from_seq=self.told + 1 if told else 0,
            raw_records=raw,
            records=tuple(told),
            chain=self._chain,
            leases=tuple(
                self._report(key, ahead_nano_usd, now_unix_ms) for key in sorted(self.leases)
            ),
            demands=waiting,
            policy_acked=1,
            policy_refused="",
            refusals=tuple(
                RefusalCount(minute, project, key, work, model, "exhausted", budget, count, "")
                for (minute, project, key, work, model, budget), count in refusals.items()
            ),
        )
        answer = self.write(lambda tx: sync(tx, self.sidecar_id, report, self.levels, now_unix_ms))
        self.told += len(told)
        assert not told or answer.acked_seq == self.told, answer
        self._take(answer, now_unix_ms)
        return answer

    def _report(self, key: LeaseKey, ahead_nano_usd: int, now_unix_ms: int) -> LeaseReport:
        lease = self.leases[key]
        return LeaseReport(
            lease=key,
            granted_seen_nano_usd=lease.granted,
            returned_nano_usd=lease.returned,
            held_nano_usd=0,
            available_nano_usd=lease.free,
            open_calls=0,
            want_nano_usd=ahead_nano_usd,
            median_worst_nano_usd=lease.worst,
            smallest_worst_nano_usd=lease.worst,
            idle_ms=now_unix_ms - lease.used_unix_ms,
            serial_seen=lease.serial,
        )

    def _take(self, answer: Answer, now_unix_ms: int) -> None:
        self.generation = answer.generation
        for granted in answer.leases:
            lease = self.leases.setdefault(granted.lease, _Lease(used_unix_ms=now_unix_ms))
            lease.granted = max(lease.granted, granted.granted_nano_usd)
            lease.serial = max(lease.serial, granted.serial)
            lease.keep = granted.keep_nano_usd
            lease.frozen = granted.frozen
            lease.start_unix_ms = granted.period_start_unix_ms
            lease.end_unix_ms = granted.period_end_unix_ms
