"""Puts a backup in the database's place: python -m control_plane.restore --data FOLDER BACKUP.

The control plane must not run. The backup is checked and copied, brought up to date and made to
learn, all beside the database; only then are the two exchanged, so that a crash at any moment
leaves either the one or the other. The replaced database is kept. Nothing is granted by the
restored one until every sidecar has told what it holds; the watermark says what those may hold
that never will.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from control_plane.__main__ import START_STATUS, add_watermark
from control_plane.clock import SystemClock
from control_plane.entropy import Entropy
from control_plane.store import StoreOpenError, Tx, copies, outbox, watermark
from control_plane.store.sqlite import DATABASE_FILE, locked, open_inline
from control_plane.store.watermark_file import WATERMARK_FILE
from control_plane.usecases import learning


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore."""

    database: str
    """Where the restored database is."""
    replaced: str
    """Where the one before it is now; empty when there was none."""
    generation: int
    """The generation that begins."""
    backup_unix_ms: int
    """From when the backup is; 0 when that is not known."""
    missing_sidecars: list[str]
    """Who is waited for."""
    unknown_nano_usd: int
    """What may have been granted since, over all periods."""
    watermark_lost: str
    """Why the watermark could not be used, so that a new one begins; empty when it could."""


def look(data: Path, backup: Path) -> copies.Checked:
    """Look whether a file can take a folder's database's place. Raises StoreOpenError."""
    if backup.absolute() == (data / DATABASE_FILE).absolute():
        raise StoreOpenError(f"{backup} is the database itself: name a backup")
    return copies.check(backup)


def restore(
    data: Path, backup: Path, second_place: Path | None, *, without_watermark: bool = False
) -> Restored:
    """Restore a backup. Raises StoreOpenError with what to do; nothing was changed then."""
    clock = SystemClock()
    database = data / DATABASE_FILE
    with locked(data):
        checked = look(data, backup)
        room = Path(tempfile.mkdtemp(prefix=".restore-", dir=data))
        try:
            prepared = room / DATABASE_FILE
            copies.copy(backup, prepared)
            second = second_place or data
            was_there = (second / WATERMARK_FILE).exists()
            store = open_inline(room, clock, second_place=second, synchronous="FULL")
            try:
                told = store.write(
                    lambda tx: _prepare(
                        tx,
                        clock.unix_ms(),
                        copies.generation_of(database),
                        was_there=was_there,
                        without_watermark=without_watermark,
                    )
                ).result()
            finally:
                store.close()
            at = datetime.fromtimestamp(clock.unix_ms() / 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")
            replaced = copies.exchange(prepared, database, f"replaced-{at}")
        finally:
            shutil.rmtree(room, ignore_errors=True)
    state, generation, lost = told
    return Restored(
        database=str(database),
        replaced=str(replaced or ""),
        generation=generation,
        backup_unix_ms=checked.backup_unix_ms,
        missing_sidecars=list(state.missing),
        unknown_nano_usd=state.unknown_nano_usd,
        watermark_lost=lost,
    )


def _prepare(
    tx: Tx,
    now_unix_ms: int,
    replaced_generation: int,
    *,
    was_there: bool,
    without_watermark: bool,
) -> tuple[learning.Learning, int, str]:
    """Let a copy learn, under a generation above all that is known.

    A watermark that was not there knows of no grant after the backup: it proves no claim untrue.
    """
    lost = tx.watermark.problem
    if lost.endswith(watermark.FOREIGN):
        raise StoreOpenError(
            f"the backup is of another installation: {lost}; restore it into that one's data folder"
        )
    if lost and not without_watermark:
        raise StoreOpenError(
            f"{lost}: it tells what was granted after the backup. Name its folder with "
            "--watermark. If it is gone for good, add --without-watermark: what sidecars hold that "
            "never come back is forgotten then, and can be spent once more"
        )
    if lost or not (was_there or tx.watermark.state.begun_late):
        watermark.begin(tx, Entropy(), late=True)
    if not was_there:
        lost = lost or f"{tx.watermark.path} was not there"
    generation = learning.begin_generation(tx, now_unix_ms, replaced_generation)
    outbox.distrust(tx, now_unix_ms)
    return learning.state(tx), generation, lost


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    made = argparse.ArgumentParser(
        prog="python -m control_plane.restore", description=__doc__, allow_abbrev=False
    )
    made.add_argument("backup", type=Path, metavar="BACKUP", help="what `bursar backup` made")
    made.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="where all data lies"
    )
    add_watermark(made)
    made.add_argument(
        "--without-watermark",
        action="store_true",
        help="the watermark is gone for good: begin a new one, and forget what it knew",
    )
    made.add_argument(
        "--check",
        action="store_true",
        help="only look whether it could be restored; change nothing",
    )
    return made


def main() -> int:
    """Restore, and tell what came of it as JSON; the exit status."""
    asked = parser().parse_args()
    try:
        if asked.check:
            sys.stdout.write(json.dumps(asdict(look(asked.data, asked.backup))) + "\n")
            return 0
        told = restore(
            asked.data, asked.backup, asked.watermark, without_watermark=asked.without_watermark
        )
    except (StoreOpenError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return START_STATUS
    sys.stdout.write(json.dumps(asdict(told)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
