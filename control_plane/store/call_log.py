"""Booked calls and refusals as people read them."""

import json
from collections.abc import Sequence

from control_plane.core.calls import Call
from control_plane.core.log import CallFilter, LoggedCall, RefusalMinute
from control_plane.core.pages import Slice
from control_plane.store.engine import Row, Tx, Value


def get(tx: Tx, call_id: str) -> LoggedCall | None:
    """One call."""
    row = tx.row("SELECT * FROM call WHERE call_id = :id", {"id": call_id})
    return _from_row(row) if row is not None else None


def page(tx: Tx, asked: Slice, wanted: CallFilter) -> list[LoggedCall]:
    """Calls, newest first."""
    params: dict[str, Value] = {"limit": asked.limit}
    where = []
    # Only what is asked for stands in the query, and time stands where no index of it is taken: the
    # ledger is read from its end, by its own order or by a client's, until the page is full.
    for condition, name, value in (
        ("project_id = :project", "project", wanted.project_id or None),
        ("workflow = :workflow", "workflow", wanted.workflow or None),
        ("+started_unix_ms >= :start", "start", wanted.start_unix_ms),
        ("+started_unix_ms < :end", "end", wanted.end_unix_ms),
        ("position < :after", "after", asked.after[0] if asked.after else None),
    ):
        if value is not None:
            where.append(condition)
            params[name] = value
    rows = tx.rows(
        f"""SELECT * FROM call {"WHERE " + " AND ".join(where) if where else ""}
           ORDER BY position DESC LIMIT :limit""",  # noqa: S608 - conditions written above
        params,
    )
    return [_from_row(row) for row in rows]


def following(tx: Tx, after_position: int, until_position: int, limit: int) -> Sequence[Row]:
    """Calls in the order of the ledger, as rows for `booked`."""
    return tx.rows(
        """SELECT * FROM call WHERE position > :after AND position <= :until
           ORDER BY position LIMIT :limit""",
        {"after": after_position, "until": until_position, "limit": limit},
    )


def booked(row: Row) -> LoggedCall:
    """The call of a row."""
    return _from_row(row)


def last_position(tx: Tx) -> int:
    """Where the ledger ends now."""
    row = tx.row("SELECT COALESCE(MAX(position), 0) AS position FROM call")
    assert row is not None
    return int(row["position"])


def position_before(tx: Tx, booked_unix_ms: int) -> int:
    """The last position that was booked before an instant; 0 when none was.

    The ledger grows in the order of time, so halving finds it in some twenty looks. Where a clock
    was set back it is one of the places between which that happened.
    """
    low, high = 0, last_position(tx)
    while low < high:
        middle = (low + high + 1) // 2
        row = tx.row(
            """SELECT booked_unix_ms FROM call WHERE position <= :middle
               ORDER BY position DESC LIMIT 1""",
            {"middle": middle},
        )
        if row is None or row["booked_unix_ms"] < booked_unix_ms:
            low = middle
        else:
            high = middle - 1
    return low


def refusals_page(tx: Tx, asked: Slice, *, project_id: str) -> list[RefusalMinute]:
    """Refused calls by minute, newest first."""
    after = asked.after or (0, "", "", "", "", "", "", "")
    rows = tx.rows(
        """SELECT * FROM refusal
           WHERE (:project = '' OR project_id = :project)
             AND (:first = 1 OR (minute_unix_ms, sidecar_id, project_id, key_id, workflow, model,
               reason, budget_id) < (:a0, :a1, :a2, :a3, :a4, :a5, :a6, :a7))
           ORDER BY minute_unix_ms DESC, sidecar_id DESC, project_id DESC, key_id DESC,
             workflow DESC, model DESC, reason DESC, budget_id DESC
           LIMIT :limit""",
        {
            "project": project_id,
            "first": int(asked.after is None),
            "limit": asked.limit,
            **{f"a{number}": part for number, part in enumerate(after)},
        },
    )
    return [
        RefusalMinute(
            minute_unix_ms=row["minute_unix_ms"],
            sidecar_id=row["sidecar_id"],
            project_id=row["project_id"],
            key_id=row["key_id"],
            workflow=row["workflow"],
            model=row["model"],
            reason=row["reason"],
            budget_id=row["budget_id"],
            count=row["refused_count"],
            sample=row["sample"],
        )
        for row in rows
    ]


def _from_row(row: Row) -> LoggedCall:
    call = Call(
        call_id=row["call_id"],
        started_unix_ms=row["started_unix_ms"],
        ended_unix_ms=row["ended_unix_ms"],
        project_id=row["project_id"],
        key_id=row["key_id"],
        secret_id=row["secret_id"],
        workflow=row["workflow"],
        execution=row["execution"],
        step=row["step"],
        region=row["region"],
        provider=row["provider"],
        surface=row["surface"],
        requested_model=row["requested_model"],
        answered_model=row["answered_model"],
        alias=row["alias"],
        tier=row["tier"],
        streamed=bool(row["streamed"]),
        outcome=row["outcome"],
        error_kind=row["error_kind"],
        status=row["status"],
        first_byte_ms=row["first_byte_ms"],
        quantities=json.loads(row["quantities_json"]),
        price_version=row["price_version"],
        worst_nano_usd=row["worst_nano_usd"],
        cost_nano_usd=row["cost_nano_usd"],
        estimated=bool(row["estimated"]),
        parent_call_id=row["parent_call_id"],
        provider_request_id=row["provider_request_id"],
        clamped_output_count=row["clamped_output_count"],
        vector=(),
        counted=(),
        variant=row["variant"],
        cost_told=bool(row["cost_told"]),
        routed=row["routed"],
        provider_secret_id=row["provider_secret_id"],
    )
    return LoggedCall(
        call,
        row["sidecar_id"],
        row["position"],
        row["charge_nano_usd"],
        row["rate_card_version"],
        included_nano_usd=row["included_nano_usd"],
        begins_execution=bool(row["begins_execution"]),
    )
