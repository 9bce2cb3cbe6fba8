"""What lets a browser in: sessions, and links that open one.

A session ends when it was not used for a while, when it is old, when its principal is disabled, and
when the token that opened it is revoked or over. Both are texts of 192 random bits of which only
the digest is stored.
"""

import hashlib
from dataclasses import dataclass

from control_plane import limits


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


def form_proof(session_text: str) -> str:
    """What every form of a session carries, and no other site can know."""
    return hashlib.sha256(b"form:" + session_text.encode()).hexdigest()
