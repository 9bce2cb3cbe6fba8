"""When models are retired, as operators were told."""

from dataclasses import dataclass

from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Retirement:
    """A model that a provider will not serve any more."""

    provider: str
    model: str
    retires_unix_ms: int
    """From when on calls with it fail."""
    replacement: str
    """The model that is to take its place; empty for none."""
    source: str
    """Where that stands, such as an address; may be empty."""


def put(tx: Tx, retirement: Retirement, now_unix_ms: int) -> None:
    """Set when a model is retired."""
    tx.run(
        """INSERT INTO retirement (provider, model, retires_unix_ms, replacement, source,
             created_unix_ms)
           VALUES (:provider, :model, :retires, :replacement, :source, :now)
           ON CONFLICT (provider, model) DO UPDATE SET retires_unix_ms = excluded.retires_unix_ms,
             replacement = excluded.replacement, source = excluded.source""",
        {
            "provider": retirement.provider,
            "model": retirement.model,
            "retires": retirement.retires_unix_ms,
            "replacement": retirement.replacement,
            "source": retirement.source,
            "now": now_unix_ms,
        },
    )


def delete(tx: Tx, provider: str, model: str) -> bool:
    """Forget that a model is retired; False when nobody said so."""
    return bool(
        tx.run(
            "DELETE FROM retirement WHERE provider = :provider AND model = :model",
            {"provider": provider, "model": model},
        )
    )


def everything(tx: Tx) -> list[Retirement]:
    """All of them, the next one first."""
    rows = tx.rows("SELECT * FROM retirement ORDER BY retires_unix_ms, provider, model")
    return [
        Retirement(
            row["provider"],
            row["model"],
            row["retires_unix_ms"],
            row["replacement"],
            row["source"],
        )
        for row in rows
    ]
