"""Turns a journal's records into what the ledger books: calls, charges, lease and period moves.

Rules. A record counts once: the cursor says which numbers are booked, and the chain says that what
follows continues what was booked. A call is charged to exactly the leases of its vector, whatever
the time, the policy or the state of those leases is by now; and besides to the budgets that only
count. Nothing here refuses evidence: what does not fit is an alarm, and is booked all the same.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from control_plane import limits
from control_plane.core.calls import (
    ENDED_WELL,
    WELL,
    Adjust,
    Call,
    Line,
    Overrun,
    Return,
    Settle,
    Unreadable,
    Void,
)
from control_plane.core.latency import step_of
from control_plane.core.leases import BudgetRef, Lease, PeriodKey
from protos.values.quantities import OUTPUT, input_total
from protos.values.quick import quick

CHAIN_START = bytes(32)
"""The chain before the first record."""


def chain_after(chain: bytes, records: Iterable[bytes]) -> bytes:
    """The chain hash after these records, as they stand in the journal."""
    for record in records:
        chain = hashlib.sha256(chain + record).digest()
    return chain


class Standing(Enum):
    """How the records of a report stand to what is booked."""

    NONE = "none"
    """There are none."""
    GAP = "gap"
    """Records between the cursor and the first one are missing."""
    BEFORE = "before"
    """Their numbers are booked, and nothing tells by itself whether these records are."""
    CONTINUES = "continues"
    """What is not booked of them continues what is."""
    FORKS = "forks"
    """They do not continue what is booked: a copy of the journal went on by itself."""


@quick
@dataclass(frozen=True, slots=True)
class Compared:
    """A report's records beside the cursor."""

    standing: Standing
    skip: int = 0
    """So many records are booked already."""
    chain: bytes = CHAIN_START
    """The chain hash after the records, when they continue."""


def compare(
    last_seq: int, chain: bytes, from_seq: int, records: Sequence[bytes], chain_told: bytes
) -> Compared:
    """Compare records from a number on, and the chain that is told for their end, with a cursor."""
    if not records:
        return Compared(Standing.NONE)
    if from_seq > last_seq + 1:
        return Compared(Standing.GAP)
    ends_at = from_seq + len(records) - 1
    if ends_at < last_seq:
        return Compared(Standing.BEFORE)
    skip = last_seq + 1 - from_seq
    after = chain_after(chain, records[skip:])
    if after != chain_told:
        return Compared(Standing.FORKS)
    return Compared(Standing.CONTINUES, skip, after)


@dataclass(frozen=True, slots=True)
class BookedCall:
    """One row of `call`."""

    seq: int
    call: Call


@quick
@dataclass(frozen=True, slots=True)
class Charge:
    """One row of `charge`: what one record took from one budget period."""

    seq: int
    key: PeriodKey
    kind: str
    """SETTLE, ADJUST, OVERRUN, ORPHAN or CORRECTION."""
    call_id: str
    amount_nano_usd: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class RollupKey:
    """What the calls of one row of `rollup` share."""

    bucket_unix_ms: int
    project_id: str
    key_id: str = ""
    workflow: str = ""
    model: str = ""
    provider: str = ""
    outcome: str = ""

    def at(self, start_unix_ms: int) -> "RollupKey":
        """The same, of another time."""
        return replace(self, bucket_unix_ms=start_unix_ms)


@dataclass(slots=True)
class RollupSum:
    """What one row of `rollup` grows by."""

    call_count: int = 0
    failed_count: int = 0
    estimated_count: int = 0
    input_count: int = 0
    output_count: int = 0
    cost_nano_usd: int = 0
    charge_nano_usd: int = 0
    """What clients are charged."""
    charged_cost_nano_usd: int = 0
    """What the calls cost that they are charged for."""
    held_nano_usd: int = 0
    """What was held for calls that ended well and told their usage."""
    held_cost_nano_usd: int = 0
    """What those cost when they were booked."""
    latency_counts: dict[int, int] = field(default_factory=dict)
    """Calls that ended well, by how long they took, in the steps of `core.latency`."""

    def add(self, other: "RollupSum") -> None:
        """Grow by another sum."""
        self.call_count += other.call_count
        self.failed_count += other.failed_count
        self.estimated_count += other.estimated_count
        self.input_count += other.input_count
        self.output_count += other.output_count
        self.cost_nano_usd += other.cost_nano_usd
        self.charge_nano_usd += other.charge_nano_usd
        self.charged_cost_nano_usd += other.charged_cost_nano_usd
        self.held_nano_usd += other.held_nano_usd
        self.held_cost_nano_usd += other.held_cost_nano_usd
        for step, count in other.latency_counts.items():
            self.latency_counts[step] = self.latency_counts.get(step, 0) + count


@dataclass(slots=True)
class Bookings:
    """What a run of records books."""

    calls: list[BookedCall] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    spent_nano_usd: dict[PeriodKey, int] = field(default_factory=lambda: defaultdict(int))
    """What the leases of the holder spent more, by period; negative after corrections."""
    returned_nano_usd: dict[PeriodKey, int] = field(default_factory=dict)
    """What the leases of the holder have given back in all."""
    counted_nano_usd: dict[PeriodKey, int] = field(default_factory=lambda: defaultdict(int))
    """What was charged without a lease."""
    overruns: list[Overrun] = field(default_factory=list)
    adjusts: list[Adjust] = field(default_factory=list)
    """Corrections; how much of each can be taken depends on what is booked."""
    unreadable: list[Unreadable] = field(default_factory=list)
    """Records that move nothing, because nobody knows what they say."""
    repeated: list[BookedCall] = field(default_factory=list)
    """Calls that the ledger has under the same id."""
    rollups: dict[RollupKey, RollupSum] = field(default_factory=lambda: defaultdict(RollupSum))

    @property
    def periods(self) -> set[PeriodKey]:
        """Every period that is touched."""
        touched = {*self.spent_nano_usd, *self.returned_nano_usd, *self.counted_nano_usd}
        for overrun in self.overruns:
            touched.update(overrun.vector)
        for adjust in self.adjusts:
            touched.update(adjust.vector)
        return touched

    def beyond_nano_usd(self, key: PeriodKey, lease: Lease | None) -> int:
        """What is spent and given back of a period beyond what the holder's lease has left."""
        spent, returned = self.spent_nano_usd.get(key, 0), self.returned_nano_usd.get(key, 0)
        if lease is None:
            return spent + returned
        left = lease.outstanding_nano_usd - lease.released_nano_usd
        return max(0, spent + max(0, returned - lease.returned_nano_usd) - left)

    def beside_nano_usd(self, key: PeriodKey) -> int:
        """What is charged to a period beside its leases."""
        over = sum(each.excess_nano_usd for each in self.overruns if key in each.vector)
        return self.counted_nano_usd.get(key, 0) + over


PeriodAt = Callable[[BudgetRef, int], PeriodKey]
"""The period of a counting budget that an instant (Unix milliseconds) is in."""


def without_money(records: Iterable[Line], why: str) -> list[Line]:
    """The same records, none of which is booked."""
    return [
        each if isinstance(each, Unreadable) else Unreadable(each.seq, f"{why}: {each!r}", b"")
        for each in records
    ]


def fold(records: Sequence[Line], period_at: PeriodAt, known_ids: Iterable[str] = ()) -> Bookings:
    """Sum records up, in their order; `known_ids` are calls that the ledger has already."""
    booked = Bookings()
    known = set(known_ids)
    for record in records:
        match record:
            case Settle():
                _call(booked, record.seq, record.call, known)
                _settle(booked, record, period_at)
            case Void():
                _call(booked, record.seq, record.call, known)
            case Return():
                before = booked.returned_nano_usd.get(record.lease, 0)
                booked.returned_nano_usd[record.lease] = max(before, record.returned_nano_usd)
            case Adjust():
                assert record.delta_nano_usd < 0
                booked.adjusts.append(record)
            case Overrun():
                _overrun(booked, record)
            case Unreadable():
                booked.unreadable.append(record)
    return booked


def bucket_of(instant_unix_ms: int) -> int:
    """The start of the quarter hour (UTC) that an instant is in."""
    return instant_unix_ms // limits.BUCKET_MS * limits.BUCKET_MS


def rollup_key(call: Call) -> RollupKey:
    """The row that a call is summed in: by its start, as budgets are."""
    return RollupKey(
        bucket_of(call.started_unix_ms),
        call.project_id,
        call.key_id,
        call.workflow,
        call.requested_model,
        call.provider,
        call.outcome,
    )


def _call(booked: Bookings, seq: int, call: Call, known: set[str]) -> None:
    if call.call_id in known:
        booked.repeated.append(BookedCall(seq, call))
        return
    known.add(call.call_id)
    booked.calls.append(BookedCall(seq, call))
    row = booked.rollups[rollup_key(call)]
    row.call_count += 1
    row.failed_count += call.outcome not in WELL
    row.estimated_count += call.estimated
    row.input_count += input_total(call.quantities)
    row.output_count += call.quantities.get(OUTPUT, 0)
    row.cost_nano_usd += call.cost_nano_usd
    if call.outcome == ENDED_WELL:
        if call.worst_nano_usd and not call.estimated:
            row.held_nano_usd += call.worst_nano_usd
            row.held_cost_nano_usd += call.cost_nano_usd
        step = step_of(call.ended_unix_ms - call.started_unix_ms)
        row.latency_counts[step] = row.latency_counts.get(step, 0) + 1


def _settle(booked: Bookings, record: Settle, period_at: PeriodAt) -> None:
    call, amount = record.call, record.amount_nano_usd
    assert 0 <= amount <= call.cost_nano_usd
    for key in call.vector:
        booked.spent_nano_usd[key] += amount
        booked.charges.append(
            Charge(record.seq, key, "SETTLE", call.call_id, amount, call.estimated)
        )
    charged = set(call.vector)
    for budget in call.counted:
        key = period_at(budget, call.started_unix_ms)
        if key in charged:
            continue
        charged.add(key)
        booked.counted_nano_usd[key] += call.cost_nano_usd
        booked.charges.append(
            Charge(record.seq, key, "SETTLE", call.call_id, call.cost_nano_usd, call.estimated)
        )


def _overrun(booked: Bookings, record: Overrun) -> None:
    assert record.excess_nano_usd > 0
    booked.overruns.append(record)
    for key in record.vector:
        booked.charges.append(
            Charge(record.seq, key, "OVERRUN", record.call_id, record.excess_nano_usd, False)
        )
