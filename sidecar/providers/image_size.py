"""The size of a picture in pixels, read from the beginning of its file.

What decides tokens is how many pixels a picture has, never how many bytes. PNG, JPEG, GIF and WebP
say it near their beginning. Where two decoders could see different sizes (pictures that move,
headers that are not whole, formats that are not known) nothing is said, and the picture counts as
the largest that there is.
"""

import binascii
import re
from typing import NamedTuple

HEADER_MAX_BYTES = 48 * 1024
"""How much of a file is looked at; cameras put up to 64 KiB of their own before a JPEG's size."""
_HEADER_CHARACTERS = HEADER_MAX_BYTES // 3 * 4
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z")
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header; the other three mean tables and an extension."""
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
"""Markers that carry nothing."""
_JPEG_SCAN = 0xDA
_WEBP_MOVES = 0x02


class Size(NamedTuple):
    """A picture's width and height."""

    width: int
    """In pixels."""
    height: int
    """In pixels."""


def of_base64(payload: str) -> Size | None:
    """The size of a picture that is written in base64; None when it does not tell."""
    head = payload[:_HEADER_CHARACTERS]
    if _BASE64.match(head) is None or (len(head) < len(payload) and "=" in head):
        return None
    try:
        opened = binascii.a2b_base64(head)
    except binascii.Error:
        return None
    return of_file(opened, whole=len(head) == len(payload))


def of_file(head: bytes, *, whole: bool) -> Size | None:
    """The size of a picture from its first bytes, or from all of them; None when not told."""
    if head.startswith(_PNG):
        size = _big_endian(head, 16, 4)
    elif head.startswith(b"\xff\xd8\xff"):
        size = _of_jpeg(head)
    elif head.startswith((b"GIF87a", b"GIF89a")):
        size = _of_gif(head) if whole else None
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        size = _of_webp(head)
    else:
        size = None
    return size if size is not None and size.width and size.height else None


def _big_endian(head: bytes, at: int, count: int) -> Size | None:
    if len(head) < at + 2 * count:
        return None
    middle = at + count
    return Size(
        int.from_bytes(head[at:middle], "big"), int.from_bytes(head[middle : middle + count], "big")
    )


def _of_jpeg(head: bytes) -> Size | None:
    """The first frame header, past the segments in front of it."""
    at = 2
    while at + 4 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        elif marker in _JPEG_SIZES:
            turned = _big_endian(head, at + 5, 2)
            return None if turned is None else Size(turned.height, turned.width)
        elif marker == _JPEG_SCAN:
            return None
        else:
            length = int.from_bytes(head[at + 2 : at + 4], "big")
            if length < 2:
                return None
            at += 2 + length
    return None


def _of_gif(body: bytes) -> Size | None:
    """The size of a GIF that is one picture; of one that moves each reader takes what it likes."""
    if len(body) < 13:
        return None
    wide, high = _little_endian(body, 6)
    at = 13 + _color_table_bytes(body[10])
    pictures = 0
    while at < len(body):
        block = body[at]
        if block == 0x3B:
            return Size(wide, high) if pictures == 1 and at + 1 == len(body) else None
        if block == 0x21:
            at += 2
        elif block == 0x2C and at + 10 <= len(body):
            pictures += 1
            left, top = _little_endian(body, at + 1)
            width, height = _little_endian(body, at + 5)
            wide, high = max(wide, left + width), max(high, top + height)
            at += 11 + _color_table_bytes(body[at + 9])
        else:
            return None
        while at < len(body) and body[at]:
            at += 1 + body[at]
        at += 1
    return None


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _little_endian(body: bytes, at: int) -> tuple[int, int]:
    return (
        int.from_bytes(body[at : at + 2], "little"),
        int.from_bytes(body[at + 2 : at + 4], "little"),
    )


def _of_webp(head: bytes) -> Size | None:
    kind, data = head[12:16], head[20:30]
    if len(data) < 10:
        return None
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        width, height = _little_endian(data, 6)
        return Size(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X" and not data[0] & _WEBP_MOVES:
        return Size(
            int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
        )
    return None
