"""A statement as CSV: amounts to the nano-dollar, and no cell that a spreadsheet would run."""

import csv
import re
from collections.abc import Iterable
from io import StringIO

from control_plane.core.statements import Latency, Statement, Totals
from control_plane.statements.figures import money_exact

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
HEAD = (
    "month",
    "client",
    "kind",
    "provider",
    "name",
    "calls",
    "failed",
    "input_tokens",
    "output_tokens",
    "refused",
    "p50_ms",
    "p95_ms",
    "amount_usd",
)
Cell = str | int


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe before one that begins so."""
    if _NUMBER.fullmatch(text):
        return text
    return f"'{text}" if text.startswith(_FORMULA_BEGINS) else text


def written(rows: Iterable[Iterable[Cell]]) -> str:
    """Rows as RFC 4180 has them; texts are made harmless, numbers are written as they are."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def render_csv(statement: Statement) -> str:
    """One row for the whole, then for each workflow and each model."""
    stopped = sum(line.refused_count for line in statement.workflows)
    rows: list[list[Cell]] = [list(HEAD)]
    rows.append(_row(statement, ("total", "", ""), statement.totals, stopped, statement.latency))
    for line in statement.workflows:
        name = f"{line.folded_count} smaller workflows" if line.folded_count else line.workflow
        of = ("workflow", "", name)
        rows.append(_row(statement, of, line.totals, line.refused_count, line.latency))
    for model in statement.models:
        name = f"{model.folded_count} more models" if model.folded_count else model.model
        of = ("model", model.provider, name)
        rows.append(_row(statement, of, model.totals, 0, model.latency))
    return written(rows)


def _row(
    statement: Statement,
    of: tuple[str, str, str],
    totals: Totals,
    refused: int,
    latency: Latency | None,
) -> list[Cell]:
    kind, provider, name = of
    return [
        statement.month.name,
        statement.client,
        kind,
        provider,
        name,
        totals.call_count,
        totals.failed_count,
        totals.input_count,
        totals.output_count,
        refused,
        latency.p50_ms if latency else "",
        latency.p95_ms if latency else "",
        money_exact(statement.amount(totals)),
    ]
