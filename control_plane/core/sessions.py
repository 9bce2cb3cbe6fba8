"""What lets a browser in: sessions, and links that open one.

A session ends when it was not used for a while, when it is old, when its principal is disabled, and
when the token that opened it is revoked or over. Both are texts of 192 random bits of which only
the digest is stored.
"""

import hashlib
import hmac
from dataclasses import dataclass

from control_plane import limits
from control_plane.core import fields

SCRYPT_N = 1 << 14
SCRYPT_R = 8
SCRYPT_P = 5
"""What OWASP's cheat sheet on storing passwords asks for at this N; a tenth of a second of CPU."""
SALT_BYTES = 16
PASSWORD_CHARACTERS_MIN = 12
PASSWORD_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in."""

    digest: bytes
    """SHA-256 of the text in its cookie."""
    principal_id: str
    token_id: str
    """The admin token that opened it; empty for a link or a password."""
    created_unix_ms: int
    used_unix_ms: int
    """When it was last used, to some minutes."""

    def works_at(self, now_unix_ms: int) -> bool:
        """Whether it is neither idle for too long nor too old."""
        idle = now_unix_ms - self.used_unix_ms
        return (
            idle < limits.SESSION_IDLE_MS
            and now_unix_ms - self.created_unix_ms < limits.SESSION_LIFE_MS
        )


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A link that signs one principal in, once."""

    digest: bytes
    principal_id: str
    created_unix_ms: int
    expires_unix_ms: int


@dataclass(frozen=True, slots=True)
class Password:
    """What is kept of a password."""

    principal_id: str
    salt: bytes
    digest: bytes
    changed_unix_ms: int

    def opens(self, text: str) -> bool:
        """Whether it is the password; takes as long for a wrong one."""
        return hmac.compare_digest(password_digest(text, self.salt), self.digest)


def password_digest(text: str, salt: bytes) -> bytes:
    """Scrypt of a password: 32 bytes, and 16 MiB and a tenth of a second to make them."""
    return hashlib.scrypt(
        text.encode()[: 4 * PASSWORD_CHARACTERS_MAX],
        salt=salt,
        n=SCRYPT_N,
        r=SCRYPT_R,
        p=SCRYPT_P,
        maxmem=64 << 20,
        dklen=32,
    )


def check_password(text: str) -> str:
    """A password that is long enough to be kept."""
    if not PASSWORD_CHARACTERS_MIN <= len(text) <= PASSWORD_CHARACTERS_MAX:
        raise fields.invalid(
            "password",
            f"from {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters: four or five "
            "words that nobody would guess together are good",
        )
    return text


def form_proof(session_text: str) -> str:
    """What every form of a session carries, and no other site can know."""
    return hashlib.sha256(b"form:" + session_text.encode()).hexdigest()
