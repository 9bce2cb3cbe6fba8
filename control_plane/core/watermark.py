"""The watermark: what this database may have granted, remembered in a second place.

An old copy of a database knows nothing of the grants that were made after it. The watermark bounds
them: for each budget period the highest `granted_total` that may exist, raised in steps and made
durable before a grant passes it. Restoring a database does not touch it. It also remembers the
newest generation, how far the database had got, and the epochs of sidecars: so an old copy is
recognised before any sidecar speaks, and what a sidecar claims beyond it is known to be untrue.

The file is text. First a slot of fixed size that is written over in place: how far the database
had got at the last commit. Then lines that are only added, each with a checksum. Only the last
write can be torn, and no commit ever rested on a torn one: such a tail is cut. A line that is
damaged before sound ones means that the file cannot be trusted.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from control_plane import limits
from control_plane.core.leases import PeriodKey
from protos.values.quick import quick

SLOT_BYTES = 32
"""Size of the slot at the file's beginning."""
_VERSION = 1
_LINE = re.compile(rb"[0-9a-f]{8} \{")


@quick
@dataclass(frozen=True, slots=True)
class Mark:
    """What may exist of one budget period."""

    ceiling_nano_usd: int
    """No more was ever granted in all."""
    cap_nano_usd: int
    """No cap in force at a grant was ever above it."""


@dataclass(slots=True)
class Watermark:
    """What the second place says."""

    watermark_id: str = ""
    """The same as in the database that it belongs to."""
    begun_late: bool = False
    """It was begun for a database that had lost its first one: its ceilings hold for what is
    granted from then on, but prove no claim about earlier grants untrue."""
    generation: int = 0
    """No database of this installation ever had a higher one."""
    change_no: int = 0
    """A database that has not got as far as this is an old copy."""
    marks: dict[PeriodKey, Mark] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    """The newest epoch that each sidecar was ever given."""

    def take(self, entry: "Entry") -> None:
        """Take a line's news; numbers only grow."""
        self.generation = max(self.generation, entry.generation)
        # The transaction before the one that wrote the line had surely been committed.
        self.change_no = max(self.change_no, entry.change_no - 1)
        self.marks.update(entry.marks)
        for key in entry.dropped:
            self.marks.pop(key, None)
        for sidecar_id, epoch in entry.epochs.items():
            self.epochs[sidecar_id] = max(self.epochs.get(sidecar_id, 0), epoch)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file."""

    change_no: int = 0
    """The number of the transaction that wrote it, committed or not; 0 for none."""
    generation: int = 0
    marks: Mapping[PeriodKey, Mark] = field(default_factory=dict)
    dropped: tuple[PeriodKey, ...] = ()
    """Periods in which nothing can be granted any more."""
    epochs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says."""

    watermark: Watermark
    sound_bytes: int
    """So far the file is whole; what follows was torn."""
    damage: str = ""
    """Why it cannot be trusted; empty when it can."""


def step_nano_usd(cap_nano_usd: int) -> int:
    """By how much a ceiling is raised beyond what is granted: a twentieth of the cap, bounded."""
    share = cap_nano_usd // limits.WATERMARK_STEPS
    return min(max(share, limits.WATERMARK_STEP_MIN_NANO_USD), limits.WATERMARK_STEP_MAX_NANO_USD)


def raised(known: Mark | None, granted_total_nano_usd: int, cap_nano_usd: int) -> Mark | None:
    """The mark that a grant needs first; None when the known one covers it."""
    before = known or Mark(0, 0)
    if granted_total_nano_usd <= before.ceiling_nano_usd and cap_nano_usd <= before.cap_nano_usd:
        return None
    ceiling = before.ceiling_nano_usd
    if granted_total_nano_usd > ceiling:
        ceiling = granted_total_nano_usd + step_nano_usd(cap_nano_usd)
    return Mark(ceiling, max(before.cap_nano_usd, cap_nano_usd))


def slot(change_no: int) -> bytes:
    """The slot at the file's beginning."""
    number = f"{change_no:020d}".encode()
    return b"%08x %s" % (zlib.crc32(number), number) + b" " * (SLOT_BYTES - 30) + b"\n"


def first_line(watermark: Watermark) -> bytes:
    """The line that names the file's installation."""
    return _line(
        {"v": _VERSION, "id": watermark.watermark_id, "late": int(watermark.begun_late)},
    )


def line(entry: Entry) -> bytes:
    """One line of news."""
    told: dict[str, object] = {}
    if entry.change_no:
        told["no"] = entry.change_no
    if entry.generation:
        told["gen"] = entry.generation
    if entry.marks:
        told["marks"] = [
            [*_names(key), mark.ceiling_nano_usd, mark.cap_nano_usd]
            for key, mark in entry.marks.items()
        ]
    if entry.dropped:
        told["dropped"] = [_names(key) for key in entry.dropped]
    if entry.epochs:
        told["epochs"] = dict(entry.epochs)
    return _line(told)


def whole(watermark: Watermark) -> Iterator[bytes]:
    """A file that says the same in as few bytes as it takes."""
    yield slot(watermark.change_no)
    yield first_line(watermark)
    yield line(Entry(generation=watermark.generation, epochs=watermark.epochs))
    marks = list(watermark.marks.items())
    for start in range(0, len(marks), limits.WATERMARK_LINE_MARKS):
        yield line(Entry(marks=dict(marks[start : start + limits.WATERMARK_LINE_MARKS])))


def read(data: bytes) -> Read:
    """Read a file whole; never raises."""
    found = Watermark()
    lines = data[SLOT_BYTES:].split(b"\n")
    # What follows the last line feed is a torn line, or nothing.
    lines.pop()
    said = [_said(each) for each in lines]
    first = said[0] if said else None
    if len(data) < SLOT_BYTES or first is None or not isinstance(first.get("id"), str):
        return Read(found, 0, "its beginning cannot be read")
    if first.get("v") != _VERSION:
        return Read(found, 0, "it was written by a newer version of this program")
    found.watermark_id = str(first["id"])
    found.begun_late = bool(first.get("late"))
    sound = SLOT_BYTES + len(lines[0]) + 1
    for place, (text, told) in enumerate(zip(lines[1:], said[1:], strict=True), start=1):
        entry = _entry(told) if told is not None else None
        if entry is None:
            if any(later is not None for later in said[place + 1 :]) or _hides_a_line(text):
                return Read(found, 0, f"line {place + 1} is damaged")
            break
        found.take(entry)
        sound += len(text) + 1
    found.change_no = max(found.change_no, _slot_no(data[:SLOT_BYTES]))
    return Read(found, sound)


def _hides_a_line(text: bytes) -> bool:
    """Whether a sound line stands within what cannot be read: the line feed before it rotted."""
    return any(_said(text[found.start() :]) is not None for found in _LINE.finditer(text, 1))


def _slot_no(data: bytes) -> int:
    """The slot's number; 0 when it cannot be read: then the lines alone tell."""
    checksum, _, number = data[:29].partition(b" ")
    if not number.isdigit() or checksum != b"%08x" % zlib.crc32(number):
        return 0
    return int(number)


def _names(key: PeriodKey) -> list[str]:
    return [key.budget_id, key.partition, key.period_id]


def _line(told: Mapping[str, object]) -> bytes:
    text = json.dumps(told, separators=(",", ":"), sort_keys=True).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _said(text: bytes) -> dict[str, object] | None:
    checksum, _, body = text.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _entry(told: Mapping[str, object]) -> Entry | None:
    """What a line says; None when it is none of ours."""
    try:
        return Entry(
            change_no=_number(told.get("no", 0)),
            generation=_number(told.get("gen", 0)),
            marks={
                PeriodKey(*map(str, each[:3])): Mark(_number(each[3]), _number(each[4]))
                for each in _rows(told.get("marks", []))
            },
            dropped=tuple(
                PeriodKey(*map(str, each[:3])) for each in _rows(told.get("dropped", []))
            ),
            epochs=_epochs(told.get("epochs", {})),
        )
    except (TypeError, IndexError, ValueError):
        return None


def _rows(told: object) -> list[list[object]]:
    if not isinstance(told, list) or not all(isinstance(each, list) for each in told):
        raise TypeError
    return told


def _epochs(told: object) -> dict[str, int]:
    if not isinstance(told, dict):
        raise TypeError
    return {str(name): _number(epoch) for name, epoch in told.items()}


def _number(told: object) -> int:
    if not isinstance(told, int) or told < 0:
        raise ValueError
    return told
