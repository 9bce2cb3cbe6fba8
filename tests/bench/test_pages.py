"""The agency that pages are timed over is what booking its calls would have left."""

import json
from collections import Counter
from pathlib import Path

from control_plane.core.calls import Call, Void
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.ledger import fold
from control_plane.store import rollups, spans
from control_plane.store.engine import Tx
from control_plane.web.application import ROUTES
from control_plane.web.routes import Page
from tests.bench import agency, pages
from tests.control_plane.usecases.test_calls import call

TABLES = ("rollup", "rollup_day", "rollup_day_total", "latency_day", "task_span", "task_latency")
_COLUMNS = (
    *("call_id", "project_id", "key_id", "workflow", "requested_model", "outcome", "provider"),
    *("started_unix_ms", "ended_unix_ms", "cost_nano_usd", "worst_nano_usd"),
)


def calls_of(tx: Tx) -> list[Call]:
    return [
        call(
            number,
            quantities=json.loads(row["quantities_json"]),
            **{name: row[name] for name in _COLUMNS},
        )
        for number, row in enumerate(tx.rows("SELECT * FROM call ORDER BY position"))
    ]


def sums_of(tx: Tx) -> dict[str, Counter[tuple[object, ...]]]:
    found = {}
    for table in (*TABLES, *spans.TABLES):
        rows = tx.rows(f"SELECT * FROM {table}")  # noqa: S608 - our tables
        found[table] = Counter(tuple(map(row.__getitem__, row.keys())) for row in rows)
    return found


def test_sums_that_were_made_at_once_are_those_of_its_calls(tmp_path: Path) -> None:
    desk, is_new = agency.opened(tmp_path, 6, 1_300)
    assert is_new
    booked = desk.read(calls_of)
    assert len(booked) == 1_300
    made = desk.read(sums_of)
    assert all(made.values())

    def again(tx: Tx) -> None:
        for table in (*TABLES, *spans.TABLES):
            tx.run(f"DELETE FROM {table}")  # noqa: S608 - our tables
        records = [Void(number, each) for number, each in enumerate(booked, 1)]
        rollups.add(tx, fold(records, _nowhere).rollups)

    desk.do_alone(again)
    assert desk.read(sums_of) == made
    desk.store.close()
    desk, is_new = agency.opened(tmp_path, 6, 1_300)
    assert not is_new
    asked = dict(pages.asked_paths(pages.known_values(desk)))
    assert {route.path for route in ROUTES if isinstance(route, Page)} <= set(asked)
    desk.store.close()
    lines = list(pages.report(tmp_path, 6, 1_300))
    assert sum(line.startswith("| `/") for line in lines) == len(asked) + 2


def _nowhere(_budget: BudgetRef, _at: int) -> PeriodKey:
    raise AssertionError
