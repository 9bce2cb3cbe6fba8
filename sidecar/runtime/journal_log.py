"""Tells a torn end of the journal's write-ahead log from one that rotted further up.

SQLite reads the log up to the first frame that is not whole and forgets the rest without a word. At
the end that is right: what a power cut tore was never said to be durable. But each group is on the
disk before the next begins, so no power cut leaves more than one group torn. Where two groups or
more lie whole behind a broken frame, or any behind a broken header, something else was at work, and
calls that were let go out are among what would be forgotten.

The format is SQLite's own: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
from pathlib import Path

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_LITTLE, _BIG = 0x377F0682, 0x377F0683
"""First words of a log whose checksums are over little-endian and big-endian numbers."""
_MASK = 0xFFFFFFFF
_TORN_COMMITS_MAX = 1
"""Ends of groups that may lie behind a broken frame: the one that was being written."""

Sum = tuple[int, int]


def is_rotten(log: Path) -> bool:
    """Whether the log is broken in a way that no power cut explains."""
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return False
    if len(data) < _HEADER_BYTES + _FRAME_HEADER_BYTES:
        return False
    magic, _, page_bytes, _, *salts = struct.unpack_from(">6I", data)
    order = {_LITTLE: "<", _BIG: ">"}.get(magic)
    said: Sum = struct.unpack_from(">2I", data, _HEADER_BYTES - 8)
    if order is None or _sum(data[: _HEADER_BYTES - 8], order, (0, 0)) != said:
        return True
    return _commits_behind(data, page_bytes, (salts[0], salts[1]), order, said) > _TORN_COMMITS_MAX


def _commits_behind(data: bytes, page_bytes: int, salts: Sum, order: str, before: Sum) -> int:
    """How many groups end behind the first broken frame, as far as they hang together again.

    A frame's checksum goes on from the one before it, which it can do behind a broken one too.
    """
    broken = False
    commits = 0
    whole_bytes = _FRAME_HEADER_BYTES + page_bytes
    for start in range(_HEADER_BYTES, len(data) - whole_bytes + 1, whole_bytes):
        _, pages, *found = struct.unpack_from(">6I", data, start)
        said: Sum = (found[2], found[3])
        first = _sum(data[start : start + 8], order, before)
        page = data[start + _FRAME_HEADER_BYTES : start + whole_bytes]
        ours = (found[0], found[1]) == salts
        fits = _sum(page, order, first) == said
        if fits and not (ours or broken):
            # What was left of an earlier log would not go on from the frames of this one.
            return _TORN_COMMITS_MAX + 1
        broken = broken or not fits
        # A broken frame that says it is the end of its group is one, if more comes behind it.
        if broken and pages and ours:
            commits += 1
        before = said
    return commits


def _sum(data: bytes, order: str, before: Sum) -> Sum:
    """SQLite's checksum of so many pairs of 32-bit numbers, going on from an earlier one."""
    one, two = before
    numbers = struct.unpack(f"{order}{len(data) // 4}I", data)
    whole = len(numbers) & ~7
    each = iter(numbers[:whole])
    # Four pairs at a time, which costs a fifth less: all of the log is read at each start.
    for a, b, c, d, e, f, g, h in zip(*[each] * 8, strict=True):
        one += a + two
        two += b + one
        one += c + two
        two += d + one
        one += e + two
        two += f + one
        one = (one + g + two) & _MASK
        two = (two + h + one) & _MASK
    pairs = iter(numbers[whole:])
    for first, second in zip(pairs, pairs, strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return one, two
