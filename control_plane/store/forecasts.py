"""What each budget's running period is expected to come to, as it was forecast last."""

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.core.forecast import Forecast, Trouble
from control_plane.store.engine import Row, Tx


@dataclass(frozen=True, slots=True)
class SeenForecast:
    """A forecast, and when it was made."""

    budget_id: str
    period_id: str
    """The period that it is for; a later one has none yet."""
    forecast: Forecast
    runs_out_unix_ms: int | None
    """The hour in which the cap is reached as forecast; None when it is not, or is not known."""
    made_unix_ms: int


def put(tx: Tx, seen: SeenForecast) -> None:
    """Replace a budget's forecast."""
    what = seen.forecast
    tx.run(
        """INSERT INTO forecast (budget_id, period_id, made_unix_ms, expected_nano_usd,
             low_nano_usd, high_nano_usd, trouble, error_ppm, days_known, runs_out_unix_ms)
           VALUES (:budget, :period, :made, :expected, :low, :high, :trouble, :error, :days,
             :runs_out)
           ON CONFLICT (budget_id) DO UPDATE SET period_id = excluded.period_id,
             made_unix_ms = excluded.made_unix_ms, expected_nano_usd = excluded.expected_nano_usd,
             low_nano_usd = excluded.low_nano_usd, high_nano_usd = excluded.high_nano_usd,
             trouble = excluded.trouble, error_ppm = excluded.error_ppm,
             days_known = excluded.days_known, runs_out_unix_ms = excluded.runs_out_unix_ms""",
        {
            "budget": seen.budget_id,
            "period": seen.period_id,
            "made": seen.made_unix_ms,
            "expected": what.expected_nano_usd,
            "low": what.low_nano_usd,
            "high": what.high_nano_usd,
            "trouble": what.trouble.value,
            "error": what.error_ppm,
            "days": what.days_known,
            "runs_out": seen.runs_out_unix_ms,
        },
    )


def latest(tx: Tx) -> dict[str, SeenForecast]:
    """The forecast of each budget that has one, the agency's own too."""
    rows = tx.rows("SELECT * FROM forecast ORDER BY budget_id")
    return {row["budget_id"]: _from_row(row) for row in rows}


def of(tx: Tx, budget_ids: Sequence[str]) -> dict[str, SeenForecast]:
    """The forecasts of some budgets."""
    named = {f"b{number}": budget_id for number, budget_id in enumerate(budget_ids)}
    places = ", ".join(f":{name}" for name in named)
    rows = tx.rows(
        f"SELECT * FROM forecast WHERE budget_id IN ({places})",  # noqa: S608 - names of parameters
        named,
    )
    return {row["budget_id"]: _from_row(row) for row in rows}


def _from_row(row: Row) -> SeenForecast:
    return SeenForecast(
        row["budget_id"],
        row["period_id"],
        Forecast(
            row["expected_nano_usd"],
            row["low_nano_usd"],
            row["high_nano_usd"],
            Trouble(row["trouble"]),
            row["error_ppm"],
            row["days_known"],
        ),
        row["runs_out_unix_ms"],
        row["made_unix_ms"],
    )
