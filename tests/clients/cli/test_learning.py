"""What is said of a database that may be old: what is so, what it means in money, what to do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients.admin import Learning
from clients.cli.app import cli
from clients.cli.learning import explained

NOW = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
LATER, BEFORE = NOW + timedelta(seconds=40), NOW - timedelta(seconds=1)
WELL = {
    "in_progress": False,
    "missing_sidecars": (),
    "unknown_nano_usd": 0,
    "watermark_trouble": "",
    "grants_time": None,
}
LEARNS = {"in_progress": True, "missing_sidecars": ("host-2",)}

CASES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "all is well": ({}, [], []),
    "it asks, and grants stop": (
        {**LEARNS, "grants_time": LATER},
        ["Not heard yet: host-2", "No new money goes out until"],
        ["start the sidecars", "bursar learning finish --without NAME --reason WHY"],
    ),
    "it asks, and grants go on": (
        {**LEARNS, "grants_time": BEFORE, "unknown_nano_usd": 50_000_000},
        ["New money goes out all the same", "$0.05 are set aside", "count as spent"],
        ["start the sidecars", "bursar learning finish --without NAME --reason WHY"],
    ),
    "it asks, and no watermark knows": (
        LEARNS,
        ["No new money goes out until it ends"],
        ["start the sidecars", "bursar learning finish"],
    ),
    "all have spoken": (
        {"in_progress": True, "grants_time": LATER},
        ["ends with the next Sync"],
        [],
    ),
    "it is over, and something is missing": (
        {"unknown_nano_usd": 50_000_000},
        ["$0.05 are set aside"],
        ["bursar lease release unknown --reason WHY"],
    ),
    "the watermark is gone": (
        {"watermark_trouble": "w is gone"},
        ["w is gone"],
        ["bursar learning begin-watermark --reason WHY"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_state_says_what_is_so_and_what_to_do(name: str) -> None:
    changes, so, todo = CASES[name]
    told = explained(Learning(**{**WELL, **changes}), NOW)
    for words, lines in zip((so, todo), told, strict=True):
        text = " ".join(lines)
        assert all(each in text for each in words), text
        assert bool(words) == bool(lines)


def test_restoring_looks_at_the_file_before_it_asks(tmp_path: Path) -> None:
    torn = tmp_path / "torn.db"
    torn.write_bytes(b"no database" * 100)
    for file, told in ((tmp_path / "none.db", "is no file"), (torn, "torn.db")):
        words = ["restore", str(file), "--data", str(tmp_path)]
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 5, done.stderr
        assert "nothing was restored" in done.stderr
        assert told in done.stderr
        assert "Restore" not in done.stderr, "nobody was asked"
    assert [each.name for each in tmp_path.iterdir()] == ["torn.db"]
