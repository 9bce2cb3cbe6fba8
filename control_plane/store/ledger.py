"""The ledger: calls, what they were charged to, and alarms.

Hot: a Sync books hundreds of records at once, so every table is written with one statement run
many times.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from control_plane import limits
from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder, PeriodKey
from control_plane.core.ledger import BookedCall, Charge, RollupKey, bucket_of
from control_plane.store import installation
from control_plane.store.engine import Tx, Value

_TEXTS = (
    "call_id",
    "project_id",
    "key_id",
    "secret_id",
    "workflow",
    "execution",
    "step",
    "region",
    "provider",
    "surface",
    "requested_model",
    "answered_model",
    "alias",
    "tier",
    "variant",
    "outcome",
    "error_kind",
    "price_version",
    "parent_call_id",
    "provider_request_id",
    "routed",
    "provider_secret_id",
)
_NUMBERS = (
    "started_unix_ms",
    "ended_unix_ms",
    "streamed",
    "status",
    "first_byte_ms",
    "worst_nano_usd",
    "cost_nano_usd",
    "estimated",
    "cost_told",
    "clamped_output_count",
)
_COLUMNS = (
    *("position", "sidecar_id", "epoch", "seq", "booked_unix_ms", "quantities_json"),
    *_TEXTS,
    *_NUMBERS,
)
_INSERT_CALL = (
    f"INSERT INTO call ({', '.join(_COLUMNS)}) "  # noqa: S608 - names written above
    f"VALUES ({', '.join(':' + column for column in _COLUMNS)})"
)
_INSERT_CHARGE = """
  INSERT INTO charge (sidecar_id, epoch, seq, budget_id, partition, period_id, kind, call_id,
    amount_nano_usd, estimated, booked_unix_ms)
  VALUES (:sidecar, :epoch, :seq, :budget, :partition, :period, :kind, :call, :amount,
    :estimated, :now)"""


@dataclass(frozen=True, slots=True)
class Booked:
    """What of a booked call a correction needs."""

    rollup: RollupKey
    cost_nano_usd: int
    """What it costs so far."""
    sidecar_id: str
    epoch: int
    seq: int


def insert_calls(tx: Tx, holder: Holder, calls: Sequence[BookedCall], now_unix_ms: int) -> None:
    """Add calls, each at the next place."""
    if not calls:
        return
    first = installation.take_call_positions(tx, len(calls))
    tx.many(
        _INSERT_CALL,
        [
            {
                "position": first + place,
                "sidecar_id": holder.sidecar_id,
                "epoch": holder.epoch,
                "seq": booked.seq,
                "booked_unix_ms": now_unix_ms,
                "quantities_json": json.dumps(booked.call.quantities, separators=(",", ":")),
                **{name: getattr(booked.call, name) for name in _TEXTS},
                **{name: int(getattr(booked.call, name)) for name in _NUMBERS},
            }
            for place, booked in enumerate(calls)
        ],
    )


def insert_charges(tx: Tx, holder: Holder, charges: Sequence[Charge], now_unix_ms: int) -> None:
    """Add what calls were charged to."""
    tx.many(
        _INSERT_CHARGE,
        [
            {
                "sidecar": holder.sidecar_id,
                "epoch": holder.epoch,
                "seq": charge.seq,
                "budget": charge.key.budget_id,
                "partition": charge.key.partition,
                "period": charge.key.period_id,
                "kind": charge.kind,
                "call": charge.call_id,
                "amount": charge.amount_nano_usd,
                "estimated": int(charge.estimated),
                "now": now_unix_ms,
            }
            for charge in charges
        ],
    )


def known_among(tx: Tx, call_ids: Iterable[str]) -> list[str]:
    """Those of some calls that the ledger has."""
    sql = "SELECT 1 AS found FROM call WHERE call_id = :call"
    return [call_id for call_id in call_ids if tx.row(sql, {"call": call_id}) is not None]


def known_beside(tx: Tx, holder: Holder, call_ids: Iterable[str]) -> set[str]:
    """Those of some calls that the ledger has of a fork of the same life of a journal."""
    sql = """SELECT 1 AS found FROM call
             WHERE call_id = :call AND sidecar_id = :sidecar AND epoch = :epoch AND seq < 0"""
    return {
        call_id
        for call_id in call_ids
        if tx.row(sql, {"call": call_id, "sidecar": holder.sidecar_id, "epoch": holder.epoch})
    }


def overrun_is_known(tx: Tx, sidecar_id: str, call_id: str) -> bool:
    """Whether a sidecar's overrun of a call was booked; where no cap felt it, as an alarm alone."""
    row = tx.row(
        """SELECT 1 AS found FROM charge
           WHERE kind = 'OVERRUN' AND call_id = :call AND sidecar_id = :sidecar
           UNION SELECT 1 AS found FROM alarm
           WHERE kind = 'OVERRUN' AND sidecar_id = :sidecar AND call_id = :call""",
        {"sidecar": sidecar_id, "call": call_id},
    )
    return row is not None


def booked_call(tx: Tx, call_id: str) -> Booked | None:
    """What a call was booked as; None when the ledger does not have it."""
    row = tx.row("SELECT * FROM call WHERE call_id = :call", {"call": call_id})
    if row is None:
        return None
    key = RollupKey(
        bucket_of(row["started_unix_ms"]),
        row["project_id"],
        row["key_id"],
        row["workflow"],
        row["requested_model"],
        row["provider"],
        row["outcome"],
    )
    return Booked(key, row["cost_nano_usd"], row["sidecar_id"], row["epoch"], row["seq"])


def correct_call(tx: Tx, call_id: str, delta_nano_usd: int) -> None:
    """Add an entry to what a call costs: better evidence, or a price that was wrong."""
    changed = tx.run(
        """UPDATE call SET cost_nano_usd = cost_nano_usd + :delta
           WHERE call_id = :call AND cost_nano_usd + :delta >= 0""",
        {"call": call_id, "delta": delta_nano_usd},
    )
    assert changed == 1


def settled_periods(tx: Tx, booked: Booked) -> dict[PeriodKey, int]:
    """What a call's settlement was charged to, and how much."""
    rows = tx.rows(
        """SELECT budget_id, partition, period_id, amount_nano_usd FROM charge
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND seq = :seq AND kind = 'SETTLE'""",
        {"sidecar": booked.sidecar_id, "epoch": booked.epoch, "seq": booked.seq},
    )
    return {
        PeriodKey(row["budget_id"], row["partition"], row["period_id"]): row["amount_nano_usd"]
        for row in rows
    }


def raise_alarm(tx: Tx, alarm: Alarm, now_unix_ms: int) -> None:
    """Add an alarm. Of its sidecar and kind the newest are kept, the others are counted."""
    params: dict[str, Value] = {
        "position": installation.take_alarm_position(tx),
        "now": now_unix_ms,
        "kind": alarm.kind,
        "sidecar": alarm.holder.sidecar_id,
        "epoch": alarm.holder.epoch,
        "budget": alarm.key.budget_id,
        "partition": alarm.key.partition,
        "period": alarm.key.period_id,
        "call": alarm.call_id,
        "amount": alarm.amount_nano_usd,
        "detail": alarm.detail,
    }
    tx.run(
        """INSERT INTO alarm (position, raised_unix_ms, kind, sidecar_id, epoch, budget_id,
             partition, period_id, call_id, amount_nano_usd, detail)
           VALUES (:position, :now, :kind, :sidecar, :epoch, :budget, :partition, :period, :call,
             :amount, :detail)""",
        params,
    )
    room: dict[str, Value] = {
        "sidecar": alarm.holder.sidecar_id,
        "kind": alarm.kind,
        "most": limits.ALARMS_MAX,
    }
    dropped = tx.run(
        """DELETE FROM alarm WHERE sidecar_id = :sidecar AND kind = :kind AND position <= (
             SELECT position FROM alarm WHERE sidecar_id = :sidecar AND kind = :kind
             ORDER BY position DESC LIMIT 1 OFFSET :most)""",
        room,
    )
    if dropped:
        tx.run(
            """INSERT INTO dropped_alarms (sidecar_id, kind, dropped_count)
               VALUES (:sidecar, :kind, :dropped)
               ON CONFLICT (sidecar_id, kind) DO UPDATE SET
                 dropped_count = dropped_alarms.dropped_count + excluded.dropped_count""",
            {**room, "dropped": dropped},
        )


def raised_of_model(tx: Tx, kind: str, provider: str, model: str, since_unix_ms: int) -> bool:
    """Whether an alarm of a kind was raised lately about a call of a model."""
    row = tx.row(
        """SELECT 1 AS found FROM alarm JOIN call ON call.call_id = alarm.call_id
           WHERE alarm.kind = :kind AND alarm.raised_unix_ms > :since
             AND call.provider = :provider AND call.requested_model = :model""",
        {"kind": kind, "since": since_unix_ms, "provider": provider, "model": model},
    )
    return row is not None


def alarms_after(tx: Tx, position: int) -> tuple[Alarm, ...]:
    """The alarms that were raised after a place among them."""
    rows = tx.rows(
        "SELECT * FROM alarm WHERE position > :position ORDER BY position", {"position": position}
    )
    return tuple(
        Alarm(
            kind=row["kind"],
            holder=Holder(row["sidecar_id"], row["epoch"]),
            detail=row["detail"],
            key=PeriodKey(row["budget_id"], row["partition"], row["period_id"]),
            call_id=row["call_id"],
            amount_nano_usd=row["amount_nano_usd"],
        )
        for row in rows
    )
