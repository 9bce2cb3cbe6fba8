"""The watermark's file: read once, then only added to, each addition durable before it counts.

Rules. Only the writer's thread adds. After a failed write or sync nobody knows what the disk holds:
nothing more is added to that file, ceilings stay as they are, and `mend` writes a new one. Without
a file that can be trusted there are no ceilings at all, so nothing is granted: `problem` says why.

A new file is begun beside the old one, and takes its place when the transaction that began it is
durable: `settle`. Else it goes: `withdraw`. A crash between the two is told by the database, which
knows its watermark by name: `finish`.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from control_plane import limits
from control_plane.core import watermark as core
from control_plane.core.leases import PeriodKey
from control_plane.core.watermark import Entry, Mark, Watermark

WATERMARK_FILE = "control_plane.watermark"
Sync = Callable[[int], None]
"""Makes a file durable, given its descriptor."""


class WatermarkFile:
    """The second place."""

    def __init__(self, path: Path, sync: Sync, problem: str = "") -> None:
        """Take a path; `read` or `begin` comes next, unless there is a problem."""
        self.path = path
        self.problem = problem
        """Why there are no ceilings; empty while all is well."""
        self._sync = sync
        self._state = Watermark()
        self._descriptor = -1
        self._size_bytes = 0
        self._whole_bytes = 0
        self._change_no = 0
        self._broken = False
        self._before: tuple[str, Watermark] | None = None

    # --- What it says ---------------------------------------------------------------------------

    @property
    def state(self) -> Watermark:
        """All that it says."""
        return self._state

    @property
    def bounds_claims(self) -> bool:
        """Whether a claim beyond what it says is surely untrue."""
        return not self.problem and not self._state.begun_late

    @property
    def trouble(self) -> str:
        """What a person must mend; empty when there is nothing."""
        if self.problem or not self._broken:
            return self.problem
        return f"{self.path} cannot be written: grants end where its ceilings do"

    def proves_old(self, change_no: int, generation: int) -> bool:
        """Whether a database that has got so far is an old copy."""
        known = self._state
        return not self.problem and (change_no < known.change_no or generation < known.generation)

    # --- Raising --------------------------------------------------------------------------------

    def cover(self, needs: Mapping[PeriodKey, Mark]) -> bool:
        """Make it durable that so much may be granted in all; whether that is so now.

        A need is a period's `granted_total` after the grants, and its cap.
        """
        if self.problem:
            return False
        marks = {
            key: mark
            for key, need in needs.items()
            if (
                mark := core.raised(
                    self._state.marks.get(key), need.ceiling_nano_usd, need.cap_nano_usd
                )
            )
        }
        return not marks or self._add(Entry(change_no=self._change_no + 1, marks=marks))

    def note_generation(self, generation: int) -> bool:
        """Make it durable that a generation began; whether that is so now."""
        if self.problem:
            return False
        return generation <= self._state.generation or self._add(Entry(generation=generation))

    def note_epoch(self, sidecar_id: str, epoch: int) -> bool:
        """Make it durable that a sidecar was given an epoch; whether that is so now."""
        if self.problem or epoch <= self._state.epochs.get(sidecar_id, 0):
            return True
        return self._add(Entry(epochs={sidecar_id: epoch}))

    def committed(self, change_no: int) -> None:
        """Note how far the database has got.

        It is not made durable, so it costs nothing: who puts an old copy into place without a power
        cut is recognised by it, and after a power cut the lines tell.
        """
        self._change_no = change_no
        if self._descriptor < 0 or self._broken or change_no <= self._state.change_no:
            return
        self._state.change_no = change_no
        try:
            os.pwrite(self._descriptor, core.slot(change_no), 0)
        except OSError:
            self._broken = True

    def drop(self, keys: Iterable[PeriodKey]) -> None:
        """Forget periods in which nothing can be granted any more."""
        known = tuple(key for key in keys if key in self._state.marks)
        if known and not self.problem:
            self._add(Entry(dropped=known))

    def mend(self) -> None:
        """Write a new file in place of one that could not be written to."""
        if self._broken and not self.problem:
            self._write_whole()

    # --- The file -------------------------------------------------------------------------------

    def read(self) -> bool:
        """Read the file; whether it is there. One that cannot be trusted becomes a problem."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            self.problem = f"{self.path} cannot be read ({error.strerror})"
            return True
        found = core.read(data)
        if found.damage:
            self.problem = f"{self.path} cannot be trusted: {found.damage}"
            return True
        self._state = found.watermark
        # A new file, so that nothing is ever added behind a torn line.
        self._write_whole()
        return True

    @property
    def begun(self) -> Watermark | None:
        """The watermark that is begun and does not count yet; None when there is none."""
        return self._state if self._before is not None else None

    def begin(self, state: Watermark) -> None:
        """Make a new file beside the old one; until that succeeds there are no ceilings.

        Within the transaction that begins it, it counts already.
        """
        if self._before is None:
            self._before = self.problem, self._state
        self._state = state
        self.problem = ""
        self._write_whole()

    def settle(self) -> None:
        """The transaction that began a file is durable: it takes the old one's place."""
        if self._before is None:
            return
        self._before = None
        self._replace_old()

    def withdraw(self) -> None:
        """The transaction that began a file never was: all is as before it."""
        if self._before is None:
            return
        self.problem, self._state = self._before
        self._before = None
        self.close()
        self._beside.unlink(missing_ok=True)
        if not self.problem:
            self._write_whole()

    def finish(self, known_id: str) -> None:
        """At the start: end what a crash cut short, by what the database knows its watermark as."""
        try:
            begun = core.read(self._beside.read_bytes())
        except OSError:
            return
        if not begun.damage and known_id and begun.watermark.watermark_id == known_id:
            self._replace_old()
            if self._broken:
                self.problem = f"{self._beside} could not take the place of {self.path}"
        else:
            self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + ".begun")

    def _replace_old(self) -> None:
        """Put the file that was begun into the place of the old one, which is set aside.

        Where it could not be written, the old one stays until there is another: `mend`.
        """
        if not self._beside.exists():
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                self.path.rename(self.path.with_name(self.path.name + ".set-aside"))
            self._beside.rename(self.path)
            self._sync_folder()
        except OSError:
            self._broken = True

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            self._sync(folder)
        finally:
            os.close(folder)

    def begins_at(self, change_no: int) -> None:
        """Tell how far the database has got when it is opened."""
        self._change_no = change_no

    def close(self) -> None:
        """Close the file; all that counts is durable."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _add(self, entry: Entry) -> bool:
        if self._broken or self._descriptor < 0:
            return False
        data = core.line(entry)
        try:
            written = os.pwrite(self._descriptor, data, self._size_bytes)
            if written != len(data):
                raise OSError
            self._sync(self._descriptor)
        except OSError:
            self._broken = True
            return False
        self._size_bytes += written
        self._state.take(entry)
        if self._size_bytes > 2 * self._whole_bytes + limits.WATERMARK_SPARE_BYTES:
            self._write_whole()
        return True

    def _write_whole(self) -> None:
        """Write all into a new file and put it in the old one's place."""
        unfinished = self.path.with_name(self.path.name + ".partial")
        descriptor = -1
        try:
            data = b"".join(core.whole(self._state))
            descriptor = os.open(
                unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
            )
            if os.write(descriptor, data) != len(data):
                raise OSError
            self._sync(descriptor)
            if self._before is not None:
                unfinished.rename(self._beside)
            else:
                unfinished.rename(self.path)
                # One that never took its place says less from now on, and must never take it.
                self._beside.unlink(missing_ok=True)
            self._sync_folder()
        except OSError:
            self._broken = True
            if descriptor >= 0:
                os.close(descriptor)
            return
        self.close()
        self._descriptor = descriptor
        self._size_bytes = self._whole_bytes = len(data)
        self._broken = False
