"""Joins a database and its watermark: opens the one with the other, and counts commits.

A database that was never watched gets a watermark, whatever it holds: it is the newest there is.
One whose watermark is gone, damaged or another installation's grants nothing until a person says
how it goes on: nobody can tell whether it is old, nor what may have been granted beyond it.
"""

from pathlib import Path

from control_plane.core import watermark as core
from control_plane.core.leases import PeriodKey
from control_plane.core.watermark import Mark, Watermark
from control_plane.entropy import Entropy
from control_plane.store.engine import StoreOpenError, Tx
from control_plane.store.watermark_file import WatermarkFile

FOREIGN = "belongs to another database"
"""How the problem ends when the watermark is another installation's."""
_ID_BYTES = 8


def none_here() -> WatermarkFile:
    """Stands for a watermark where there is none: nothing is granted."""
    return WatermarkFile(Path(), lambda _: None, problem="there is no watermark here")


def count_change(tx: Tx) -> int:
    """Number a transaction that changes something, just before its COMMIT."""
    row = tx.row("UPDATE meta SET change_no = change_no + 1 WHERE id = 1 RETURNING change_no")
    assert row is not None
    return int(row["change_no"])


def open_for(tx: Tx, entropy: Entropy) -> None:
    """Read the watermark of a database, or begin one. Raises StoreOpenError."""
    file = tx.watermark
    row = tx.row("SELECT watermark_id, generation, change_no FROM meta WHERE id = 1")
    assert row is not None
    file.begins_at(row["change_no"])
    known_id = row["watermark_id"]
    file.finish(known_id)
    if file.problem:
        return
    if not _make_folder(file) or file.read():
        _match(tx, file, known_id)
    elif known_id and _has_granted(tx):
        file.problem = f"{file.path} is gone"
    else:
        # Where one is gone, this may be a copy from before the first grant: claims are believed.
        begin(tx, entropy, late=bool(known_id) and not _is_blank(tx))
        file.settle()


def begin(tx: Tx, entropy: Entropy, *, late: bool = False) -> None:
    """Begin a watermark that holds what a database has granted; `late` after one was lost."""
    row = tx.row("SELECT generation, change_no FROM meta WHERE id = 1")
    assert row is not None
    made = Watermark(
        watermark_id=entropy.random_bytes(_ID_BYTES).hex(),
        begun_late=late,
        generation=row["generation"],
        change_no=row["change_no"],
        marks=_marks(tx),
        epochs={each["id"]: each["epoch"] for each in tx.rows("SELECT id, epoch FROM sidecar")},
    )
    tx.watermark.begin(made)
    adopt(tx, made.watermark_id)


def adopt(tx: Tx, watermark_id: str) -> None:
    """Let a database belong to a watermark."""
    tx.run("UPDATE meta SET watermark_id = :id WHERE id = 1", {"id": watermark_id})


def _match(tx: Tx, file: WatermarkFile, known_id: str) -> None:
    if file.problem or file.state.watermark_id == known_id:
        return
    if not known_id and not _is_blank(tx):
        # A copy from before there were watermarks: what it lacks, the watermark knows.
        adopt(tx, file.state.watermark_id)
    elif not known_id and not file.state.marks:
        adopt(tx, file.state.watermark_id)
    elif not known_id:
        raise StoreOpenError(
            f"{file.path} tells of money that was granted by a database that is not here: restore "
            "its newest backup with `bursar restore`; or, to begin with nothing, move that file "
            "away and start again"
        )
    else:
        file.problem = f"{file.path} {FOREIGN}"


def _make_folder(file: WatermarkFile) -> bool:
    """Whether the watermark's folder is there or could be made; else that is its problem."""
    try:
        file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        file.problem = f"{file.path.parent} cannot be used ({error.strerror})"
        return False
    return True


def _is_blank(tx: Tx) -> bool:
    """Whether nothing was ever administered here."""
    row = tx.row(
        "SELECT (SELECT COUNT(*) FROM budget) + (SELECT COUNT(*) FROM sidecar) AS n FROM meta"
    )
    return row is not None and row["n"] == 0


def _has_granted(tx: Tx) -> bool:
    row = tx.row("SELECT COUNT(*) AS n FROM period WHERE granted_total_nano_usd > 0")
    return row is not None and row["n"] > 0


def _marks(tx: Tx) -> dict[PeriodKey, Mark]:
    """What a database says of itself."""
    rows = tx.rows("SELECT * FROM period WHERE state <> 'CLOSED' AND granted_total_nano_usd > 0")
    return {
        PeriodKey(row["budget_id"], row["partition"], row["period_id"]): Mark(
            row["granted_total_nano_usd"]
            + row["unclaimed_nano_usd"]
            + core.step_nano_usd(row["cap_nano_usd"] or 0),
            max(row["cap_nano_usd"] or 0, row["allocated_nano_usd"]),
        )
        for row in rows
    }
