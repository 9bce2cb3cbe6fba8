"""The watermark's arithmetic, and what its file says however it is cut or damaged."""

import zlib

import pytest

from control_plane import limits
from control_plane.core import watermark
from control_plane.core.leases import PeriodKey
from control_plane.core.watermark import SLOT_BYTES, Entry, Mark, Watermark, raised, step_nano_usd

USD = 1_000_000_000
KEY = PeriodKey("bud_1", "", "2026-11-01")
SPLIT = PeriodKey("bud_1", 'leads "\n€', "2026-11-01")


def told(*entries: Entry, change_no: int = 0) -> bytes:
    """A file that begins with nothing and was told this."""
    begun = Watermark(watermark_id="w", change_no=change_no)
    return b"".join(watermark.whole(begun)) + b"".join(map(watermark.line, entries))


@pytest.mark.parametrize(
    ("cap", "step"),
    [
        (0, limits.WATERMARK_STEP_MIN_NANO_USD),
        (USD // 100, limits.WATERMARK_STEP_MIN_NANO_USD),
        (USD, USD // 20),
        (100 * USD, 5 * USD),
        (1_000_000 * USD, limits.WATERMARK_STEP_MAX_NANO_USD),
        (2**63 - 1, limits.WATERMARK_STEP_MAX_NANO_USD),
    ],
)
def test_a_step_is_a_twentieth_of_the_cap_within_bounds(cap: int, step: int) -> None:
    assert step_nano_usd(cap) == step


@pytest.mark.parametrize(
    ("known", "total", "cap", "mark"),
    [
        (None, 10 * USD, 100 * USD, Mark(15 * USD, 100 * USD)),
        (Mark(15 * USD, 100 * USD), 15 * USD, 100 * USD, None),
        (Mark(15 * USD, 100 * USD), 15 * USD + 1, 100 * USD, Mark(20 * USD + 1, 100 * USD)),
        # A lower cap changes nothing; a higher one must be known before a grant under it.
        (Mark(15 * USD, 100 * USD), 12 * USD, 40 * USD, None),
        (Mark(15 * USD, 100 * USD), 12 * USD, 200 * USD, Mark(15 * USD, 200 * USD)),
        (Mark(15 * USD, 100 * USD), 16 * USD, 40 * USD, Mark(18 * USD, 100 * USD)),
        # One grant of a whole huge cap.
        (None, 2**62, 2**62, Mark(2**62 + limits.WATERMARK_STEP_MAX_NANO_USD, 2**62)),
    ],
)
def test_a_ceiling_is_raised_before_it_is_passed(
    known: Mark | None, total: int, cap: int, mark: Mark | None
) -> None:
    assert raised(known, total, cap) == mark


def test_raises_are_rare() -> None:
    """Money that is granted and given back all month long costs twenty raises a cap."""
    known, raises = None, 0
    for total in range(0, 1_000 * USD, USD // 10):
        new = raised(known, total, 100 * USD)
        raises += new is not None
        known = new or known
    assert raises <= 1_000 * USD // (5 * USD) + 1


def test_a_file_says_what_it_was_told() -> None:
    data = told(
        Entry(change_no=7, marks={KEY: Mark(5, 10), SPLIT: Mark(1, 2)}),
        Entry(generation=3),
        Entry(change_no=9, marks={KEY: Mark(6, 10)}, epochs={"sc_1": 4}),
        Entry(dropped=(SPLIT,)),
        Entry(epochs={"sc_1": 3}),
    )
    read = watermark.read(data)
    assert read.damage == ""
    assert read.sound_bytes == len(data)
    found = read.watermark
    assert found.marks == {KEY: Mark(6, 10)}
    assert (found.watermark_id, found.generation, found.epochs) == ("w", 3, {"sc_1": 4})
    # The transaction of the last line may never have been committed; the one before it was.
    assert found.change_no == 8
    again = watermark.read(b"".join(watermark.whole(found)))
    assert again.watermark == found


def test_the_slot_tells_the_last_commit() -> None:
    data = told(Entry(change_no=7, marks={KEY: Mark(5, 10)}))
    assert watermark.read(watermark.slot(41) + data[SLOT_BYTES:]).watermark.change_no == 41
    # A torn slot is no damage: the lines tell enough.
    torn = b"x" * SLOT_BYTES + data[SLOT_BYTES:]
    assert watermark.read(torn) == watermark.read(data)
    assert len(watermark.slot(2**63)) == SLOT_BYTES


def test_a_torn_write_is_cut_at_every_byte() -> None:
    whole = told(Entry(change_no=7, marks={KEY: Mark(5, 10)}))
    last = watermark.line(Entry(change_no=8, marks={KEY: Mark(6, 10)}))
    for cut in range(len(last)):
        read = watermark.read(whole + last[:cut])
        assert read.damage == ""
        assert read.sound_bytes == len(whole)
        assert read.watermark.marks == {KEY: Mark(5, 10)}


def test_a_damaged_line_before_sound_ones_is_never_passed_over() -> None:
    first = Entry(change_no=7, marks={KEY: Mark(50, 100)})
    data = told(first, Entry(change_no=8, marks={SPLIT: Mark(6, 10)}))
    start = len(told())
    for place in range(start, start + len(watermark.line(first))):
        flipped = bytearray(data)
        flipped[place] ^= 1
        assert watermark.read(bytes(flipped)).damage


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 500, told()[:-30], b"\n" * 100, bytes(4_096)])
def test_what_is_no_watermark_is_told(data: bytes) -> None:
    assert watermark.read(data).damage


@pytest.mark.parametrize(
    "line",
    [
        b'{"no":-1}',
        b'{"marks":[["b","","p",1]]}',
        b'{"marks":[["b","","p","1",2]]}',
        b'{"marks":{"b":1}}',
        b'{"epochs":[1]}',
        b"[]",
        b"7",
    ],
)
def test_a_line_that_makes_no_sense_is_damage_like_any(line: bytes) -> None:
    odd = b"%08x %s\n" % (zlib.crc32(line), line)
    assert watermark.read(told() + odd).sound_bytes == len(told())
    assert watermark.read(told() + odd + watermark.line(Entry(generation=2))).damage
