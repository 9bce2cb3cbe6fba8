"""Disks that fail on demand: a shim before libc, and a small disk in memory that can be filled.

The shim is compiled at run time with the machine's C compiler. The small disk is a tmpfs in a mount
namespace of this process's own: nobody else sees it, and it is gone with the last process that
does, however that ends. Where either cannot be had, its faults are skipped, counted and told.
"""

import ctypes
import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Self

SOURCE = Path(__file__).with_name("failing_disk.c")
COMPILERS = ("cc", "gcc", "clang")
COMPILE_S = 60
ALWAYS = -1
SMALL_DISK_BYTES = 64 << 20
"""Room on a small disk: a journal with its log and the ballast fit in many times."""

_CLONE_NEWNS = 0x00020000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_FIELDS = struct.Struct("6i")
_FILLER = "filler"
_FILLER_PIECE_BYTES = 1 << 20


class UnavailableError(Exception):
    """A kind of fault cannot be made on this machine; the message says what is missing."""


def compile_shim(folder: Path) -> Path:
    """Compile the shim into a folder; the library. Raises UnavailableError."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise UnavailableError(f"no C compiler (looked for {', '.join(COMPILERS)})")
    library = folder / "failing_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMPILE_S)
    if done.returncode != 0:
        raise UnavailableError(f"{compiler} could not compile the shim: {done.stderr[-500:]}")
    return library


class FailingDisk:
    """The orders to the shim in one process, and what it counted."""

    def __init__(self, library: Path, control: Path, folder: Path) -> None:
        """Make the shared page; `folder` is the one whose files may fail."""
        control.write_bytes(bytes(_FIELDS.size))
        with control.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _FIELDS.size)
        self.env = {
            "LD_PRELOAD": str(library),
            "CHAOS_DISK_CONTROL": str(control),
            "CHAOS_DISK_FOLDER": str(folder.resolve()),
        }
        """What a process needs to have this disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()

    def fail(self, *, syncs: int = 0, writes: int = 0) -> None:
        """Let so many of the next syncs and writes fail; ALWAYS for all of them."""
        struct.pack_into("2i", self._page, 0, syncs, writes)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.fail()

    def _count(self, index: int) -> int:
        return int(_FIELDS.unpack_from(self._page)[index])

    @property
    def syncs_seen(self) -> int:
        """Syncs of files of the folder, failed ones included."""
        return self._count(2)

    @property
    def syncs_failed(self) -> int:
        """Syncs that were failed."""
        return self._count(3)

    @property
    def writes_failed(self) -> int:
        """Writes that were failed."""
        return self._count(5)


def enter_own_mounts() -> None:
    """Give this process mounts of its own, as must be done before it has a second thread.

    Raises UnavailableError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise UnavailableError(f"no own mounts: {os.strerror(ctypes.get_errno())}")
    _mount(libc, b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def mount_small_disk(folder: Path, size_bytes: int = SMALL_DISK_BYTES) -> None:
    """Put a small disk in memory onto a folder. Raises UnavailableError."""
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    _mount(libc, b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"mode=0700,size=%d" % size_bytes)


def unmount_small_disk(folder: Path) -> None:
    """Take a small disk away; what was on it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(os.fsencode(folder), 2)


def _mount(
    libc: ctypes.CDLL, source: bytes, at: bytes, kind: bytes | None, flags: int, data: bytes | None
) -> None:
    if libc.mount(source, at, kind, ctypes.c_ulong(flags), data) != 0:
        what = os.strerror(ctypes.get_errno())
        raise UnavailableError(f"{os.fsdecode(at)} cannot be mounted: {what}")


def fill(folder: Path) -> None:
    """Take all the room that a small disk has left."""
    piece = bytes(_FILLER_PIECE_BYTES)
    with (folder / _FILLER).open("ab", buffering=0) as file:
        for data in (piece, piece[:4096]):
            try:
                while file.write(data) == len(data):
                    pass
            except OSError:
                continue


def free(folder: Path) -> None:
    """Give the room back."""
    (folder / _FILLER).unlink(missing_ok=True)
