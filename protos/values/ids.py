"""Names that Bursar makes for its nouns: a prefix that tells the noun, and 26 sortable characters.

The body is Crockford base32 of 48 bits of milliseconds and 80 random bits, so that ids made later
sort later. Whoever wants a thing once makes its id and keeps it before sending.
"""

import re

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
"""Two characters for each ten bits."""
_SHIFTS = range(120, -1, -10)
RANDOM_BYTES = 10
"""Random bytes that `make_id` wants."""

PROJECT = "prj"
KEY = "key"
SECRET = "sec"  # noqa: S105 - a prefix, not a secret
BUDGET = "bgt"
PRICE_BOOK = "pbk"
RATE_CARD = "rtc"
STATEMENT = "stm"
PROVIDER = "prv"
PROVIDER_SECRET = "psc"  # noqa: S105 - a prefix, not a secret
RATE_LIMIT = "rlm"
SIDECAR = "sdc"
CALL = "call"
PRINCIPAL = "usr"
TOKEN = "tok"  # noqa: S105 - a prefix, not a secret
AUDIT = "aud"
SHARE_LINK = "shl"
ALERT = "alt"
CHANNEL = "chn"
PERSON = "per"
DELIVERY = "dlv"
REQUEST = "req"

_ID = re.compile(r"[a-z]{3,5}_[0-9a-hjkmnp-tv-z]{26}\Z")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._@/-]{0,62}[A-Za-z0-9._@-])?\Z")
LABEL_CHARACTERS_MAX = 64
"""Longest workflow label, execution or step."""


def make_id(prefix: str, now_unix_ms: int, random_bytes: bytes) -> str:
    """Make an id from a time and `RANDOM_BYTES` random bytes, such as prj_01jd5k…."""
    assert len(random_bytes) == RANDOM_BYTES
    assert 0 <= now_unix_ms < 2**48
    number = (now_unix_ms << 80) | int.from_bytes(random_bytes)
    pairs = [_PAIRS[number >> shift & 1023] for shift in _SHIFTS]
    return f"{prefix}_{''.join(pairs)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether the text is an id of the noun that the prefix tells."""
    return text.startswith(f"{prefix}_") and _ID.match(text) is not None


def is_label(text: str) -> bool:
    """Whether the text may name a workflow, an execution or a step (1 to 64 plain characters)."""
    return _LABEL.match(text) is not None


def label_from_text(text: str) -> str:
    """Make a workflow label out of what a tool sent: bad characters become "-", cut at 64.

    Returns "" when nothing is left. n8n sends workflow names with any characters in them.
    """
    cleaned = re.sub(r"[^A-Za-z0-9 ._@/-]+", "-", text.strip())[:LABEL_CHARACTERS_MAX]
    cleaned = cleaned.strip(" -/.")
    return cleaned if is_label(cleaned) else ""
