"""The demo's past could have been: booked whole, within every cap, and nothing left held."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.demo.clients import CLIENTS
from control_plane.demo.fill import Demo, DemoClock, Filled
from control_plane.demo.months import DAY_MS
from control_plane.entropy import Entropy
from control_plane.store.engine import Row
from control_plane.store.sqlite import InlineStore, open_inline

MONDAY = int(datetime(2026, 10, 26, tzinfo=UTC).timestamp() * 1000)
DAYS = 4
ACME = replace(CLIENTS[0], cap_usd=5)
"""It loops in the last two days, and its cap is soon used up."""
SOME = (ACME, *CLIENTS[2:4])


def lived(folder: Path, seed: int = 7) -> tuple[InlineStore, Filled]:
    clock = DemoClock(MONDAY)
    store = open_inline(folder, clock)
    demo = Demo(store, clock, Entropy(), seed, lambda _: None, SOME)
    demo.settle_in()
    hours = list(demo.live_until(MONDAY + DAYS * DAY_MS))
    assert hours == sorted(hours)
    demo.leave()
    return store, demo.filled


def rows(store: InlineStore, sql: str) -> Sequence[Row]:
    return store.read(lambda tx: tx.rows(sql, {})).result()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InlineStore, Filled]]:
    store, filled = lived(tmp_path_factory.mktemp("past"))
    yield store, filled
    store.close()


Past = tuple[InlineStore, Filled]


def test_what_was_lived_stands_in_the_books_and_within_the_caps(past: Past) -> None:
    store, filled = past
    [calls] = rows(store, "SELECT count(*) AS n, sum(cost_nano_usd) AS cost FROM call")
    assert (calls["n"], calls["cost"]) == (filled.calls, filled.spent_nano_usd)
    assert filled.calls > 500
    [summed] = rows(store, "SELECT sum(call_count) AS n, sum(cost_nano_usd) AS cost FROM rollup")
    assert (summed["n"], summed["cost"]) == (filled.calls, filled.spent_nano_usd)
    for period in rows(store, "SELECT * FROM period"):
        assert period["spent_nano_usd"] == period["allocated_nano_usd"], "something is still held"
        assert period["spent_nano_usd"] <= period["cap_nano_usd"]
        assert period["overrun_nano_usd"] == 0
    assert {row["state"] for row in rows(store, "SELECT * FROM sidecar")} == {"DRAINED"}
    assert not rows(store, "SELECT * FROM alarm")


def test_the_runaway_is_stopped_by_its_cap_and_nobody_else_is(past: Past) -> None:
    store, filled = past
    refused = rows(
        store,
        """SELECT p.display_name AS name, sum(r.refused_count) AS n FROM refusal r
           JOIN project p ON p.project_id = r.project_id GROUP BY p.display_name""",
    )
    assert [(row["name"], row["n"]) for row in refused] == [(ACME.name, filled.refused)]
    assert filled.refused > 100
    cap = ACME.cap_usd * 10**9
    spent = [
        row["spent_nano_usd"]
        for row in rows(store, "SELECT * FROM period")
        if row["cap_nano_usd"] == cap
    ]
    assert max(spent) > cap * 95 // 100


def test_the_same_dice_make_the_same_past_and_others_another(tmp_path: Path, past: Past) -> None:
    again, same = lived(tmp_path / "again")
    another, other = lived(tmp_path / "another", seed=8)
    assert same == past[1] != other
    again.close()
    another.close()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--months", "13"], 2, "--months takes 1 to 12"),
        (["--months", "0"], 2, "--months takes 1 to 12"),
        ([], 1, "is not empty"),
    ],
)
def test_what_cannot_be_made_is_said(
    tmp_path: Path, words: list[str], status: int, told: str
) -> None:
    (tmp_path / "something").touch()
    command = [sys.executable, "-m", "control_plane.demo", "--data", str(tmp_path), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, told in ended.stderr) == (status, True), ended.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["something"]


def test_the_command_says_in_json_what_it_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    command = [sys.executable, "-m", "clients.cli", "demo", "--data", str(tmp_path), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "is not empty" in json.loads(ended.stderr)["error"]["message"]
