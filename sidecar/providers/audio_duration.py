"""How long a recording can be at most, in milliseconds, from its size and its header.

Uncompressed WAV says how many bytes a second takes, and then every byte of the file counts as
sound, whatever the header says of its length. A compressed file gives no such bound: silence
takes next to nothing. It counts as long as it could be at the lowest bitrate that anybody encodes
speech with; that is a plausible bound and not a proof. A recording that still turns out longer is
settled at what its provider reports, as an overrun.
"""

import binascii
import contextlib

MP3_MIN_BITS_PER_S = 8_000
"""The lowest bitrate in the format's table (MPEG-2, layer III)."""
COMPRESSED_MIN_BITS_PER_S = 4_000
"""Below the lowest of Opus (6), AMR (4.75) and AAC (8 kbit/s) for a voice that speaks."""
TOKENS_PER_S = 20
"""Twice what OpenAI's models were seen to make of a second."""
HEADER_MAX_BYTES = 96 * 1024
"""How much of a recording is looked at; a tag with a picture may stand before an MP3."""
_WAV_HEADERS_BYTES = 44
"""The least that stands before the sound in a WAV file."""
_PLAIN = (1, 3)
"""Whole numbers and floating point."""
_EXTENSIBLE = 0xFFFE
"""The kind stands further on, in a longer header."""


def max_ms(head: bytes, size_bytes: int) -> int:
    """The longest that a recording of so many bytes plays; `head` is its beginning."""
    per_second = _wav_bytes_per_s(head)
    if per_second:
        return _ceil(max(0, size_bytes - _WAV_HEADERS_BYTES) * 1_000, per_second)
    slowest = MP3_MIN_BITS_PER_S if _is_mp3(head) else COMPRESSED_MIN_BITS_PER_S
    return _ceil(size_bytes * 8_000, slowest)


def of_base64(payload: str) -> int:
    """The longest that a recording in base64 plays, in milliseconds."""
    head = b""
    with contextlib.suppress(binascii.Error, ValueError):
        head = binascii.a2b_base64(payload[: HEADER_MAX_BYTES // 3 * 4], strict_mode=True)
    return max_ms(head, len(payload) // 4 * 3 + 3)


def max_tokens(duration_ms: int) -> int:
    """The most tokens that OpenAI's models make of a recording."""
    return _ceil(duration_ms * TOKENS_PER_S, 1_000)


def _ceil(value: int, by: int) -> int:
    return -(-value // by)


def _wav_bytes_per_s(head: bytes) -> int:
    """Bytes a second of plain WAV; 0 for anything else, and where the header contradicts itself."""
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt " or len(head) < 36:
        return 0
    kind = _number(head, 20, 2)
    if kind == _EXTENSIBLE:
        kind = _number(head, 44, 2)
    channels, samples_per_s = _number(head, 22, 2), _number(head, 24, 4)
    bytes_per_s, block_bytes, bits = (
        _number(head, 28, 4),
        _number(head, 32, 2),
        _number(head, 34, 2),
    )
    plain = (
        kind in _PLAIN
        and bits in (8, 16, 24, 32, 64)
        and block_bytes == channels * bits // 8
        and bytes_per_s == samples_per_s * block_bytes
    )
    return bytes_per_s if plain else 0


def _number(head: bytes, at: int, count: int) -> int:
    return int.from_bytes(head[at : at + count], "little")


def _is_mp3(head: bytes) -> bool:
    """Whether the file begins with a frame of layer III, after a tag that may stand before it."""
    at = 0
    tag = head[:10]
    if tag.startswith(b"ID3") and len(tag) == 10 and max(tag[6:]) < 0x80:
        at = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    frame = head[at : at + 3]
    # A bitrate of 0 means any, and one of 15 none.
    return (
        len(frame) == 3
        and frame[0] == 0xFF
        and frame[1] & 0xE6 == 0xE2
        and frame[2] >> 4 not in (0, 15)
    )
