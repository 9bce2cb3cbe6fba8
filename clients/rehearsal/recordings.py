"""How long a recording plays, and what it counts: ten tokens a second.

WAV is exact, read by the standard library; anything else plays for what 32 kbit/s make of it.
"""

import base64
import binascii
import io
import wave
from fractions import Fraction
from math import ceil

_TOKENS_PER_SECOND = 10
_ASSUMED_BITS_PER_SECOND = 32_000


def seconds_of(recording: bytes) -> Fraction:
    """Return how long a recording plays."""
    try:
        with wave.open(io.BytesIO(recording)) as opened:
            return Fraction(opened.getnframes(), opened.getframerate())
    except (wave.Error, EOFError):
        return Fraction(len(recording) * 8, _ASSUMED_BITS_PER_SECOND)


def heard_tokens(recording: bytes) -> int:
    """Return what a recording counts."""
    return ceil(seconds_of(recording) * _TOKENS_PER_SECOND)


def heard_in_part(part: object) -> int:
    """Return what the recording counts in a part of a message."""
    data = part.get("data") if isinstance(part, dict) else None
    try:
        return heard_tokens(base64.b64decode(str(data), validate=True))
    except (binascii.Error, ValueError):
        return 0
