"""Budgets and the decisions about their caps in the database."""

from collections.abc import Iterable

from control_plane.core.budgets import Budget, CapChange
from control_plane.core.leases import Holder
from control_plane.core.pages import Slice
from control_plane.store.engine import Params, Row, Tx
from protos.values.selectors import Selector

CAP_VERSION_MAX = 2**62
"""Above the number of any decision."""


def insert(tx: Tx, budget: Budget) -> None:
    """Add a budget."""
    selector = budget.selector
    tx.run(
        """INSERT INTO budget (budget_id, display_name, project_id, key_id, workflow, model,
             region, split_by, window_kind, time_zone, anchor_day, cap_nano_usd, cap_version,
             max_offline_ms, offline_until_unix_ms, created_unix_ms, archived_unix_ms, version)
           VALUES (:budget_id, :display_name, :project_id, :key_id, :workflow, :model, :region,
             :split_by, :window_kind, :time_zone, :anchor_day, :cap, :cap_version, :max_offline,
             :offline_until, :created, :archived, :version)""",
        {
            "budget_id": budget.budget_id,
            "display_name": budget.display_name,
            "project_id": selector.project_id,
            "key_id": selector.key_id,
            "workflow": selector.workflow,
            "model": selector.model,
            "region": selector.region,
            "split_by": budget.split_by,
            "window_kind": budget.window,
            "time_zone": budget.time_zone,
            "anchor_day": budget.anchor_day,
            "cap": budget.cap_nano_usd,
            "cap_version": budget.cap_version,
            "max_offline": budget.max_offline_ms,
            "offline_until": budget.offline_until_unix_ms,
            "created": budget.created_unix_ms,
            "archived": budget.archived_unix_ms,
            "version": budget.version,
        },
    )


def update(tx: Tx, budget: Budget) -> None:
    """Replace what may change."""
    changed = tx.run(
        """UPDATE budget SET display_name = :display_name, cap_nano_usd = :cap,
             cap_version = :cap_version, max_offline_ms = :max_offline,
             offline_until_unix_ms = :offline_until, archived_unix_ms = :archived,
             version = :version
           WHERE budget_id = :budget_id AND version = :version - 1""",
        {
            "budget_id": budget.budget_id,
            "display_name": budget.display_name,
            "cap": budget.cap_nano_usd,
            "cap_version": budget.cap_version,
            "max_offline": budget.max_offline_ms,
            "offline_until": budget.offline_until_unix_ms,
            "archived": budget.archived_unix_ms,
            "version": budget.version,
        },
    )
    assert changed == 1


def get(tx: Tx, budget_id: str) -> Budget | None:
    """One budget."""
    row = tx.row("SELECT * FROM budget WHERE budget_id = :id", {"id": budget_id})
    return _from_row(row) if row is not None else None


def of_holder(tx: Tx, holder: Holder) -> dict[str, Budget]:
    """The budgets of a holder's active leases, by id."""
    rows = tx.rows(
        """SELECT * FROM budget WHERE budget_id IN (SELECT budget_id FROM lease
             WHERE sidecar_id = :sidecar AND epoch = :epoch AND state = 'ACTIVE')""",
        {"sidecar": holder.sidecar_id, "epoch": holder.epoch},
    )
    return {budget.budget_id: budget for budget in map(_from_row, rows)}


def page(tx: Tx, asked: Slice, *, project_id: str, show_archived: bool) -> list[Budget]:
    """Budgets in the order in which they were made."""
    rows = tx.rows(
        """SELECT * FROM budget
           WHERE (:project = '' OR project_id = :project)
             AND (archived_unix_ms IS NULL OR :archived = 1)
             AND budget_id > :after
           ORDER BY budget_id LIMIT :limit""",
        {
            "project": project_id,
            "archived": int(show_archived),
            "after": asked.after[0] if asked.after else "",
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def active(tx: Tx) -> list[Budget]:
    """All budgets that are not archived."""
    rows = tx.rows("SELECT * FROM budget WHERE archived_unix_ms IS NULL ORDER BY budget_id")
    return [_from_row(row) for row in rows]


def not_archived_before(tx: Tx, instant_unix_ms: int) -> list[Budget]:
    """The budgets that are not archived, or were not at an instant."""
    rows = tx.rows(
        """SELECT * FROM budget WHERE archived_unix_ms IS NULL OR archived_unix_ms >= :instant
           ORDER BY budget_id""",
        {"instant": instant_unix_ms},
    )
    return [_from_row(row) for row in rows]


def active_of(tx: Tx, project_ids: Iterable[str]) -> list[Budget]:
    """The budgets of some scopes that are not archived; "" is the agency."""
    found: list[Budget] = []
    for project_id in project_ids:
        rows = tx.rows(
            """SELECT * FROM budget WHERE project_id = :id AND archived_unix_ms IS NULL
               ORDER BY budget_id""",
            {"id": project_id},
        )
        found.extend(_from_row(row) for row in rows)
    return found


def insert_change(tx: Tx, change: CapChange) -> None:
    """Add a decision about a cap."""
    tx.run(
        """INSERT INTO cap_change (budget_id, cap_version, period_id, old_cap_nano_usd,
             new_cap_nano_usd, actor, reason, changed_unix_ms, policy_version)
           VALUES (:budget_id, :cap_version, :period_id, :old, :new, :actor, :reason, :changed,
             :policy_version)""",
        {
            "budget_id": change.budget_id,
            "cap_version": change.cap_version,
            "period_id": change.period_id,
            "old": change.old_cap_nano_usd,
            "new": change.new_cap_nano_usd,
            "actor": change.actor,
            "reason": change.reason,
            "changed": change.changed_unix_ms,
            "policy_version": change.policy_version,
        },
    )


def changes_page(tx: Tx, asked: Slice, *, budget_id: str) -> list[CapChange]:
    """Decisions about a cap, newest first."""
    rows = tx.rows(
        """SELECT * FROM cap_change
           WHERE budget_id = :budget AND (:first = 1 OR cap_version < :after)
           ORDER BY cap_version DESC LIMIT :limit""",
        {
            "budget": budget_id,
            "first": int(asked.after is None),
            "after": asked.after[0] if asked.after else 0,
            "limit": asked.limit,
        },
    )
    return [_change_from_row(row) for row in rows]


def change(tx: Tx, budget_id: str, cap_version: int) -> CapChange | None:
    """One decision."""
    row = tx.row(
        "SELECT * FROM cap_change WHERE budget_id = :budget AND cap_version = :version",
        {"budget": budget_id, "version": cap_version},
    )
    return _change_from_row(row) if row is not None else None


def newest_changes(tx: Tx) -> list[CapChange]:
    """The newest decision of each budget that is not archived."""
    rows = tx.rows(
        """SELECT c.* FROM budget b JOIN cap_change c
             ON c.budget_id = b.budget_id AND c.cap_version = b.cap_version
           WHERE b.archived_unix_ms IS NULL"""
    )
    return [_change_from_row(row) for row in rows]


def cap_in_force(
    tx: Tx, budget_id: str, period_id: str, *, before_version: int = CAP_VERSION_MAX
) -> int | None:
    """The cap of a period: of the decisions for good or for this period alone the newest.

    Or the newest of those before a decision, when its number is given.
    """
    row = tx.row(
        """SELECT new_cap_nano_usd FROM cap_change
           WHERE budget_id = :budget AND period_id IN ('', :period) AND cap_version < :before
           ORDER BY cap_version DESC LIMIT 1""",
        {"budget": budget_id, "period": period_id, "before": before_version},
    )
    assert row is not None, "a budget begins with a decision"
    cap: int | None = row["new_cap_nano_usd"]
    return cap


def put_in_force(
    tx: Tx, budget_id: str, period_id: str, cap_nano_usd: int | None, cap_version: int
) -> None:
    """Put a cap in force in the open periods that it concerns; an empty period id means all.

    Every open period learns the number of the decision, also one whose cap stays: a sidecar
    forgets answers that were made under an older number than the policy's.
    """
    params: Params = {
        "budget": budget_id,
        "period": period_id,
        "cap": cap_nano_usd,
        "version": cap_version,
    }
    tx.run(
        """UPDATE period SET cap_nano_usd = :cap
           WHERE budget_id = :budget AND state = 'OPEN'
             AND (:period = '' OR period_id = :period)""",
        params,
    )
    tx.run(
        """UPDATE period SET cap_version = :version
           WHERE budget_id = :budget AND state = 'OPEN'""",
        params,
    )


def close_periods(tx: Tx, budget_id: str) -> None:
    """No more grants in any period of a budget; what is out there can still be spent."""
    tx.run(
        "UPDATE period SET state = 'CLOSING' WHERE budget_id = :budget AND state = 'OPEN'",
        {"budget": budget_id},
    )


def _from_row(row: Row) -> Budget:
    return Budget(
        budget_id=row["budget_id"],
        display_name=row["display_name"],
        selector=Selector(
            row["project_id"], row["key_id"], row["workflow"], row["model"], row["region"]
        ),
        split_by=row["split_by"],
        window=row["window_kind"],
        time_zone=row["time_zone"],
        anchor_day=row["anchor_day"],
        cap_nano_usd=row["cap_nano_usd"],
        cap_version=row["cap_version"],
        max_offline_ms=row["max_offline_ms"],
        offline_until_unix_ms=row["offline_until_unix_ms"],
        created_unix_ms=row["created_unix_ms"],
        archived_unix_ms=row["archived_unix_ms"],
        version=row["version"],
    )


def _change_from_row(row: Row) -> CapChange:
    return CapChange(
        budget_id=row["budget_id"],
        cap_version=row["cap_version"],
        period_id=row["period_id"],
        old_cap_nano_usd=row["old_cap_nano_usd"],
        new_cap_nano_usd=row["new_cap_nano_usd"],
        actor=row["actor"],
        reason=row["reason"],
        changed_unix_ms=row["changed_unix_ms"],
        policy_version=row["policy_version"],
    )
