"""The journal keeps its word: through kills, power loss, full disks and broken ones."""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from sidecar.runtime.journal import Journal, JournalFailedError
from sidecar.runtime.journal_file import (
    NO_CHAIN,
    Batch,
    JournalFile,
    JournalLostError,
    JournalUnavailableError,
    lease_row,
)
from tests.sidecar.builders import CENT, DOLLAR, HandClock
from tests.sidecar.runtime.journal_world import CLOCK, a_lease, body, connecting, read, running


@pytest.mark.trio
async def test_an_open_is_on_the_disk_once_it_was_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as (journal, _):
        number, group = journal.open_call(b"a call")
        await journal.durable(group)
        copied = tmp_path / "copy"
        shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("copy"))
        assert read(copied).open_calls == ((number, b"a call"),)


@pytest.mark.trio
async def test_those_who_wait_together_are_written_together(tmp_path: Path) -> None:
    written: list[str] = []

    class Counting(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            written.append(sql)
            return super().execute(sql, *parameters)

    async with running(tmp_path, connecting(Counting)) as (journal, _):
        written.clear()
        async with trio.open_nursery() as nursery:
            for _number in range(500):
                _, group = journal.open_call(b"a call")
                nursery.start_soon(journal.durable, group)
        assert written.count("COMMIT") <= 2


@pytest.mark.trio
async def test_a_record_that_nobody_waits_for_is_written_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as (journal, _):
        journal.record(body, CLOCK.now())
        _, group = journal.open_call(b"next")
        await journal.durable(group)
        bodies, _ = await journal.records(1)
        assert bodies == [b"record 1"]
    async with running(tmp_path) as (journal, recovered):
        assert recovered.last_seq == 1
        journal.record(body, CLOCK.now())
    assert read(tmp_path).last_seq == 2


@pytest.mark.trio
async def test_a_settle_ends_its_open_and_carries_the_levels_of_its_leases(tmp_path: Path) -> None:
    lease = a_lease()
    async with running(tmp_path) as (journal, _):
        journal.note_leases([lease])
        number, _ = journal.open_call(b"first")
        journal.open_call(b"second")
        lease.spent_nano_usd = 3 * CENT
        journal.record(body, CLOCK.now(), ends=number, leases=[lease])
        # Later in memory than the last line: not to be found on the disk.
        lease.spent_nano_usd = 9 * CENT
    recovered = read(tmp_path)
    assert [open_body for _, open_body in recovered.open_calls] == [b"second"]
    assert recovered.leases[0].spent_nano_usd == 3 * CENT
    assert recovered.leases[0].granted_nano_usd == DOLLAR
    assert recovered.leases[0].authority_boot_ms == lease.authority_boot_ms


@pytest.mark.trio
async def test_records_are_chained_and_read_back_as_they_were_written(tmp_path: Path) -> None:
    async with running(tmp_path) as (journal, _):
        for _ in range(5):
            journal.record(body, CLOCK.now())
        bodies, chain = await journal.records(3)
        assert bodies == [body(3), body(4), body(5)]
        expected = NO_CHAIN
        for seq in range(1, 6):
            expected = hashlib.sha256(expected + body(seq)).digest()
        assert chain == expected
        assert await journal.tip() == (5, expected)
    async with running(tmp_path) as (journal, recovered):
        assert (recovered.last_seq, recovered.chain) == (5, expected)
        journal.record(body, CLOCK.now())
        assert await journal.tip() == (6, hashlib.sha256(expected + body(6)).digest())


@pytest.mark.trio
async def test_a_sync_tells_a_bounded_number_of_records(tmp_path: Path) -> None:
    async with running(tmp_path) as (journal, _):
        for _ in range(600):
            journal.record(body, CLOCK.now())
        bodies, _ = await journal.records(1)
        assert len(bodies) == 500
        journal.record(lambda _: bytes(400_000), CLOCK.now())
        journal.record(lambda _: bytes(400_000), CLOCK.now())
        bodies, _ = await journal.records(601)
        assert len(bodies) == 1


@pytest.mark.trio
async def test_facts_about_the_journal_live_through_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as (journal, recovered):
        assert recovered.epoch == 0
        journal.begin_epoch(3)
        journal.record(body, CLOCK.now())
        journal.acknowledge(1)
        journal.note(generation=7, boot_id="boot", machine_id="machine", heard_until_boot_ms=5)
    recovered = read(tmp_path)
    assert (recovered.epoch, recovered.generation, recovered.acked_seq) == (3, 7, 1)
    assert (recovered.boot_id, recovered.machine_id) == ("boot", "machine")
    assert recovered.heard_until_boot_ms == 5


@pytest.mark.trio
async def test_old_records_go_only_when_no_fail_over_can_lose_them(tmp_path: Path) -> None:
    clock = HandClock()
    file, recovered = JournalFile.open(tmp_path)
    journal = Journal(file, recovered, clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for _ in range(4):
            journal.record(body, clock.now())
        await journal.flush()
        assert await journal.prune(4) == 0
        clock.forward(72 * 3_600_000 + 1)
        assert await journal.prune(2) == 2
        # The last one stays in any case: the chain goes on from it.
        assert await journal.prune(4) == 1
        bodies, _ = await journal.records(4)
        assert bodies == [body(4)]
        with pytest.raises(JournalFailedError, match="record 1 is not kept any more"):
            await journal.records(1)
        await journal.close()
        nursery.cancel_scope.cancel()
    assert read(tmp_path).last_seq == 4


# --- What must not be believed -----------------------------------------------------------------


@pytest.mark.trio
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("UPDATE record SET body = 'other' WHERE seq = 2", id="changed"),
        pytest.param("DELETE FROM record WHERE seq = 2", id="missing"),
        pytest.param("UPDATE meta SET value = 99 WHERE name = 'format'", id="another format"),
    ],
)
async def test_a_journal_that_does_not_hang_together_counts_as_lost(
    tmp_path: Path, damage: str
) -> None:
    async with running(tmp_path) as (journal, _):
        for _ in range(3):
            journal.record(body, CLOCK.now())
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute(damage.replace("'other'", "x'00'"))
    connection.commit()
    connection.close()
    with pytest.raises(JournalLostError):
        JournalFile.open(tmp_path)
    kept = JournalFile.set_aside(tmp_path, "lost-1")
    assert kept.exists()
    assert read(tmp_path).epoch == 0


def test_a_journal_from_before_there_was_a_seal_is_sealed_and_goes_on(tmp_path: Path) -> None:
    file, _ = JournalFile.open(tmp_path)
    file.write(Batch(opens=[(1, b"a call")], meta={"epoch": 3}))
    file.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("DELETE FROM meta WHERE name = 'seal'")
    connection.execute("UPDATE meta SET value = 1 WHERE name = 'format'")
    connection.commit()
    connection.close()
    for _ in range(2):
        recovered = read(tmp_path)
        assert (recovered.epoch, recovered.open_calls) == (3, ((1, b"a call"),))


@pytest.mark.parametrize("rotten", [False, True])
def test_a_journal_with_the_seal_of_before_is_held_to_it_and_sealed_anew(
    tmp_path: Path, *, rotten: bool
) -> None:
    file, _ = JournalFile.open(tmp_path)
    lease = a_lease()
    levels = {lease.key: lease_row(lease)}
    records = [(1, 5, b"a record")]
    file.write(Batch(opens=[(1, b"a call")], meta={"epoch": 3}, leases=levels, records=records))
    file.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("UPDATE meta SET value = 2 WHERE name = 'format'")
    # What format 2 wrote for just this content.
    seal = bytes.fromhex("5b0ff72a8fe4ace57aba809286312772")
    connection.execute("UPDATE meta SET value = ? WHERE name = 'seal'", (seal,))
    if rotten:
        connection.execute("UPDATE lease SET granted_nano_usd = granted_nano_usd + 1")
    connection.commit()
    connection.close()
    for _ in range(2):
        if rotten:
            with pytest.raises(JournalLostError, match="not what was written"):
                JournalFile.open(tmp_path)
        else:
            assert read(tmp_path).open_calls == ((1, b"a call"),)


def test_a_process_that_dies_while_it_seals_a_journal_from_before_does_not_lose_it(
    tmp_path: Path,
) -> None:
    file, _ = JournalFile.open(tmp_path)
    file.write(Batch(opens=[(1, b"a call")], meta={"epoch": 3}))
    file.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("DELETE FROM meta WHERE name = 'seal'")
    connection.execute("UPDATE meta SET value = 1 WHERE name = 'format'")
    connection.execute(
        "CREATE TRIGGER dies BEFORE INSERT ON meta WHEN NEW.name = 'seal' "
        "BEGIN SELECT RAISE(FAIL, 'killed'); END"
    )
    connection.commit()
    connection.close()
    with pytest.raises(JournalLostError, match="killed"):
        JournalFile.open(tmp_path)
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("DROP TRIGGER dies")
    connection.commit()
    connection.close()
    assert read(tmp_path).open_calls == ((1, b"a call"),)


def test_a_lease_that_is_forgotten_and_comes_anew_in_one_batch_is_sealed_as_it_is_written(
    tmp_path: Path,
) -> None:
    file, _ = JournalFile.open(tmp_path)
    lease = a_lease()
    row = lease_row(lease)
    file.write(Batch(leases={lease.key: row}, forgotten=[lease.key]))
    file.close()
    assert [each.key for each in read(tmp_path).leases] == [lease.key]


def test_a_journal_that_another_program_holds_is_not_lost(tmp_path: Path) -> None:
    file, _ = JournalFile.open(tmp_path)
    file.close()
    holder = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("INSERT INTO meta VALUES ('held', 1)")

    def impatient(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)

    with pytest.raises(JournalUnavailableError, match="locked"):
        JournalFile.open(tmp_path, connect=impatient)
    holder.close()
    file, _ = JournalFile.open(tmp_path)
    file.close()


def test_a_folder_where_the_journal_should_be_is_not_a_lost_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(JournalUnavailableError, match="directory"):
        JournalFile.open(tmp_path)


def test_a_file_that_is_no_journal_counts_as_lost(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database" * 1_000)
    with pytest.raises(JournalLostError, match="cannot be read"):
        JournalFile.open(tmp_path)


def test_the_journal_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    file, _ = JournalFile.open(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("journal.db*")}
    file.close()
    assert set(modes.values()) == {0o600}


# --- Kills and power loss -----------------------------------------------------------------------

_CHILD = """
import sys, trio
from pathlib import Path
from sidecar.runtime.journal import open_journal
from tests.sidecar.builders import HandClock

async def main():
    journal, _ = open_journal(Path(sys.argv[1]), HandClock(), synchronous="full")
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)

        async def call(name):
            step = 0
            while True:
                step += 1
                number, group = journal.open_call(f"{name} {step}".encode())
                await journal.durable(group)
                print("opened", name, step, flush=True)
                seq = journal.record(
                    lambda seq: f"{seq} ends {name} {step}".encode(),
                    HandClock().now(),
                    ends=number,
                )
                if step % 3 == 0:
                    await journal.flush()
                    print("settled", name, step, flush=True)

        for name in range(8):
            nursery.start_soon(call, name)

trio.run(main)
"""


def test_a_killed_process_leaves_every_open_it_told_of_and_a_whole_chain(tmp_path: Path) -> None:
    for round_number in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(100 * (round_number + 1))]
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.readlines()
        child.stdout.close()
        child.wait()
        file, recovered = JournalFile.open(tmp_path)
        bodies, _ = file.records(1, 1_000_000, 1 << 30)
        file.close()
        ended = {text.split(b" ends ")[1].decode() for text in bodies}
        left = {text.decode() for _, text in recovered.open_calls}
        # The last line may have been cut off by the kill.
        for line in [line for line in told if line.endswith("\n")]:
            word, name, step = line.split()
            assert f"{name} {step}" in ended | left
            if word == "settled":
                assert f"{name} {step}" in ended
        assert not ended & left
        assert len(bodies) == recovered.last_seq
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


@pytest.mark.trio
async def test_power_loss_at_any_byte_leaves_a_whole_prefix_of_the_groups(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    lease = a_lease()
    async with running(live) as (journal, _):
        journal.note_leases([lease])
        await journal.flush()
        for _ in range(12):
            number, group = journal.open_call(b"a call")
            await journal.durable(group)
            lease.spent_nano_usd += CENT
            journal.record(body, CLOCK.now(), ends=number, leases=[lease])
        await journal.flush()
        database = (live / "journal.db").read_bytes()
        log = (live / "journal.db-wal").read_bytes()
    seen = set()
    for cut in [*range(0, len(log), 997), len(log)]:
        after = tmp_path / "after"
        shutil.rmtree(after, ignore_errors=True)
        after.mkdir()
        (after / "journal.db").write_bytes(database)
        (after / "journal.db-wal").write_bytes(log[:cut])
        try:
            recovered = read(after)
        except JournalLostError:
            pytest.fail(f"cut at {cut}: what was whole before is lost")
        # An ended call and its cost go together, and the chain was checked on opening.
        if recovered.leases:
            assert recovered.leases[0].spent_nano_usd == recovered.last_seq * CENT
        assert len(recovered.open_calls) <= 1
        seen.add(recovered.last_seq)
    assert seen == set(range(13))
