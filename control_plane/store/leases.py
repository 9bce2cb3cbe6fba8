"""Leases: per life of a sidecar's journal and budget period, three numbers that only grow."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from control_plane.core.leases import Holder, Lease, LeaseKey, PeriodKey
from control_plane.core.log import OrphanFilter
from control_plane.store import periods
from control_plane.store.engine import Row, Tx, Value

_HELD_BACK = """(granted_nano_usd - returned_nano_usd - lease.spent_nano_usd - lump_nano_usd
  - released_nano_usd)"""
_VALUES = ("sidecar_id", "epoch", *(each.name for each in fields(Lease)[2:]))
"""What a lease is made of beside its key: columns are named as its fields, and read in their order,
so that no number can come to stand in another's place."""
_COLUMNS = ", ".join(_VALUES)
_KEY = """sidecar_id = :sidecar AND epoch = :epoch AND budget_id = :budget
  AND partition = :partition AND period_id = :period"""

_UPDATE = f"""UPDATE lease SET granted_nano_usd = :granted, returned_nano_usd = :returned,
    spent_nano_usd = :spent, serial = :serial, frozen_cap_version = :frozen, state = :state,
    lump_nano_usd = :lump, released_nano_usd = :released, orphaned_unix_ms = :orphaned,
    orphan_cause = :cause
  WHERE {_KEY}"""  # noqa: S608 - a constant
_INSERT = """INSERT INTO lease (sidecar_id, epoch, budget_id, partition, period_id,
    granted_nano_usd, returned_nano_usd, spent_nano_usd, serial, frozen_cap_version, state,
    lump_nano_usd, released_nano_usd, orphaned_unix_ms, orphan_cause)
  VALUES (:sidecar, :epoch, :budget, :partition, :period, :granted, :returned, :spent,
    :serial, :frozen, :state, :lump, :released, :orphaned, :cause)"""


def get(tx: Tx, holder: Holder, key: LeaseKey) -> Lease | None:
    """One lease."""
    row = tx.row(f"SELECT * FROM lease WHERE {_KEY}", _params(holder, key))  # noqa: S608 - a constant
    return _from_row(row) if row is not None else None


def active_until(tx: Tx, holder: Holder) -> list[Lease]:
    """The active leases of a life of a sidecar's journal and of all lives before it."""
    rows = tx.rows(
        """SELECT * FROM lease
           WHERE sidecar_id = :sidecar AND epoch <= :epoch AND state = 'ACTIVE'
           ORDER BY epoch, budget_id, partition, period_id""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch},
    )
    return [_from_row(row) for row in rows]


def orphans_of_ended(tx: Tx, limit: int) -> list[Lease]:
    """Orphans of periods that take no grants any more, about whose money nobody decided."""
    rows = tx.rows(
        f"""SELECT lease.* FROM lease JOIN period p
             ON p.budget_id = lease.budget_id AND p.partition = lease.partition
               AND p.period_id = lease.period_id
           WHERE lease.state = 'ORPHANED' AND p.state <> 'OPEN' AND {_HELD_BACK} > 0
           ORDER BY sidecar_id, epoch, lease.budget_id, lease.partition, lease.period_id
           LIMIT :limit""",  # noqa: S608 - a constant
        {"limit": limit},
    )
    return [_from_row(row) for row in rows]


def active_of_period(tx: Tx, key: PeriodKey) -> dict[str, Lease]:
    """The active leases of a period that hold or move money, by sidecar."""
    rows = tx.rows(
        f"""SELECT {_COLUMNS} FROM lease
           WHERE budget_id = :budget AND partition = :partition AND period_id = :period
             AND state = 'ACTIVE'""",  # noqa: S608 - a constant
        periods.params(key),
    )
    # All are of one period, and there may be hundreds at every Sync: its key is made once.
    found = [_of_period(row, key) for row in rows]
    return {lease.holder.sidecar_id: lease for lease in found}


def beside(tx: Tx, holder: Holder, most: int) -> dict[PeriodKey, dict[str, Lease]]:
    """The same of the periods of at most so many active leases of a holder, its own among them."""
    rows = tx.rows(
        f"""SELECT o.budget_id, o.partition, o.period_id, {_COLUMNS}
           FROM (SELECT budget_id, partition, period_id FROM lease
             WHERE sidecar_id = :sidecar AND epoch = :epoch AND state = 'ACTIVE'
             ORDER BY budget_id, partition, period_id LIMIT :most) l
           JOIN lease o ON o.budget_id = l.budget_id AND o.partition = l.partition
             AND o.period_id = l.period_id
           WHERE o.state = 'ACTIVE'""",  # noqa: S608 - a constant
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch, "most": most},
    )
    found: dict[PeriodKey, dict[str, Lease]] = {}
    for budget_id, partition, period_id, *values in rows:
        key = PeriodKey(budget_id, partition, period_id)
        lease = _of_period(values, key)
        found.setdefault(key, {})[lease.holder.sidecar_id] = lease
    return found


def put(tx: Tx, lease: Lease) -> None:
    """Write a lease whole. Most are there already, and for those an UPDATE costs least."""
    values = _params(
        lease.holder,
        lease.key,
        granted=lease.granted_nano_usd,
        returned=lease.returned_nano_usd,
        spent=lease.spent_nano_usd,
        serial=lease.serial,
        frozen=lease.frozen_cap_version,
        state=lease.state,
        lump=lease.lump_nano_usd,
        released=lease.released_nano_usd,
        orphaned=lease.orphaned_unix_ms,
        cause=lease.orphan_cause,
    )
    if not tx.run(_UPDATE, values):
        tx.run(_INSERT, values)


def close_settled(tx: Tx) -> int:
    """Close leases of closed periods: nothing of them can move any more."""
    return tx.run(
        """UPDATE lease SET state = 'CLOSED'
           WHERE state <> 'CLOSED'
             AND granted_nano_usd = returned_nano_usd + spent_nano_usd
             AND EXISTS (SELECT 1 FROM period p
               WHERE p.budget_id = lease.budget_id AND p.partition = lease.partition
                 AND p.period_id = lease.period_id AND p.state = 'CLOSED')"""
    )


def outstanding_of(tx: Tx, holder: Holder) -> set[LeaseKey]:
    """The leases of a holder that hold money."""
    rows = tx.rows(
        """SELECT budget_id, partition, period_id FROM lease
           WHERE sidecar_id = :sidecar AND epoch = :epoch AND state = 'ACTIVE'
             AND granted_nano_usd - returned_nano_usd - spent_nano_usd > 0""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch},
    )
    return {PeriodKey(row["budget_id"], row["partition"], row["period_id"]) for row in rows}


def levels_of(tx: Tx, holder: Holder, most: int) -> dict[LeaseKey, tuple[int, int, int]]:
    """Of at most so many active leases of a holder: granted, returned, their period's serial."""
    rows = tx.rows(
        """SELECT l.budget_id, l.partition, l.period_id, l.granted_nano_usd, l.returned_nano_usd,
             p.grant_serial
           FROM lease l JOIN period p ON p.budget_id = l.budget_id
             AND p.partition = l.partition AND p.period_id = l.period_id
           WHERE l.sidecar_id = :sidecar AND l.epoch = :epoch AND l.state = 'ACTIVE'
           ORDER BY l.budget_id, l.partition, l.period_id
           LIMIT :most""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch, "most": most},
    )
    return {
        PeriodKey(row["budget_id"], row["partition"], row["period_id"]): (
            row["granted_nano_usd"],
            row["returned_nano_usd"],
            row["grant_serial"],
        )
        for row in rows
    }


def outstanding_nano_usd(tx: Tx, holder: Holder) -> int:
    """What a holder may still spend, summed over its leases."""
    row = tx.row(
        """SELECT CAST(COALESCE(SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd), 0)
             AS BIGINT) AS total
           FROM lease WHERE sidecar_id = :sidecar AND epoch = :epoch""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch},
    )
    assert row is not None
    return int(row["total"])


def of_holder(tx: Tx, holder: Holder) -> list[Lease]:
    """The leases of a holder that hold money, by key."""
    rows = tx.rows(
        """SELECT * FROM lease
           WHERE sidecar_id = :sidecar AND epoch = :epoch
             AND granted_nano_usd - returned_nano_usd - spent_nano_usd > 0
           ORDER BY budget_id, partition, period_id""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch},
    )
    return [_from_row(row) for row in rows]


def held_or_spent_nano_usd(tx: Tx, key: PeriodKey, *, without_sidecar_id: str) -> int:
    """What all leases of a period but one sidecar's hold or have spent; not what was released."""
    row = tx.row(
        """SELECT CAST(COALESCE(SUM(granted_nano_usd - returned_nano_usd - released_nano_usd), 0)
             AS BIGINT) AS total
           FROM lease
           WHERE budget_id = :budget AND partition = :partition AND period_id = :period
             AND sidecar_id <> :without""",
        periods.params(key, without=without_sidecar_id),
    )
    assert row is not None
    return int(row["total"])


def page(
    tx: Tx, *, after: tuple[str, int, LeaseKey] | None, limit: int, budget_id: str, sidecar_id: str
) -> list[Lease]:
    """Leases that still hold money, in the order of their keys, from after one of them."""
    last = after or ("", -1, PeriodKey("", "", ""))
    rows = tx.rows(
        """SELECT * FROM lease
           WHERE granted_nano_usd - returned_nano_usd - spent_nano_usd - lump_nano_usd
               - released_nano_usd > 0
             AND (:only_budget = '' OR budget_id = :only_budget)
             AND (:only_sidecar = '' OR sidecar_id = :only_sidecar)
             AND (sidecar_id, epoch, budget_id, partition, period_id)
               > (:sidecar, :epoch, :budget, :partition, :period)
           ORDER BY sidecar_id, epoch, budget_id, partition, period_id
           LIMIT :limit""",
        _params(
            Holder(last[0], last[1]),
            last[2],
            only_budget=budget_id,
            only_sidecar=sidecar_id,
            limit=limit,
        ),
    )
    return [_from_row(row) for row in rows]


def undecided(tx: Tx, wanted: OrphanFilter, limit: int) -> tuple[list[Lease], int, int]:
    """The first orphans about which somebody may decide; how many there are, and how much it is.

    With `show_decided`, those too that were charged as lumps: they may be released after all.
    """
    open_nano_usd = f"({_HELD_BACK} + :charged * lump_nano_usd)"
    chosen = f"""FROM lease WHERE state = 'ORPHANED' AND sidecar_id = :sidecar
        AND {open_nano_usd} > 0 AND (:budget = '' OR budget_id = :budget)
        AND (:period = '' OR period_id = :period)"""
    params: dict[str, Value] = {
        "sidecar": wanted.sidecar_id,
        "budget": wanted.budget_id,
        "period": wanted.period_id,
        "charged": int(wanted.show_decided),
        "limit": limit,
    }
    total = tx.row(
        f"""SELECT COUNT(*) AS n, CAST(COALESCE(SUM({open_nano_usd}), 0) AS BIGINT) AS amount
            {chosen}""",
        params,
    )
    assert total is not None
    rows = tx.rows(
        f"SELECT * {chosen} ORDER BY epoch, budget_id, partition, period_id LIMIT :limit",
        params,
    )
    return [_from_row(row) for row in rows], int(total["n"]), int(total["amount"])


def orphans_page(
    tx: Tx, wanted: OrphanFilter, after: tuple[str, int, LeaseKey] | None, limit: int
) -> list[Lease]:
    """Orphans in the order of their keys, from after one of them."""
    last = after or ("", -1, PeriodKey("", "", ""))
    rows = tx.rows(
        f"""SELECT * FROM lease
           WHERE state = 'ORPHANED'
             AND ({_HELD_BACK} > 0
               OR (:decided = 1 AND lump_nano_usd + released_nano_usd > 0))
             AND (:only_budget = '' OR budget_id = :only_budget)
             AND (:only_period = '' OR period_id = :only_period)
             AND (:only_sidecar = '' OR sidecar_id = :only_sidecar)
             AND (sidecar_id, epoch, budget_id, partition, period_id)
               > (:sidecar, :epoch, :budget, :partition, :period)
           ORDER BY sidecar_id, epoch, budget_id, partition, period_id
           LIMIT :limit""",  # noqa: S608 - a constant
        _params(
            Holder(last[0], last[1]),
            last[2],
            decided=int(wanted.show_decided),
            only_budget=wanted.budget_id,
            only_period=wanted.period_id,
            only_sidecar=wanted.sidecar_id,
            limit=limit,
        ),
    )
    return [_from_row(row) for row in rows]


def _params(holder: Holder, key: LeaseKey, **more: Value) -> dict[str, Value]:
    return periods.params(key, sidecar=holder.sidecar_id, epoch=holder.epoch, **more)


def _from_row(row: Row) -> Lease:
    key = PeriodKey(row["budget_id"], row["partition"], row["period_id"])
    return _of_period((row[name] for name in _VALUES), key)


def _of_period(values: Iterable[Any], key: PeriodKey) -> Lease:
    sidecar_id, epoch, *numbers = values
    return Lease(Holder(sidecar_id, epoch), key, *numbers)
