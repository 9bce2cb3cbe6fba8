"""Budget periods: the rows that every cap is kept by."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from control_plane import limits
from control_plane.core.budgets import Budget
from control_plane.core.leases import BudgetRef, Holder, PeriodKey
from control_plane.core.situation import PeriodState
from control_plane.core.watermark import Mark
from control_plane.core.windows import WindowSpan
from control_plane.store import budgets
from control_plane.store.engine import Row, Tx, Value

_KEY = "budget_id = :budget AND partition = :partition AND period_id = :period"
_GET = f"SELECT * FROM period WHERE {_KEY}"  # noqa: S608 - a constant


def get(tx: Tx, key: PeriodKey) -> PeriodState | None:
    """One period; under a lock until the transaction ends."""
    row = tx.row(_GET + tx.dialect.for_update, params(key))
    return _from_row(row) if row is not None else None


def of_holder(tx: Tx, holder: Holder, most: int) -> dict[PeriodKey, PeriodState]:
    """Of at most so many active leases of a holder the periods; under a lock, by rising id."""
    rows = tx.rows(
        f"""SELECT p.* FROM lease l JOIN period p ON p.budget_id = l.budget_id
             AND p.partition = l.partition AND p.period_id = l.period_id
           WHERE l.sidecar_id = :sidecar AND l.epoch = :epoch AND l.state = 'ACTIVE'
           ORDER BY l.budget_id, l.partition, l.period_id
           LIMIT :most{tx.dialect.for_update}""",  # noqa: S608 - a constant
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch, "most": most},
    )
    return {state.key: state for state in map(_from_row, rows)}


def ensure(tx: Tx, budget_id: str, partition: str, now_unix_ms: int) -> PeriodState | None:
    """The period that an instant is in, made if there is none; None for an unknown budget."""
    budget = budgets.get(tx, budget_id)
    return None if budget is None else ensure_of(tx, budget, partition, now_unix_ms)


def ensure_of(
    tx: Tx, budget: Budget, partition: str, now_unix_ms: int, *, adopted: bool = False
) -> PeriodState:
    """The period of a budget that an instant is in, made if there is none.

    `adopted` when evidence asks for it, and not somebody who wants money.
    """
    span = budget.span_at(now_unix_ms)
    key = PeriodKey(budget.budget_id, partition, span.period_id)
    found = get(tx, key)
    if found is None:
        _insert(tx, key, span, budget, adopted=adopted)
        found = get(tx, key)
        assert found is not None
    return found


def has_room(tx: Tx, budget: Budget, partition: str, now_unix_ms: int) -> bool:
    """Whether a partition has a period now, or may still get one.

    Workflow labels come from callers: without a bound they could make rows without end. What
    evidence named counts for itself: no liar may take the room of those that want money.
    """
    if not budget.split_by:
        return not partition
    span = budget.span_at(now_unix_ms)
    if exists(tx, PeriodKey(budget.budget_id, partition, span.period_id)):
        return True
    row = tx.row(
        """SELECT COUNT(*) AS n FROM period
           WHERE budget_id = :budget AND period_id = :period AND adopted = 0""",
        {"budget": budget.budget_id, "period": span.period_id},
    )
    assert row is not None
    return int(row["n"]) < limits.BUDGET_PARTITIONS_MAX


def exists(tx: Tx, key: PeriodKey) -> bool:
    """Whether there is a row of a period."""
    return _state(tx, key) is not None


def count_adopted(tx: Tx, budget_id: str, period_id: str) -> int:
    """How many partitions of a budget's window evidence alone has named."""
    row = tx.row(
        """SELECT COUNT(*) AS n FROM period
           WHERE budget_id = :budget AND period_id = :period AND adopted = 1""",
        {"budget": budget_id, "period": period_id},
    )
    assert row is not None
    return int(row["n"])


def adopt(tx: Tx, key: PeriodKey) -> PeriodState:
    """A period that a sidecar holds evidence about, made if it is unknown here.

    Only a database that is older than its sidecars makes one here. When the budget does not know a
    window of that name, the period has no cap and no money is ever granted in it.
    """
    found = get(tx, key)
    if found is not None:
        return found
    budget = budgets.get(tx, key.budget_id)
    span = _span_named(budget, key.period_id) if budget is not None else None
    if budget is not None and span is not None:
        _insert(tx, key, span, budget, adopted=True)
    else:
        tx.run(
            """INSERT INTO period (budget_id, partition, period_id, start_unix_ms, cap_version,
                 state, adopted)
               VALUES (:budget, :partition, :period, 0, 0, 'CLOSING', 1)""",
            params(key),
        )
    made = get(tx, key)
    assert made is not None
    return made


def _span_named(budget: Budget, period_id: str) -> WindowSpan | None:
    """The budget's window that begins on a local date; None when there is none."""
    try:
        midnight = datetime.fromisoformat(period_id).replace(tzinfo=UTC)
    except ValueError:
        span = budget.span_at(0)
        return span if span.period_id == period_id else None
    # No zone is further from UTC than 14 hours, so one of these instants is in the window.
    for hours in (12, 0, 24, -14):
        instant_unix_ms = int((midnight + timedelta(hours=hours)).timestamp()) * 1_000
        if instant_unix_ms >= 0:
            span = budget.span_at(instant_unix_ms)
            if span.period_id == period_id:
                return span
    return None


def grant(tx: Tx, key: PeriodKey, amount_nano_usd: int) -> PeriodState | None:
    """Allocate money if the cap allows it: the period with the grant's serial, or None.

    The only statement that raises `allocated` for a lease. The condition stands in the statement,
    so that no reading beforehand can be too old. In the same transaction, before its COMMIT, the
    watermark is raised: what cannot be made durable there is not granted.
    """
    assert amount_nano_usd > 0
    changed = tx.run(
        f"""UPDATE period SET allocated_nano_usd = allocated_nano_usd + :amount,
              granted_total_nano_usd = granted_total_nano_usd + :amount,
              grant_serial = grant_serial + 1
            WHERE {_KEY} AND state = 'OPEN' AND cap_nano_usd IS NOT NULL
              AND allocated_nano_usd + :amount <= cap_nano_usd
            """,  # noqa: S608 - a constant
        params(key, amount=amount_nano_usd),
    )
    if not changed:
        return None
    # Read by a statement of its own: RETURNING costs SQLite more than both.
    state = get(tx, key)
    assert state is not None
    assert state.cap_nano_usd is not None
    total = state.granted_total_nano_usd + state.unclaimed_nano_usd
    if tx.watermark.cover({key: Mark(total, state.cap_nano_usd)}):
        return state
    tx.run(
        f"""UPDATE period SET allocated_nano_usd = allocated_nano_usd - :amount,
              granted_total_nano_usd = granted_total_nano_usd - :amount,
              grant_serial = grant_serial - 1
            WHERE {_KEY}""",  # noqa: S608 - a constant
        params(key, amount=amount_nano_usd),
    )
    return None


def claim(tx: Tx, key: PeriodKey, more_nano_usd: int, unclaimed_less_nano_usd: int) -> None:
    """Take over grants that a sidecar has shown and this database did not know."""
    tx.run(
        f"""UPDATE period SET granted_total_nano_usd = granted_total_nano_usd + :more,
              unclaimed_nano_usd = unclaimed_nano_usd - :less WHERE {_KEY}""",  # noqa: S608 - a constant
        params(key, more=more_nano_usd, less=unclaimed_less_nano_usd),
    )


def expect_claims(tx: Tx, key: PeriodKey, more_nano_usd: int) -> None:
    """Note that so much more may have been granted than this database knows."""
    tx.run(
        f"UPDATE period SET unclaimed_nano_usd = unclaimed_nano_usd + :more WHERE {_KEY}",  # noqa: S608 - a constant
        params(key, more=more_nano_usd),
    )


def closed_among(tx: Tx, keys: Iterable[PeriodKey]) -> list[PeriodKey]:
    """Of these periods, those in which no money can move any more."""
    return [key for key in keys if (found := _state(tx, key)) is not None and found == "CLOSED"]


def is_over(tx: Tx, key: PeriodKey, now_unix_ms: int) -> bool:
    """Whether a period takes no grants any more, or will not once its end is noted."""
    row = tx.row(f"SELECT state, end_unix_ms FROM period WHERE {_KEY}", params(key))  # noqa: S608 - a constant
    if row is None:
        return False
    end_unix_ms = row["end_unix_ms"]
    return row["state"] != "OPEN" or (end_unix_ms is not None and end_unix_ms <= now_unix_ms)


def _state(tx: Tx, key: PeriodKey) -> str | None:
    row = tx.row(f"SELECT state FROM period WHERE {_KEY}", params(key))  # noqa: S608 - a constant
    return None if row is None else str(row["state"])


def move(
    tx: Tx,
    key: PeriodKey,
    *,
    allocated_nano_usd: int = 0,
    spent_nano_usd: int = 0,
    counted_nano_usd: int = 0,
    overrun_nano_usd: int = 0,
    orphan_hold_nano_usd: int = 0,
    overshoot_nano_usd: int = 0,
) -> None:
    """Book evidence: each number grows by so much, or falls by it."""
    changed = tx.run(
        f"""UPDATE period SET allocated_nano_usd = allocated_nano_usd + :allocated,
              spent_nano_usd = spent_nano_usd + :spent,
              counted_nano_usd = counted_nano_usd + :counted,
              overrun_nano_usd = overrun_nano_usd + :overrun,
              orphan_hold_nano_usd = orphan_hold_nano_usd + :orphan,
              overshoot_nano_usd = overshoot_nano_usd + :overshoot
            WHERE {_KEY}""",  # noqa: S608 - a constant
        params(
            key,
            allocated=allocated_nano_usd,
            spent=spent_nano_usd,
            counted=counted_nano_usd,
            overrun=overrun_nano_usd,
            orphan=orphan_hold_nano_usd,
            overshoot=overshoot_nano_usd,
        ),
    )
    assert changed == 1


def counted_nano_usd(tx: Tx, key: PeriodKey) -> int:
    """What was charged to a period without a lease."""
    row = tx.row(f"SELECT counted_nano_usd AS n FROM period WHERE {_KEY}", params(key))  # noqa: S608 - a constant
    return int(row["n"]) if row is not None else 0


def raise_serial(tx: Tx, key: PeriodKey, serial: int) -> None:
    """Take over a serial that a sidecar has seen and an old database has not."""
    tx.run(
        f"UPDATE period SET grant_serial = :serial WHERE {_KEY} AND grant_serial < :serial",  # noqa: S608 - a constant
        params(key, serial=serial),
    )


def end(tx: Tx, now_unix_ms: int) -> int:
    """No more grants in windows that are over; how many ended."""
    return tx.run(
        "UPDATE period SET state = 'CLOSING' WHERE state = 'OPEN' AND end_unix_ms <= :now",
        {"now": now_unix_ms},
    )


def close_settled(tx: Tx) -> int:
    """Close periods that take no grants and in which nothing is outstanding any more."""
    return tx.run(
        """UPDATE period SET state = 'CLOSED'
           WHERE state = 'CLOSING' AND allocated_nano_usd = spent_nano_usd"""
    )


def open_unsettled(tx: Tx, keys: Iterable[PeriodKey]) -> None:
    """Closed periods in which late evidence left money outstanding have to be closed again."""
    tx.many(
        f"""UPDATE period SET state = 'CLOSING'
            WHERE {_KEY} AND state = 'CLOSED' AND allocated_nano_usd <> spent_nano_usd""",  # noqa: S608 - a constant
        [params(key) for key in keys],
    )


def reopen(tx: Tx, budget: Budget, key: PeriodKey) -> PeriodState:
    """Let money be granted again in a running period that was closed by a clock that ran ahead."""
    assert budget.archived_unix_ms is None
    tx.run(
        f"""UPDATE period SET state = 'OPEN', cap_nano_usd = :cap, cap_version = :cap_version
            WHERE {_KEY} AND state <> 'OPEN'""",  # noqa: S608 - a constant
        params(
            key,
            cap=budgets.cap_in_force(tx, key.budget_id, key.period_id),
            cap_version=budget.cap_version,
        ),
    )
    tx.run(
        f"""UPDATE lease SET state = 'ACTIVE' WHERE {_KEY} AND state = 'CLOSED'
              AND orphaned_unix_ms = 0
              AND epoch = (SELECT epoch FROM sidecar WHERE id = lease.sidecar_id
                AND revoked_unix_ms = 0 AND state <> 'FENCED')""",  # noqa: S608 - a constant
        params(key),
    )
    found = get(tx, key)
    assert found is not None
    return found


def is_unclosed(tx: Tx, key: PeriodKey) -> bool:
    """Whether money can still move in a period."""
    found = _state(tx, key)
    return found is not None and found != "CLOSED"


def params(key: PeriodKey, **more: Value) -> dict[str, Value]:
    """The names that the statements of periods and leases use for a key."""
    return {
        "budget": key.budget_id,
        "partition": key.partition,
        "period": key.period_id,
        **more,
    }


def budget_of(key: PeriodKey) -> BudgetRef:
    """The budget's partition that a period belongs to."""
    return BudgetRef(key.budget_id, key.partition)


def _insert(tx: Tx, key: PeriodKey, span: WindowSpan, budget: Budget, *, adopted: bool) -> None:
    tx.run(
        """INSERT INTO period (budget_id, partition, period_id, start_unix_ms, end_unix_ms,
             cap_nano_usd, cap_version, adopted)
           VALUES (:budget, :partition, :period, :start, :end, :cap, :cap_version, :adopted)""",
        params(
            key,
            start=span.start_unix_ms,
            end=span.end_unix_ms,
            cap=budgets.cap_in_force(tx, budget.budget_id, span.period_id),
            cap_version=budget.cap_version,
            adopted=int(adopted),
        ),
    )


def _from_row(row: Row) -> PeriodState:
    return PeriodState(
        key=PeriodKey(row["budget_id"], row["partition"], row["period_id"]),
        start_unix_ms=row["start_unix_ms"],
        end_unix_ms=row["end_unix_ms"],
        cap_nano_usd=row["cap_nano_usd"],
        cap_version=row["cap_version"],
        allocated_nano_usd=row["allocated_nano_usd"],
        spent_nano_usd=row["spent_nano_usd"],
        orphan_hold_nano_usd=row["orphan_hold_nano_usd"],
        serial=row["grant_serial"],
        open=row["state"] == "OPEN",
        granted_total_nano_usd=row["granted_total_nano_usd"],
        unclaimed_nano_usd=row["unclaimed_nano_usd"],
    )
