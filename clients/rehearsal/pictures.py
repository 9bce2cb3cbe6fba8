"""How many tokens a picture counts, by its pixels; and the pictures that are made up.

The rules are the providers' published ones: tiles of 512 pixels, patches of 32, squares of 28. They
are calculated here with fractions and rounded to the nearest pixel, as a provider might.
"""

import base64
import binascii
import hashlib
import struct
from fractions import Fraction
from math import ceil

ASSUMED = (1024, 1024)
"""The pixels of a picture that is only named, or whose header is not understood."""

_TILES = {
    "gpt-4o-mini": (2833, 5667),
    "gpt-4o": (85, 170),
    "gpt-4.1": (85, 170),
    "gpt-5": (70, 140),
}
_PATCHES = {
    "gpt-4.1-mini": (Fraction("1.62"), 1536),
    "gpt-5-mini": (Fraction("1.62"), 1536),
    "gpt-5-nano": (Fraction("2.46"), 1536),
    "gpt-5.6-luna": (Fraction("1.2"), 10_000),
    "gpt-5.6-terra": (Fraction("1.2"), 10_000),
}
_ANY_MODEL = (85, 170)
_SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF")


def pixels(content: bytes) -> tuple[int, int]:
    """Return the width and the height in a picture's header."""
    try:
        found = _found(content)
    except (struct.error, IndexError):
        found = None
    return found if found is not None and all(found) else ASSUMED


def _found(content: bytes) -> tuple[int, int] | None:
    if content[:4] == b"\x89PNG":
        wide, high = struct.unpack(">II", content[16:24])
        return wide, high
    if content[:4] == b"GIF8":
        wide, high = struct.unpack("<HH", content[6:10])
        return wide, high
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content)
    if content[:2] == b"\xff\xd8":
        return _jpeg(content)
    return None


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(
            content[27:30], "little"
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", content[21:25])
        return 1 + bits % 16384, 1 + bits // 16384 % 16384
    if kind == b"VP8 ":
        wide, high = struct.unpack("<HH", content[26:30])
        return wide % 16384, high % 16384
    return None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        (size,) = struct.unpack(">H", content[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack(">HH", content[at + 5 : at + 9])
            return wide, high
        at += 2 + size
    return None


def of_data_url(url: str) -> tuple[int, int]:
    """Return the pixels of a picture in a data URL."""
    head, comma, payload = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return ASSUMED
    return of_base64(payload)


def of_base64(payload: str) -> tuple[int, int]:
    """Return the pixels of a picture in base64."""
    try:
        content = base64.b64decode(payload[: 64 * 1024], validate=True)
    except (binascii.Error, ValueError):
        return ASSUMED
    return pixels(content)


def openai_tokens(model: str, size: tuple[int, int], detail: object = None) -> int:
    """Return what a picture counts at an OpenAI model."""
    if model in _PATCHES:
        factor, most = _PATCHES[model]
        return ceil(factor * min(most, ceil(Fraction(size[0], 32)) * ceil(Fraction(size[1], 32))))
    base, each = _TILES.get(model, _ANY_MODEL)
    if detail == "low":
        return base
    return base + each * _tiles(size, 2048, 768)


def edited_tokens(size: tuple[int, int], fidelity: object) -> int:
    """Return what a picture counts that is to be edited."""
    more = 0
    if fidelity == "high":
        more = 4160 if size[0] == size[1] else 6240
    return 65 + 129 * _tiles(size, 2048, 512) + more


def _tiles(size: tuple[int, int], around: int, short: int) -> int:
    wide, high = size
    if max(wide, high) > around:
        scale = Fraction(around, max(wide, high))
        wide, high = max(1, round(wide * scale)), max(1, round(high * scale))
    if min(wide, high) > short:
        scale = Fraction(short, min(wide, high))
        wide, high = max(1, round(wide * scale)), max(1, round(high * scale))
    return ceil(Fraction(wide, 512)) * ceil(Fraction(high, 512))


def anthropic_tokens(model: str, size: tuple[int, int]) -> int:
    """Return what a picture counts at an Anthropic model."""
    newer = "-5-5" in model
    around = 2576 if newer else 1568
    wide, high = size
    if max(wide, high) > around:
        scale = Fraction(around, max(wide, high))
        wide, high = max(1, round(wide * scale)), max(1, round(high * scale))
    if newer:
        return min(4784, ceil(Fraction(wide, 28)) * ceil(Fraction(high, 28)))
    return min(1600, ceil(Fraction(wide * high, 750)))


def made_up(seed: str, size_bytes: int) -> str:
    """Return a picture in base64 that begins like a PNG of one pixel and is that long."""
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 1, 1)
    grain = hashlib.blake2b(seed.encode("utf-8", "surrogatepass")).digest()
    filled = (head + grain * (1 + size_bytes // len(grain)))[:size_bytes]
    return base64.b64encode(filled).decode("ascii")
