"""A sidecar that keeps the protocol's three numbers, and nothing clever.

What it holds, what it has journalled, what waits. Its messages are values, so a story can lose,
repeat or reorder them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from control_plane.core import calls as records
from control_plane.core.calls import Call
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.ledger import CHAIN_START, chain_after
from control_plane.core.reports import (
    Answer,
    Journal,
    LeaseReport,
    Registered,
    Registration,
    Report,
    Status,
    WaitingCall,
)
from control_plane.usecases.register import drain, register
from control_plane.usecases.sync import sync

if TYPE_CHECKING:
    from tests.control_plane.leasing_world import World


@dataclass
class Held:
    """A virtual sidecar's lease: three numbers, and what it was told of it."""

    granted: int = 0
    returned: int = 0
    spent: int = 0
    serial: int = 0
    keep: int = 0
    used_unix_ms: int = 0
    unspent: int | None = None
    reachable: int | None = None
    frozen: bool = False
    start_unix_ms: int = 0
    end_unix_ms: int | None = None


@dataclass
class Waiting:
    """A call that waits at a virtual sidecar."""

    call_id: str
    worst: int
    refs: tuple[BudgetRef, ...]
    since_unix_ms: int
    patience_ms: int = 20_000


@dataclass
class VirtualSidecar:
    """The sidecar's side: what the protocol demands, and nothing clever."""

    world: "World"
    name: str
    epoch: int = 0
    incarnation: str = "1"
    sync_no: int = 0
    generation: int = 0
    leases: dict[PeriodKey, Held] = field(default_factory=dict)
    open: dict[str, tuple[int, tuple[PeriodKey, ...]]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    journal: list[records.Line] = field(default_factory=list)
    acked: int = 0
    worsts: list[int] = field(default_factory=list)
    wants: bool = True
    """Whether it asks for money ahead of its calls."""
    opened: list[str] = field(default_factory=list)
    calls_made: int = 0

    def held(self, key: PeriodKey) -> int:
        return sum(worst for worst, vector in self.open.values() if key in vector)

    def available(self, key: PeriodKey) -> int:
        lease = self.leases.get(key, Held())
        return lease.granted - lease.returned - lease.spent - self.held(key)

    def register(self, *, lost: bool = False) -> Registered:
        """Begin a process; with a lost journal everything that it knew is gone."""
        self.incarnation = str(int(self.incarnation) + 1)
        if lost:
            self.leases, self.open, self.waiting = {}, {}, []
            self.journal, self.acked = [], 0
        journal = Journal(
            0 if lost else self.epoch, len(self.journal), self.chain(len(self.journal)), lost=lost
        )
        asked = Registration(1, "test", "machine", "boot", self.incarnation, journal)
        world = self.world
        answer = world.do(lambda tx: register(tx, self.name, asked, world.levels, world.now))
        if answer.status is not Status.FENCED:
            self.epoch = answer.epoch
            self.generation = max(self.generation, answer.generation)
            self.sync_no = max(self.sync_no if not lost else 0, answer.last_sync_no)
        return answer

    def drain(self) -> int:
        world = self.world
        return world.do(
            lambda tx: drain(tx, self.name, self.epoch, self.incarnation, world.levels, world.now)
        )

    def chain(self, count: int) -> bytes:
        return chain_after(CHAIN_START, [raw(record) for record in self.journal[:count]])

    def wait(self, worst: int, *refs: BudgetRef, patience_ms: int = 20_000) -> str:
        """Let a call arrive that waits for its money."""
        self.calls_made += 1
        call_id = f"{self.name}-{self.calls_made}"
        self.waiting.append(
            Waiting(call_id, worst, tuple(sorted(refs)), self.world.now, patience_ms)
        )
        return call_id

    def try_open(self, call_id: str, worst: int, refs: Iterable[BudgetRef]) -> bool:
        """Open a call if every lease covers it."""
        keys = []
        for ref in refs:
            key = self.current(ref)
            if key is None or self.leases[key].frozen or self.available(key) < worst:
                return False
            keys.append(key)
        self.open[call_id] = (worst, tuple(sorted(keys)))
        for key in keys:
            self.leases[key].used_unix_ms = self.world.now
        self.worsts = [*self.worsts[-40:], worst]
        self.opened.append(call_id)
        return True

    def current(self, ref: BudgetRef) -> PeriodKey | None:
        now = self.world.now
        for key, lease in self.leases.items():
            if (key.budget_id, key.partition) == (ref.budget_id, ref.partition) and (
                lease.start_unix_ms <= now
                and (lease.end_unix_ms is None or now < lease.end_unix_ms)
            ):
                return key
        return None

    def settle(self, call_id: str, cost: int, *, counted: tuple[BudgetRef, ...] = ()) -> None:
        """End an open call at a cost; above the worst case it is an overrun."""
        worst, vector = self.open.pop(call_id)
        amount = min(cost, worst)
        for key in vector:
            self.leases[key].spent += amount
        made = call(call_id, self.world.now, cost, worst, vector, counted)
        self.append(lambda seq: records.Settle(seq, made, amount))
        if cost > worst:
            self.append(lambda seq: records.Overrun(seq, call_id, cost - worst, vector))

    def void(self, call_id: str) -> None:
        worst, vector = self.open.pop(call_id)
        made = replace(call(call_id, self.world.now, 0, worst, vector), outcome="not_sent")
        self.append(lambda seq: records.Void(seq, made))

    def give_back(self, key: PeriodKey, keep: int = 0) -> int:
        """Return what is available above an amount; durable before it is told."""
        more = self.available(key) - keep
        if more <= 0:
            return 0
        self.leases[key].returned += more
        returned = self.leases[key].returned
        self.append(lambda seq: records.Return(seq, key, returned))
        return more

    def append(self, make: Callable[[int], records.Line]) -> None:
        self.journal.append(make(len(self.journal) + 1))

    def report(self) -> Report:
        """What the next Sync says; DIRECT leases give everything back first."""
        for key, lease in self.leases.items():
            self.give_back(key, lease.keep)
        self.sync_no += 1
        fresh = self.journal[self.acked :]
        now = self.world.now
        return Report(
            epoch=self.epoch,
            incarnation=self.incarnation,
            sync_no=self.sync_no,
            generation_seen=self.generation,
            from_seq=self.acked + 1 if fresh else 0,
            raw_records=tuple(map(raw, fresh)),
            records=tuple(fresh),
            chain=self.chain(len(self.journal)),
            leases=tuple(self.lease_report(key) for key in self.leases),
            demands=tuple(
                WaitingCall(w.call_id, now - w.since_unix_ms, w.worst, w.refs, w.patience_ms)
                for w in self.waiting[:16]
            ),
            policy_acked=1,
            policy_refused="",
        )

    def lease_report(self, key: PeriodKey) -> LeaseReport:
        lease = self.leases[key]
        median = sorted(self.worsts)[len(self.worsts) // 2] if self.worsts else 0
        now = self.world.now
        busy = self.wants and lease.used_unix_ms > 0 and now - lease.used_unix_ms < 30_000
        return LeaseReport(
            lease=key,
            granted_seen_nano_usd=lease.granted,
            returned_nano_usd=lease.returned,
            held_nano_usd=self.held(key),
            available_nano_usd=max(0, self.available(key)),
            open_calls=sum(key in vector for _, vector in self.open.values()),
            want_nano_usd=10 * median if busy else 0,
            median_worst_nano_usd=median,
            smallest_worst_nano_usd=min(self.worsts, default=0),
            idle_ms=now - lease.used_unix_ms,
            serial_seen=lease.serial,
        )

    def send(self, report: Report) -> Answer:
        """Let a Sync arrive."""
        world = self.world
        answer = world.do(
            lambda tx: sync(tx, self.name, report, world.levels, world.now, world.watching)
        )
        for recall in answer.recalls:
            world.pushed.append((recall.sidecar_id, "recall"))
        world.pushed += [(one, "nudge") for one in sorted(answer.nudges)]
        for recall in answer.recalls:
            other = world.sidecars[recall.sidecar_id]
            if other.listens:
                other.give_back(recall.key, recall.keep_nano_usd)
        return answer

    listens: bool = True
    """Whether directives reach it."""

    def take(self, answer: Answer) -> None:
        """Take an answer, in whatever order answers come."""
        if answer.generation < self.generation:
            return
        if answer.generation > self.generation:
            # A restored database may have forgotten records that an older one had.
            self.acked = answer.acked_seq
        self.generation = answer.generation
        self.acked = max(self.acked, answer.acked_seq)
        if answer.status is Status.GAP:
            self.acked = answer.need_seq - 1
        for told in answer.leases:
            lease = self.leases.setdefault(told.lease, Held())
            lease.granted = max(lease.granted, told.granted_nano_usd)
            lease.serial = max(lease.serial, told.serial)
            lease.keep = told.keep_nano_usd
            lease.unspent, lease.reachable = told.unspent_nano_usd, told.reachable_nano_usd
            lease.frozen = told.frozen
            lease.start_unix_ms = told.period_start_unix_ms
            lease.end_unix_ms = told.period_end_unix_ms
        for waiting in list(self.waiting):
            named = waiting.call_id in answer.named
            if named and self.try_open(waiting.call_id, waiting.worst, waiting.refs):
                self.waiting.remove(waiting)

    def sync(self) -> Answer:
        """One Sync whose messages both arrive."""
        answer = self.send(self.report())
        self.take(answer)
        return answer


def raw(record: records.Line) -> bytes:
    """A record's bytes: the use case only hashes them."""
    return repr(record).encode()


def call(
    call_id: str,
    now_unix_ms: int,
    cost: int,
    worst: int,
    vector: tuple[PeriodKey, ...],
    counted: tuple[BudgetRef, ...] = (),
) -> Call:
    """A call that went well."""
    return Call(
        call_id=call_id,
        started_unix_ms=now_unix_ms,
        ended_unix_ms=now_unix_ms,
        project_id="prj_1",
        key_id="key_1",
        secret_id="sec_1",
        workflow="leads",
        execution="",
        step="",
        region="",
        provider="openai",
        surface="/v1/chat/completions",
        requested_model="gpt",
        answered_model="gpt",
        alias="",
        tier="",
        streamed=False,
        outcome="ok",
        error_kind="",
        status=200,
        first_byte_ms=5,
        quantities={"input": 3, "cached": 4, "output": 5, "reasoning": 2},
        price_version="1",
        worst_nano_usd=worst,
        cost_nano_usd=cost,
        estimated=False,
        parent_call_id="",
        provider_request_id="",
        clamped_output_count=0,
        vector=vector,
        counted=counted,
    )
