"""Rate limits in the database."""

from control_plane.core.pages import Slice
from control_plane.core.rate_limits import Measure, RateLimit
from control_plane.store.engine import Row, Tx, Value


def insert(tx: Tx, limit: RateLimit) -> None:
    """Add a limit."""
    tx.run(
        """INSERT INTO rate_limit (rate_limit_id, measure, window_ms, project_id, key_id, provider,
             model, amount, updated_unix_ms)
           VALUES (:id, :measure, :window, :project, :key, :provider, :model, :amount, :updated)""",
        {
            "id": limit.rate_limit_id,
            "amount": limit.amount,
            "updated": limit.updated_unix_ms,
            **_counted(limit),
        },
    )


def set_amount(tx: Tx, limit: RateLimit) -> None:
    """Replace how much a limit allows."""
    changed = tx.run(
        "UPDATE rate_limit SET amount = :amount, updated_unix_ms = :updated "
        "WHERE rate_limit_id = :id",
        {
            "id": limit.rate_limit_id,
            "amount": limit.amount,
            "updated": limit.updated_unix_ms,
        },
    )
    assert changed == 1


def delete(tx: Tx, rate_limit_id: str) -> None:
    """Take a limit away."""
    changed = tx.run("DELETE FROM rate_limit WHERE rate_limit_id = :id", {"id": rate_limit_id})
    assert changed == 1


def get(tx: Tx, rate_limit_id: str) -> RateLimit | None:
    """One limit."""
    row = tx.row("SELECT * FROM rate_limit WHERE rate_limit_id = :id", {"id": rate_limit_id})
    return _from_row(row) if row is not None else None


def like(tx: Tx, limit: RateLimit) -> RateLimit | None:
    """The limit that counts the same of the same calls in the same window."""
    row = tx.row(
        """SELECT * FROM rate_limit WHERE measure = :measure AND window_ms = :window
             AND project_id = :project AND key_id = :key AND provider = :provider
             AND model = :model""",
        _counted(limit),
    )
    return _from_row(row) if row is not None else None


def page(tx: Tx, asked: Slice) -> list[RateLimit]:
    """Limits by id."""
    rows = tx.rows(
        """SELECT * FROM rate_limit WHERE rate_limit_id > :after
           ORDER BY rate_limit_id LIMIT :limit""",
        {"after": asked.after[0] if asked.after else "", "limit": asked.limit},
    )
    return [_from_row(row) for row in rows]


def everything(tx: Tx) -> list[RateLimit]:
    """All limits, by id."""
    return [_from_row(row) for row in tx.rows("SELECT * FROM rate_limit ORDER BY rate_limit_id")]


def _counted(limit: RateLimit) -> dict[str, Value]:
    return {
        "measure": limit.measure.value,
        "window": limit.window_ms,
        "project": limit.project_id,
        "key": limit.key_id,
        "provider": limit.provider,
        "model": limit.model,
    }


def _from_row(row: Row) -> RateLimit:
    return RateLimit(
        rate_limit_id=row["rate_limit_id"],
        measure=Measure(row["measure"]),
        window_ms=row["window_ms"],
        project_id=row["project_id"],
        key_id=row["key_id"],
        provider=row["provider"],
        model=row["model"],
        amount=row["amount"],
        updated_unix_ms=row["updated_unix_ms"],
    )
