"""Records the evidence of a copy of a journal that went on by itself.

Both copies spent real money, so every call of either is in the ledger, once, by its own id,
and charged to its budgets: from what the lease has left, and beyond that with an alarm. Only calls
and overruns are taken. What a copy gives back is not: the other copy may be spending it. What it
corrects downwards is not: a correction has no name by which it would be known when it comes again.

A copy says the same again and again, in any order: what is known changes nothing. And it is bounded
what the copies of one life of a journal may add to the ledger.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core.alarms import Alarm
from control_plane.core.calls import Line, Overrun, Return, Settle, Void
from control_plane.core.leases import Holder
from control_plane.core.ledger import chain_after
from control_plane.core.reports import Report
from control_plane.core.sidecars import Cursor, Sidecar
from control_plane.store import bad_records, forks, leases, ledger, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import booking, late, orphans

_FORKED = (
    "its records do not continue those that are booked: a copy of its journal is or was in use; "
    "what both spent is booked; start it with a new journal"
)
_TOO_MUCH = (
    f"copies of its journal told more than {limits.FORK_RECORDS_MAX} records: what comes now is "
    "not booked; revoke it"
)


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused, when it came first, of records whose numbers are booked."""

    kept: dict[int, bytes]
    """What is kept of each, by its number; empty where it is not known any more."""
    is_all: bool
    """Whether all that was refused of this journal is kept."""


def refused_of(tx: Tx, holder: Holder, cursor: Cursor, report: Report) -> Refused:
    """What was refused of the numbers of a report, which has records."""
    first, last = report.records[0].seq, report.records[-1].seq
    return Refused(
        bad_records.raw_among(tx, holder, first, last),
        not cursor.dropped_count and bad_records.are_all_kept(tx, holder.sidecar_id),
    )


def diverges(tx: Tx, holder: Holder, refused: Refused, report: Report) -> bool:
    """Whether records whose numbers are booked surely say something that is not.

    What was refused when it came first is in no ledger either, and proves nothing; nor does
    anything where it is not known any more what was refused.
    """
    if not refused.is_all:
        return False
    for record, raw in zip(report.records, report.raw_records, strict=True):
        if record.seq in refused.kept:
            kept = refused.kept[record.seq]
            if kept and kept != raw[: limits.BAD_RECORD_BYTES_MAX] and _is_new(tx, holder, record):
                return True
            continue
        match record:
            case Return():
                lease = leases.get(tx, holder, record.lease)
                if lease is None or record.returned_nano_usd > lease.returned_nano_usd:
                    return True
            case Settle() | Void() | Overrun():
                if _is_new(tx, holder, record):
                    return True
    return False


def take_beside(
    tx: Tx, holder: Holder, cursor: Cursor, refused: Refused, report: Report, now_unix_ms: int
) -> None:
    """Book what nobody can say was refused before: calls that the ledger has not, fencing nobody.

    It may be a copy's, so that it must not be acknowledged and be in no ledger; or the same
    journal's once more, which proves nothing and leaves no trace where it is refused again. Of a
    journal whose time is over and of which records were dropped, it is what its leases have money
    for.
    """
    unsure = report.records
    if refused.is_all:
        unsure = tuple(record for record in unsure if refused.kept.get(record.seq) == b"")
    if cursor.dropped_count:
        unsure = late.within_leases(tx, holder, unsure)
    told = {record.seq: raw for record, raw in zip(report.records, report.raw_records, strict=True)}
    fresh = _once(
        record
        for record in unsure
        if refused.kept.get(record.seq) != told[record.seq][: limits.BAD_RECORD_BYTES_MAX]
        and _is_new(tx, holder, record)
    )
    if fresh and cursor.beside_count + len(fresh) > limits.FORK_RECORDS_MAX:
        _refuse(tx, holder, cursor, now_unix_ms)
        return
    for record in fresh:
        with contextlib.suppress(_RefusedAgainError), tx.savepoint():
            if _book_beside(tx, holder, [record], now_unix_ms).refused:
                raise _RefusedAgainError


class _RefusedAgainError(Exception):
    """Takes back what the attempt to book a record did."""


def _book_beside(
    tx: Tx, holder: Holder, fresh: Sequence[Line], now_unix_ms: int
) -> booking.Evidence:
    first = sidecars.take_places_beside(tx, holder, len(fresh))
    numbered = [replace(record, seq=first - place) for place, record in enumerate(fresh)]
    return booking.book(tx, holder, numbered, now_unix_ms, forked=True)


def branch_of(tx: Tx, holder: Holder, report: Report) -> bytes | None:
    """The end of the known copy that a report continues; None when it continues none."""
    for chain in forks.chain_at(tx, holder, report.from_seq - 1):
        if chain_after(chain, report.raw_records) == report.chain:
            return chain
    return None


def take(
    tx: Tx,
    holder: Holder,
    sidecar: Sidecar,
    report: Report,
    before: bytes | None,
    now_unix_ms: int,
) -> int:
    """Book what a copy tells and stop its journal; the last record of it that the ledger has."""
    known = sidecars.cursor(tx, holder)
    assert known is not None
    if not known.forked:
        forks.mark(tx, holder, now_unix_ms)
        if orphans.fence(tx, sidecar, holder.epoch, _FORKED, now_unix_ms) is sidecar:
            ledger.raise_alarm(tx, Alarm("FENCED", holder, _FORKED), now_unix_ms)
    fresh = _once(record for record in report.records if _is_new(tx, holder, record))
    if known.beside_count + len(fresh) > limits.FORK_RECORDS_MAX:
        _refuse(tx, holder, known, now_unix_ms)
        return 0
    if fresh:
        _book_beside(tx, holder, fresh, now_unix_ms)
    last_seq = report.from_seq + len(report.records) - 1
    if fresh or before is not None:
        # What is only said again opens no place of its own.
        forks.put(tx, holder, before, last_seq, report.chain, now_unix_ms)
    return last_seq


def _is_new(tx: Tx, holder: Holder, record: Line) -> bool:
    """Whether a call or an overrun is not in the ledger; other records never are news here."""
    match record:
        case Settle() | Void():
            return not ledger.known_among(tx, [record.call.call_id])
        case Overrun():
            return not ledger.overrun_is_known(tx, holder.sidecar_id, record.call_id)
        case _:
            return False


def _once(records: Iterable[Line]) -> list[Line]:
    """Each call and each overrun once, though a report may have it twice."""
    return list({_name_of(record): record for record in reversed(list(records))}.values())[::-1]


def _name_of(record: Line) -> tuple[str, str]:
    match record:
        case Settle() | Void():
            return "call", record.call.call_id
        case Overrun():
            return "overrun", record.call_id
        case _:
            raise AssertionError


def _refuse(tx: Tx, holder: Holder, known: Cursor, now_unix_ms: int) -> None:
    """Say once that the bound is reached; from then on it is passed."""
    past = limits.FORK_RECORDS_MAX + 1 - known.beside_count
    if past > 0:
        sidecars.take_places_beside(tx, holder, past)
        ledger.raise_alarm(tx, Alarm("FENCED", holder, _TOO_MUCH), now_unix_ms)
