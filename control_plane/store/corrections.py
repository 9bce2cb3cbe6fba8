"""Corrections of what calls cost: entries that are only ever added."""

from control_plane.core.leases import PeriodKey
from control_plane.core.log import LoggedCall, LoggedCorrection
from control_plane.core.rerating import Correction, PeriodParts
from control_plane.store import call_log, periods
from control_plane.store.engine import Tx


def calls_of(
    tx: Tx, provider: str, start_unix_ms: int, end_unix_ms: int, after: int, until: int
) -> list[LoggedCall]:
    """Calls to a provider that began within a time, of a stretch of the ledger."""
    rows = tx.rows(
        """SELECT * FROM call
           WHERE position > :after AND position <= :until AND provider = :provider
             AND started_unix_ms >= :start AND started_unix_ms < :end
           ORDER BY position""",
        {
            "provider": provider,
            "start": start_unix_ms,
            "end": end_unix_ms,
            "after": after,
            "until": until,
        },
    )
    return [call_log.booked(row) for row in rows]


def insert(
    tx: Tx,
    correction: Correction,
    version: str,
    *,
    actor: str,
    request_id: str,
    reason: str,
    now_unix_ms: int,
) -> None:
    """Add the correction of one call, behind those it has."""
    tx.run(
        """INSERT INTO correction (call_id, number, price_version, before_nano_usd, after_nano_usd,
             actor, request_id, reason, booked_unix_ms)
           SELECT :call, COALESCE(MAX(number), 0) + 1, :version, :before, :after, :actor, :request,
             :reason, :now
           FROM correction WHERE call_id = :call""",
        {
            "call": correction.logged.call.call_id,
            "version": version,
            "before": correction.logged.call.cost_nano_usd,
            "after": correction.after_nano_usd,
            "actor": actor,
            "request": request_id,
            "reason": reason,
            "now": now_unix_ms,
        },
    )


def of_call(tx: Tx, call_id: str) -> tuple[LoggedCorrection, ...]:
    """The corrections of one call, in their order."""
    rows = tx.rows(
        "SELECT * FROM correction WHERE call_id = :call ORDER BY number", {"call": call_id}
    )
    return tuple(
        LoggedCorrection(
            price_version=row["price_version"],
            before_nano_usd=row["before_nano_usd"],
            after_nano_usd=row["after_nano_usd"],
            actor=row["actor"],
            reason=row["reason"],
            booked_unix_ms=row["booked_unix_ms"],
        )
        for row in rows
    )


def parts_of(tx: Tx, key: PeriodKey) -> PeriodParts:
    """What a period's spend is made of."""
    row = tx.row(
        """SELECT spent_nano_usd, counted_nano_usd, overrun_nano_usd FROM period
           WHERE budget_id = :budget AND partition = :partition AND period_id = :period""",
        periods.params(key),
    )
    assert row is not None
    counted, overrun = int(row["counted_nano_usd"]), int(row["overrun_nano_usd"])
    return PeriodParts(int(row["spent_nano_usd"]) - counted - overrun, counted, overrun)


def move_period(tx: Tx, key: PeriodKey, move: PeriodParts) -> None:
    """Add a correction to a period, closed or not: its parts, and with them what is spent."""
    changed = tx.run(
        """UPDATE period SET allocated_nano_usd = allocated_nano_usd + :delta,
             spent_nano_usd = spent_nano_usd + :delta,
             corrected_nano_usd = corrected_nano_usd + :leased,
             counted_nano_usd = counted_nano_usd + :counted,
             overrun_nano_usd = overrun_nano_usd + :overrun
           WHERE budget_id = :budget AND partition = :partition AND period_id = :period""",
        periods.params(
            key,
            delta=move.leased_nano_usd + move.counted_nano_usd + move.overrun_nano_usd,
            leased=move.leased_nano_usd,
            counted=move.counted_nano_usd,
            overrun=move.overrun_nano_usd,
        ),
    )
    assert changed == 1
