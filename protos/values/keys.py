"""The text of a secret that Bursar hands out: prefix, random part, checksum.

`bursar_pk_` + 33 base62 characters (192 random bits) + 6 base62 characters (CRC-32 of all that
stands before). The prefix and the checksum let a scanner tell a leaked key from noise without
asking anybody; the scheme is the one GitHub published for its tokens in April 2021. Only the
SHA-256 digest of the whole text is ever stored: 192 bits of chance need no slow hash.
"""

import hashlib
import re
import zlib

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_BYTES = 24
"""Random bytes in a secret: 192 bits."""
_BODY_CHARACTERS = 33
_CHECKSUM_CHARACTERS = 6

PROJECT_KEY = "bursar_pk_"
"""A project's gateway key, sent by workflows."""
ADMIN_TOKEN = "bursar_at_"  # noqa: S105 - a prefix, not a secret
"""A principal's token for the admin services."""
JOIN_TOKEN = "bursar_jt_"  # noqa: S105 - a prefix, not a secret
"""A one-time token with which a sidecar joins."""
SIDECAR_CREDENTIAL = "bursar_sc_"
"""What a joined sidecar proves itself with."""
SUFFIX_MARK = "~"
"""What may follow a project key and says what its call is for: KEY~workflow~execution~step.

It is in no secret and in no label, no header forbids it, and no address has to escape it.
"""
WEB_SESSION = "bursar_ws_"
"""A browser's session at the desk, in its cookie."""
SIGN_IN_LINK = "bursar_sl_"
"""The part of a one-time link that opens a session."""
SHARE_LINK = "bursar_sh_"
"""The part of a link that shows one client its own page."""
PREFIXES = (
    PROJECT_KEY,
    ADMIN_TOKEN,
    JOIN_TOKEN,
    SIDECAR_CREDENTIAL,
    WEB_SESSION,
    SIGN_IN_LINK,
    SHARE_LINK,
)

PATTERN = re.compile(r"bursar_(?:pk|at|jt|sc|ws|sl|sh)_[0-9A-Za-z]{39}")
"""Finds any Bursar secret in a text; for log filters and secret scanners."""


def _base62(number: int, characters: int) -> str:
    letters = []
    for _ in range(characters):
        number, digit = divmod(number, 62)
        letters.append(_BASE62[digit])
    return "".join(reversed(letters))


def make_key(prefix: str, random_bytes: bytes) -> str:
    """Make the text of a secret from `SECRET_BYTES` random bytes."""
    assert prefix in PREFIXES
    assert len(random_bytes) == SECRET_BYTES
    body = prefix + _base62(int.from_bytes(random_bytes), _BODY_CHARACTERS)
    return body + _base62(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS)


def is_key(text: str, prefix: str) -> bool:
    """Whether the text has this prefix, the right length and alphabet, and a true checksum."""
    if not text.startswith(prefix) or PATTERN.fullmatch(text) is None:
        return False
    body, checksum = text[:-_CHECKSUM_CHARACTERS], text[-_CHECKSUM_CHARACTERS:]
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS) == checksum


def split_suffix(text: str) -> tuple[str, str]:
    """A key's text without what was written behind it, and that; "" where there is none."""
    key, _, suffix = text.partition(SUFFIX_MARK)
    return key, suffix


def key_digest(text: str) -> bytes:
    """The 32 bytes under which a secret is stored and looked up: always the full digest."""
    return hashlib.sha256(text.encode()).digest()


def key_hint(text: str) -> str:
    """What may be shown of a secret: its prefix and last four characters."""
    prefix = next((known for known in PREFIXES if text.startswith(known)), "")
    return f"{prefix}…{text[-4:]}"


def redact(text: str) -> str:
    """The text with every Bursar secret in it replaced by its prefix and "[redacted]"."""
    return PATTERN.sub(lambda match: f"{match.group()[:10]}[redacted]", text)
