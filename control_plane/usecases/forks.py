"""Records the evidence of a copy of a journal that went on by itself.

Both copies spent real money, so every call of either is in the ledger, once, by its own id,
and charged to its budgets: from what the lease has left, and beyond that with an alarm. Only calls
and overruns are taken. What a copy gives back is not: the other copy may be spending it. What it
corrects downwards is not: a correction has no name by which it would be known when it comes again.

A copy says the same again and again, in any order: what is known changes nothing. And it is bounded
what the copies of one life of a journal may add to the ledger.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from control_plane import limits
from control_plane.core.alarms import Alarm
from control_plane.core.calls import Line, Overrun, Return, Settle, Void
from control_plane.core.leases import Holder
from control_plane.core.ledger import chain_after
from control_plane.core.reports import Report
from control_plane.core.sidecars import Cursor, Sidecar
from control_plane.store import bad_records, forks, leases, ledger, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import booking, orphans

_FORKED = (
    "its records do not continue those that are booked: a copy of its journal is or was in use; "
    "what both spent is booked; start it with a new journal"
)
_TOO_MUCH = (
    f"copies of its journal told more than {limits.FORK_RECORDS_MAX} records: what comes now is "
    "not booked; revoke it"
)


def diverges(tx: Tx, holder: Holder, records: Sequence[Line]) -> bool:
    """Whether records whose numbers are booked say something that is not.

    What was refused when it came first is in no ledger either, and proves nothing.
    """
    refused = bad_records.seqs_among(tx, holder, records[0].seq, records[-1].seq)
    if refused is None:
        return False
    for record in records:
        if record.seq in refused:
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
        first = sidecars.take_places_beside(tx, holder, len(fresh))
        numbered = [replace(record, seq=first - place) for place, record in enumerate(fresh)]
        booking.book(tx, holder, numbered, now_unix_ms, forked=True)
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
