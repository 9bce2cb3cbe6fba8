"""The ledger as people read it: single calls, the stream of them, sums, refusals."""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import fields, pages, usage
from control_plane.core.log import CallFilter, LoggedCall, RefusalMinute
from control_plane.core.pages import Asked, Page
from control_plane.core.usage import UsageAnswer, UsageQuestion, UsageRow
from control_plane.core.windows import INSTANT_MAX_UNIX_MS
from control_plane.core.zones import check_zone
from control_plane.store import budgets, call_log, corrections, holdings, installation
from control_plane.store import usage as usage_store
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from protos.values import ids
from protos.values.errors import LimitExceededError, NotFoundError


@dataclass(frozen=True, slots=True)
class TailBatch:
    """Calls that follow a place in the ledger."""

    calls: tuple[LoggedCall, ...]
    position: int
    """How far the ledger was read, calls of other projects included."""
    more: bool
    """Whether more follow at once."""


def get_call(tx: Tx, call_id: str) -> LoggedCall:
    """One call."""
    fields.check_id(call_id, ids.CALL, "call_id")
    call = call_log.get(tx, call_id)
    if call is None:
        raise NotFoundError(
            f"the ledger has no call {call_id}: it may be open, or not reported yet",
            call_id=call_id,
        )
    return replace(call, corrections=corrections.of_call(tx, call_id))


def list_calls(tx: Tx, asked: Asked, wanted: CallFilter) -> Page[LoggedCall]:
    """Calls, newest first."""
    for instant, field in ((wanted.start_unix_ms, "start_time"), (wanted.end_unix_ms, "end_time")):
        if instant is not None:
            fields.check_between(instant, 0, INSTANT_MAX_UNIX_MS, field)
    if wanted.project_id:
        projects.found(tx, wanted.project_id)
    filters = {
        "list": "calls",
        "project": wanted.project_id,
        "workflow": wanted.workflow,
        "start": str(wanted.start_unix_ms),
        "end": str(wanted.end_unix_ms),
    }
    slice_ = pages.begin(asked, filters, (int,))
    rows = call_log.page(tx, slice_, wanted)
    return pages.finish(rows, slice_, filters, lambda row: (row.position,))


@dataclass(frozen=True, slots=True)
class TailStart:
    """From where on to tail; a position goes before all else, and nothing means now."""

    after_position: int = 0
    from_start: bool = False
    start_unix_ms: int | None = None
    """Booked at or after this."""


def tail_from(tx: Tx, project_id: str, start: TailStart) -> int:
    """From which place on to tail: the one that is asked for, or where the ledger ends now."""
    fields.check_between(start.after_position, 0, 2**62, "after_position")
    if start.from_start and start.start_unix_ms is not None:
        raise fields.invalid("from_start", "give it or start_time, not both")
    if project_id:
        projects.found(tx, project_id)
    if start.after_position or start.from_start:
        return start.after_position
    if start.start_unix_ms is not None:
        return call_log.position_before(tx, start.start_unix_ms)
    return call_log.last_position(tx)


def tail_calls(tx: Tx, project_id: str, after_position: int) -> TailBatch:
    """The calls that were booked after a place, at most a batch of them."""
    end = call_log.last_position(tx)
    rows = call_log.following(tx, after_position, end, limits.TAIL_BATCH_CALLS)
    calls = tuple(
        call_log.booked(row) for row in rows if not project_id or row["project_id"] == project_id
    )
    position = max(after_position, int(rows[-1]["position"]) if rows else end)
    return TailBatch(calls, position, more=position < end)


def query_usage(tx: Tx, question: UsageQuestion, now_unix_ms: int) -> UsageAnswer:
    """Sums of calls; the rows sum to the total, to the nano-dollar."""
    group_by = usage.check_groupings(question.group_by)
    zone = question.time_zone
    if question.project_id:
        zone = zone or projects.found(tx, question.project_id).time_zone
    zone = check_zone(zone or installation.get(tx).time_zone, "time_zone")
    start, end = usage.span_of(question, zone, now_unix_ms)
    found: list[UsageRow]
    by_day = "day" in group_by
    stretches = usage.stretches(start, end, zone, by_day=by_day)
    if by_day:
        found = usage_store.sums_by_day(
            tx, stretches, zone, group_by, project_id=question.project_id
        )
    else:
        found = usage_store.sums(tx, stretches[0], group_by, project_id=question.project_id)
    if len(found) > limits.USAGE_ROWS_MAX:
        raise LimitExceededError(
            f"the answer has more than {limits.USAGE_ROWS_MAX} rows: ask for less time, "
            "one project, or fewer groupings",
            limit=str(limits.USAGE_ROWS_MAX),
        )
    rows = usage.arrange(found, group_by)
    lumps = lumps_nano_usd(tx, question.project_id, start, end)
    return UsageAnswer(rows, usage.total_of(rows), start, end, zone, lumps)


def lumps_nano_usd(tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int) -> int:
    """What was charged for lost journals in periods that begin within a time; "" is all clients."""
    rows = holdings.lumps(
        tx, start_unix_ms=start_unix_ms, end_unix_ms=end_unix_ms, project_id=project_id
    )
    named = [(budgets.get(tx, budget_id), amount) for budget_id, amount in rows]
    return usage.lumps_once((budget, amount) for budget, amount in named if budget is not None)


def list_refusals(tx: Tx, asked: Asked, project_id: str) -> Page[RefusalMinute]:
    """Refused calls by minute, newest first."""
    filters = {"list": "refusals", "project": project_id}
    wanted = pages.begin(asked, filters, (int, *[str] * 7))
    rows = call_log.refusals_page(tx, wanted, project_id=project_id)
    return pages.finish(
        rows,
        wanted,
        filters,
        lambda row: (
            row.minute_unix_ms,
            row.sidecar_id,
            row.project_id,
            row.key_id,
            row.workflow,
            row.model,
            row.reason,
            row.budget_id,
        ),
    )
