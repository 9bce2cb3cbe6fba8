"""A few rounds with a fixed seed, and the deck that all rounds come from."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.chaos.deck import DECK, KINDS, calls_of, plan_of
from tests.chaos.havoc import Havoc

ROOT = Path(__file__).resolve().parents[2]
SEED = 6
"""Failing syncs under a sidecar, then a control plane and a sidecar killed at once."""
RUN_S = 400


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "tests.chaos", "--folder", str(folder), *options]


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that have to do with a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_a_seed_always_means_the_same_round() -> None:
    assert [plan_of(seed) for seed in range(50)] == [plan_of(seed) for seed in range(50)]
    once, again = (list(islice(calls_of(3, 1), 20)) for _ in range(2))
    assert once == again
    assert len({asked.tag for asked, _, _ in once}) == 20


def test_every_kind_of_fault_comes_in_turn_and_can_happen() -> None:
    first = Counter(
        kind
        for seed in range(200)
        for kind in KINDS
        if any(fault.kind == kind for fault in plan_of(seed).faults)
    )
    assert set(first) == set(KINDS)
    assert min(first.values()) >= 200 // len(DECK)
    assert all(hasattr(Havoc, f"_{kind}") for kind in KINDS)


@pytest.mark.slow
def test_two_rounds_end_as_they_must_and_leave_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "chaos"
    told = tmp_path / "told.json"
    done = subprocess.run(
        command(folder, "--rounds", "2", "--seed", str(SEED), "--json", str(told)),
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=RUN_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    totals = json.loads(told.read_text())["totals"]
    assert totals["rounds"] == 2
    assert totals["billed_calls"] > 0
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == []


@pytest.mark.slow
def test_asked_to_end_it_ends_everything_that_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "chaos"
    with subprocess.Popen(
        command(folder, "--rounds", "50", "--only", "stop_sidecar"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert "seed 1 " in running.stdout.readline()
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(RUN_S) == 1
    assert processes_of(folder) == []
