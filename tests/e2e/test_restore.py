"""An old copy of the database is put back; real sidecars prove it, and nothing is spent twice."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.admin import Bursar, connect
from tests.e2e.stand import Client, Stand
from tests.e2e.test_outages import CENT, ask, settled

CAP_CENTS = 30


@contextmanager
def asked(stand: Stand) -> Iterator[Bursar]:
    data = stand.folder / "control-plane"
    token = (data / "owner.token").read_text().strip()
    with connect(stand.control_plane.ready["address"], token=token) as bursar:
        yield bursar


def command(stand: Stand, *words: str) -> tuple[int, Any]:
    """Run the command; its exit status and what it told as JSON."""
    data = str(stand.folder / "control-plane")
    ended = subprocess.run(
        [sys.executable, "-m", "clients.cli", *words, "--data", data, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"BURSAR_CONTROL_PLANE": stand.control_plane.ready["address"]},
    )
    return ended.returncode, json.loads(ended.stdout or ended.stderr)


@dataclass
class Past:
    """What happened before a database is restored."""

    client: Client
    urls: dict[str, str]
    backup: Path
    calls: int
    """Calls in the ledger; ten of them are in no backup."""


def past(stand: Stand, folder: Path) -> Past:
    """Two sidecars spend, a backup is made, they spend on."""
    client = stand.add_client("Acme Dental", CAP_CENTS * CENT, patience_ms=1_000)
    urls = {name: stand.start_sidecar(name) for name in ("one", "two")}
    for name in ("one", "two") * 2:
        assert ask(urls[name], client) == 200
    stand.until(lambda: settled(stand, 4))
    backup = folder / "backup.db"
    assert command(stand, "backup", str(backup))[0] == 0
    for name in ("one", "two") * 5:
        assert ask(urls[name], client) == 200
    stand.until(lambda: settled(stand, 14))
    return Past(client, urls, backup, 14)


def spend_all(stand: Stand, before: Past) -> int:
    """Call through the first sidecar until it is refused; how many calls passed."""
    passed = 0
    while ask(before.urls["one"], before.client) == 200:
        passed += 1
        assert passed < CAP_CENTS
    assert stand.bill_nano_usd() <= CAP_CENTS * CENT
    return passed


def wait_for_the_second(stand: Stand) -> None:
    """Until the first sidecar has told all that it holds, and only the second is missing."""
    with asked(stand) as bursar:
        stand.until(lambda: bursar.installation.get().learning.missing_sidecars == ("two",))


def mode(stand: Stand) -> str:
    with asked(stand) as bursar:
        return bursar.installation.get().mode


def test_an_old_copy_put_in_place_by_hand_is_found_out(stand: Stand, tmp_path: Path) -> None:
    before = past(stand, tmp_path)
    address = stand.control_plane.ready["address"]
    stand.sidecars["two"].kill()
    stand.bursar.close()
    stand.control_plane.kill()
    data = stand.folder / "control-plane"
    for beside in ("-wal", "-shm"):
        (data / f"control_plane.db{beside}").unlink(missing_ok=True)
    shutil.copy(before.backup, data / "control_plane.db")
    stand.start_control_plane(address)
    # The watermark knows it for an old copy before anybody has spoken.
    assert mode(stand) == "LEARNING"
    wait_for_the_second(stand)
    # One has told its records of after the backup again; it is granted nothing new.
    stand.until(lambda: stand.usage_nano_usd() >= 9 * CENT)
    before.calls += spend_all(stand, before)
    assert mode(stand) == "LEARNING"
    # The other comes back, and all is whole: every call once, at what it cost.
    url = stand.start_sidecar("two")
    stand.until(lambda: mode(stand) == "NORMAL")
    stand.until(lambda: settled(stand, before.calls))
    assert ask(url, before.client) == 200
    stand.until(lambda: settled(stand, before.calls + 1))


def test_a_backup_is_restored_and_one_that_is_gone_is_named(stand: Stand, tmp_path: Path) -> None:
    before = past(stand, tmp_path)
    restore = ("restore", str(before.backup), "--yes")
    status, told = command(stand, *restore)
    assert status == 5
    assert "stop it first" in told["error"]["message"]
    stand.sidecars["two"].kill()
    address = stand.stop_control_plane()
    status, told = command(stand, *restore)
    assert status == 0
    assert sorted(told["missing_sidecars"]) == ["one", "two"]
    stand.start_control_plane(address)
    wait_for_the_second(stand)
    status, told = command(stand, "learning", "finish", "--without", "two", "--yes")
    assert status == 0
    assert int(told["learning"]["unknown_nano_usd"]) > 0
    stand.until(lambda: mode(stand) == "NORMAL")
    # What the one that is gone may have spent is held: nobody spends it once more.
    before.calls += spend_all(stand, before)
    # It comes back after all, and its calls are in the ledger too.
    stand.start_sidecar("two")
    stand.until(lambda: settled(stand, before.calls))
