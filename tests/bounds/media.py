"""Pictures and sound with known measures, and the tokens that their providers make of them.

The tables are written down here from the providers' documents, not taken from the product.
"""

import base64
import binascii
import struct
from fractions import Fraction

_TILES = {
    "gpt-4o-mini": (2_833, 5_667, 48_169),
    "gpt-4o": (85, 170, 1_445),
    "gpt-4.1": (85, 170, 1_445),
    "gpt-5": (70, 140, 1_190),
    "o3": (75, 150, 1_275),
}
"""Base, tokens a tile, and the most, by the model's exact id."""
_PATCHES = {
    "gpt-4.1-mini": (6_144, Fraction(162, 100)),
    "gpt-5.4": (10_000, Fraction(12, 10)),
    "gpt-5.6-large": (30_000, Fraction(12, 10)),
}
"""The most patches of 32 by 32 pixels, and tokens a patch."""
_UNKNOWN = 48_169
_CLAUDE_MOST = 4_784
_GEMINI_2_MOST, _GEMINI_3_MOST = 64 * 258, 2_240
GEMINI_AUDIO_PER_S = 32
OPENAI_AUDIO_PER_S = 10


def png(width: int, height: int) -> bytes:
    """The beginning of a picture file, as much as readers of headers need."""
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02"


def wav(milliseconds: int) -> bytes:
    """Silence of so long, 8 bits at 1,000 Hz: a byte is a millisecond."""
    size = milliseconds
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 1_000, 1_000, 1, 8)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form
    return head + b"data" + struct.pack("<I", size) + bytes(size)


def in_base64(content: bytes) -> str:
    """As JSON carries it."""
    return base64.b64encode(content).decode()


def size_of(payload: str) -> tuple[int, int] | None:
    """Width and height of a picture of ours in base64; None of anything else."""
    try:
        head = base64.b64decode(payload[:64] + "=" * (-len(payload[:64]) % 4))
    except (binascii.Error, ValueError):
        return None
    if not head.startswith(b"\x89PNG") or len(head) < 24:
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def openai_picture(model: str, url: str, *, low: bool) -> int:
    """The most tokens of a picture at an OpenAI model; of one elsewhere, the model's largest."""
    payload = url.partition("base64,")[2] if url.startswith("data:") else ""
    size = size_of(payload) if payload else None
    if model in _TILES:
        base, each, most = _TILES[model]
        if low:
            return base
        return most if size is None else base + each * _tiles(*size)
    if model in _PATCHES:
        most_patches, weight = _PATCHES[model]
        patches = most_patches
        if size is not None:
            patches = min(patches, -(-size[0] // 32) * -(-size[1] // 32))
        return _ceil(patches * weight)
    return _UNKNOWN


def _tiles(width: int, height: int) -> int:
    """Squares of 512, after fitting into 2,048 and the short side into 768, sides rounded."""
    sides = [Fraction(width), Fraction(height)]
    for fitted, side in ((2_048, max(sides)), (768, min(sides))):
        scale = min(Fraction(1), Fraction(fitted) / side)
        if fitted == 768:
            scale = min(Fraction(1), Fraction(fitted) / min(sides))
        sides = [Fraction(int(each * scale + Fraction(1, 2))) for each in sides]
        sides = [max(Fraction(1), each) for each in sides]
    return _ceil(sides[0] / 512) * _ceil(sides[1] / 512)


def claude_picture(payload: str) -> int:
    """The most tokens of a picture at Anthropic; "" is one that is fetched elsewhere."""
    size = size_of(payload) if payload else None
    if size is None:
        return _CLAUDE_MOST
    squares = -(-size[0] // 28) * -(-size[1] // 28)
    return min(_CLAUDE_MOST, max(squares, _ceil(Fraction(size[0] * size[1], 750))))


def gemini_picture(model: str) -> int:
    """The most tokens of a picture at a Gemini model."""
    return _GEMINI_3_MOST if model.startswith("gemini-3") else _GEMINI_2_MOST


def longest_s(content: bytes) -> Fraction:
    """How long a recording can play: ours exactly, others as speech is packed at the tightest."""
    if content.startswith(b"RIFF"):
        return Fraction(len(content) - 44, 1_000)
    return Fraction(len(content), 500)


def decoded(payload: str) -> bytes:
    """Base64 as bytes."""
    return base64.b64decode(payload)
