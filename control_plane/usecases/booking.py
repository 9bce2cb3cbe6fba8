"""Books a journal's records: the ledger's rows, and the moves of leases and periods they cause.

Evidence is never refused. A lease or period that this database does not know, or a lease that spent
more than was granted here, shows that the database is older than the sidecar: the numbers are
raised to fit, and the caller is told, so that granting stops until all sidecars have spoken. Where
the watermark says that so much was never granted, it is no proof: what was spent or returned is
booked all the same, what is only claimed is not, and the caller is told that the sidecar lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from control_plane import limits
from control_plane.core import ledger as core
from control_plane.core.alarms import Alarm
from control_plane.core.budgets import Budget
from control_plane.core.calls import Adjust, Line, Overrun, Settle, Unreadable, Void
from control_plane.core.leases import BudgetRef, Holder, PeriodKey
from control_plane.core.reports import LeaseReport
from control_plane.core.situation import PeriodState
from control_plane.core.windows import WindowSpan
from control_plane.store import bad_records, budgets, leases, ledger, periods, rollups
from control_plane.store.engine import ConflictError, Tx
from control_plane.usecases import price_doubts
from control_plane.usecases.books import Books
from control_plane.usecases.partitions import Partitions
from control_plane.usecases.rate_cards import Charging


@dataclass(slots=True)
class Evidence:
    """What the evidence showed beyond itself."""

    database_is_old: bool = False
    """A sidecar holds or spent money that this database never granted."""
    impossible: bool = False
    """A sidecar claims money that no database of this installation ever granted."""
    refused: bool = False
    """Something could not be booked: it was kept where there was room."""
    known: set[PeriodKey] = field(default_factory=set)
    """Periods that this database has, as far as it was asked."""


class CountingPeriods:
    """Finds the periods of budgets that only count, each budget looked up once."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._budgets: dict[str, Budget | None] = {}
        self._spans: dict[str, WindowSpan] = {}
        self._partitions = Partitions(tx)
        self._known: set[PeriodKey] = set()

    def at(self, ref: BudgetRef, instant_unix_ms: int) -> PeriodKey:
        """The period of a budget's partition that an instant is in; made if there is none."""
        span = self._spans.get(ref.budget_id)
        if span is None or not span.covers(instant_unix_ms):
            budget = self._budget(ref.budget_id)
            if budget is None:
                key = self._partitions.of(ref.period("unknown"))
                return periods.adopt(self._tx, key).key
            span = self._spans[ref.budget_id] = budget.span_at(instant_unix_ms)
        key = self._partitions.of(ref.period(span.period_id))
        if key not in self._known:
            budget = self._budget(ref.budget_id)
            assert budget is not None
            periods.ensure_of(self._tx, budget, key.partition, instant_unix_ms, adopted=True)
            self._known.add(key)
        return key

    def _budget(self, budget_id: str) -> Budget | None:
        if budget_id not in self._budgets:
            self._budgets[budget_id] = budgets.get(self._tx, budget_id)
        return self._budgets[budget_id]


def book(
    tx: Tx,
    holder: Holder,
    records: Sequence[Line],
    now_unix_ms: int,
    *,
    forked: bool = False,
) -> Evidence:
    """Book records that the ledger does not have yet, in their order.

    What cannot be read is kept and raises an alarm, so that the journal goes on; and so is a report
    whose sums would leave all bounds, for no later one could be booked beside it. `forked` when a
    copy of the journal is known: then what goes beyond a lease was spent twice.
    """
    found = Evidence()
    if forked:
        records = [record for record in records if not _booked_beside(tx, holder, record)]
    booked = _calls(tx, holder, records, found, now_unix_ms)
    if booked.unreadable:
        found.refused = True
        _keep_unreadable(tx, holder, booked.unreadable, now_unix_ms)
    for key in sorted(booked.periods - found.known):
        periods.adopt(tx, key)
    ledger.insert_charges(tx, holder, booked.charges, now_unix_ms)
    for adjust in booked.adjusts:
        _adjust(tx, holder, adjust, booked, now_unix_ms)
    rollups.add(tx, booked.rollups)
    price_doubts.raise_doubts(tx, holder, (each.call for each in booked.calls), now_unix_ms)
    books = Books(tx, holder, now_unix_ms, forked=forked)
    for key in sorted({*booked.spent_nano_usd, *booked.returned_nano_usd}):
        books.take_spent(key, booked.spent_nano_usd.get(key, 0))
        books.take_returned(key, booked.returned_nano_usd.get(key, 0))
    found.database_is_old |= books.database_is_old
    found.impossible |= books.impossible
    for key, amount in booked.counted_nano_usd.items():
        periods.move(
            tx, key, allocated_nano_usd=amount, spent_nano_usd=amount, counted_nano_usd=amount
        )
    for overrun in booked.overruns:
        _overrun(tx, holder, overrun, now_unix_ms)
    periods.open_unsettled(tx, books.moved)
    return found


def _booked_beside(tx: Tx, holder: Holder, record: Line) -> bool:
    """Whether a fork of the same journal told of it first, when it was charged whole."""
    match record:
        case Settle() | Void():
            return bool(ledger.known_beside(tx, holder, [record.call.call_id]))
        case Overrun():
            known = ledger.known_beside(tx, holder, [record.call_id])
            return bool(known) and ledger.overrun_is_known(tx, holder.sidecar_id, record.call_id)
        case _:
            return False


def _passes_bounds(tx: Tx, holder: Holder, booked: core.Bookings, evidence: Evidence) -> bool:
    """Whether a period's sums could leave their bound; one that is unknown holds nothing yet.

    What is within the holder's lease is in the sums already. So nobody who tells what he was
    granted is harmed where somebody else drove a sum to its bound.
    """
    passes = False
    for key in sorted(booked.periods):
        period, lease = periods.get(tx, key), leases.get(tx, holder, key)
        if period is not None:
            evidence.known.add(key)
        largest = max(period.allocated_nano_usd, period.granted_total_nano_usd) if period else 0
        beyond = booked.beyond_nano_usd(key, lease)
        if largest + beyond + booked.beside_nano_usd(key) > limits.PERIOD_NANO_USD_MAX:
            passes = True
            evidence.impossible |= beyond > 0
    return passes


def _keep_unreadable(
    tx: Tx, holder: Holder, records: Sequence[Unreadable], now_unix_ms: int
) -> None:
    bad_records.keep(tx, holder, records, now_unix_ms)
    first = records[0]
    detail = (
        f"{len(records)} records from {first.seq} on could not be booked ({first.why}): they are "
        "kept, and the money that they speak of stays allocated"
    )
    _bad_record(tx, holder, "", 0, detail[: limits.ALARM_CHARACTERS_MAX], now_unix_ms)


def _calls(
    tx: Tx, holder: Holder, records: Sequence[Line], evidence: Evidence, now_unix_ms: int
) -> core.Bookings:
    """Sum the records up and book their calls, each once whoever reports it again."""
    period_at = CountingPeriods(tx).at
    booked = core.fold(records, period_at)
    if _passes_bounds(tx, holder, booked, evidence):
        records = core.without_money(records, "its amounts lead beyond what a period can hold")
        booked = core.fold(records, period_at)
    try:
        with tx.savepoint():
            ledger.insert_calls(tx, holder, booked.calls, now_unix_ms)
    except ConflictError:
        known = ledger.known_among(tx, [each.call.call_id for each in booked.calls])
        booked = core.fold(records, period_at, known)
        ledger.insert_calls(tx, holder, booked.calls, now_unix_ms)
    Charging(tx).charge((each.call for each in booked.calls), booked.rollups)
    for repeated in booked.repeated:
        detail = (
            "a call was reported that the ledger has already: it is in the sums once, and what its "
            "budgets were charged stays charged"
        )
        amount = repeated.call.cost_nano_usd
        _bad_record(tx, holder, repeated.call.call_id, amount, detail, now_unix_ms)
    return booked


def take_levels(
    tx: Tx, holder: Holder, reports: Sequence[LeaseReport], now_unix_ms: int
) -> Evidence:
    """Merge the three numbers of lease reports: returns, and grants that are unknown here."""
    found = Evidence()
    books = Books(tx, holder, now_unix_ms)
    known = leases.levels_of(tx, holder, len(reports)) if reports else {}
    partitions = Partitions(tx)
    for report in reports:
        key = report.lease
        if key in known and not _is_news(report, known[key]):
            continue
        period = periods.get(tx, key)
        says_nothing = not report.granted_seen_nano_usd and not report.returned_nano_usd
        if period is None and says_nothing:
            continue
        if period is None:
            key = partitions.of(key)
            periods.adopt(tx, key)
        grew = not says_nothing and books.take_levels(
            key,
            granted_nano_usd=report.granted_seen_nano_usd,
            returned_nano_usd=report.returned_nano_usd,
        )
        if period is not None and report.serial_seen > period.serial:
            _newer_serial(tx, report, found, grew=grew)
    found.database_is_old |= books.database_is_old
    found.impossible |= books.impossible
    periods.open_unsettled(tx, books.moved)
    return found


def _is_news(report: LeaseReport, known: tuple[int, int, int]) -> bool:
    """Whether a report says more than is granted, returned and numbered here; most never do."""
    granted, returned, serial = known
    return (
        report.granted_seen_nano_usd > granted
        or report.returned_nano_usd > returned
        or report.serial_seen > serial
    )


def _newer_serial(tx: Tx, report: LeaseReport, found: Evidence, *, grew: bool) -> None:
    """A serial from after the copy comes with a grant from after it; else it proves nothing."""
    if grew or not tx.watermark.bounds_claims:
        found.database_is_old |= not grew
        periods.raise_serial(tx, report.lease, report.serial_seen)


def _overrun(tx: Tx, holder: Holder, record: Overrun, now_unix_ms: int) -> None:
    """A bill above its worst case: booked beside the lease, may pass the cap, always an alarm."""
    excess = record.excess_nano_usd
    alarm = Alarm(
        kind="OVERRUN",
        holder=holder,
        detail="a provider billed more than the worst case that was held",
        call_id=record.call_id,
        amount_nano_usd=excess,
    )
    if not record.vector:
        ledger.raise_alarm(tx, alarm, now_unix_ms)
    stops = (
        f"{alarm.detail}; the sidecar starts no more calls on this budget period until its cap is "
        "set anew"
    )
    for key in record.vector:
        period = _version_of(tx, periods.adopt(tx, key))
        periods.move(
            tx, key, allocated_nano_usd=excess, spent_nano_usd=excess, overrun_nano_usd=excess
        )
        lease = Books(tx, holder, now_unix_ms).lease(key)
        leases.put(tx, replace(lease, frozen_cap_version=period))
        ledger.raise_alarm(tx, replace(alarm, detail=stops, key=key), now_unix_ms)


def _version_of(tx: Tx, period: PeriodState) -> int:
    budget = budgets.get(tx, period.key.budget_id)
    return max(period.cap_version, budget.cap_version if budget else 0)


def _adjust(
    tx: Tx, holder: Holder, record: Adjust, booked: core.Bookings, now_unix_ms: int
) -> None:
    """Better evidence about an estimate, for all that it was charged to; never below nothing."""
    call = ledger.booked_call(tx, record.call_id)
    if call is not None and call.sidecar_id != holder.sidecar_id:
        call = None  # Nobody has evidence about a call that another sidecar made.
    delta = max(record.delta_nano_usd, -call.cost_nano_usd if call else record.delta_nano_usd)
    cut = delta != record.delta_nano_usd
    moves: list[tuple[dict[PeriodKey, int], PeriodKey, int]] = []
    for key in record.vector:
        lease = leases.get(tx, holder, key)
        most = (lease.spent_nano_usd if lease else 0) + booked.spent_nano_usd.get(key, 0)
        moves.append((booked.spent_nano_usd, key, most))
    if call is not None:
        ledger.correct_call(tx, record.call_id, delta)
        row = booked.rollups[call.rollup]
        row.cost_nano_usd += delta
        before = call.cost_nano_usd
        Charging(tx).follow(record.call_id, before, before + delta, booked.rollups)
        for key in ledger.settled_periods(tx, call):
            if key not in record.vector:
                most = periods.counted_nano_usd(tx, key) + booked.counted_nano_usd.get(key, 0)
                moves.append((booked.counted_nano_usd, key, most))
    charges = []
    for sums, key, most in moves:
        taken = max(delta, -most)
        cut = cut or taken != delta
        sums[key] += taken
        charges.append(
            core.Charge(record.seq, key, "ADJUST", record.call_id, taken, estimated=False)
        )
    ledger.insert_charges(tx, holder, charges, now_unix_ms)
    if call is None or cut:
        what = "takes off more than was charged" if call else "names a call that is not here"
        detail = f"a correction {what}: it was taken as far as it goes"
        _bad_record(tx, holder, record.call_id, record.delta_nano_usd, detail, now_unix_ms)


def _bad_record(
    tx: Tx, holder: Holder, call_id: str, amount_nano_usd: int, detail: str, now_unix_ms: int
) -> None:
    alarm = Alarm(
        kind="BAD_RECORD",
        holder=holder,
        detail=detail,
        call_id=call_id,
        amount_nano_usd=amount_nano_usd,
    )
    ledger.raise_alarm(tx, alarm, now_unix_ms)
