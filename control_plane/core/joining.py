"""What a join token is: it lets one sidecar in, once, within a given time."""

from dataclasses import dataclass
from typing import Final

LIFETIME_DEFAULT_MS: Final = 3_600_000
"""How long a token may be used when nothing is said."""
LIFETIME_MAX_MS: Final = 24 * 3_600_000
"""The longest life of a token."""
SCOPE_PROJECTS_MAX: Final = 1_000
"""Projects that a sidecar may be scoped to by name; empty means all."""
OPEN_TOKENS_MAX: Final = 1_000
"""Tokens that wait to be used."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A one-time token; its text is nowhere."""

    token_id: str
    digest: bytes
    """SHA-256 of the whole text."""
    project_ids: tuple[str, ...]
    """Projects that the sidecar receives; empty for all."""
    region: str
    """The sidecar's region; may be empty."""
    created_by: str
    """The principal who made it."""
    created_unix_ms: int
    expires_unix_ms: int
    used_unix_ms: int | None = None
    credential_digest: bytes | None = None
    """The credential that it was used with; the same one may come again."""
    sidecar_id: str | None = None
    """The sidecar that it let in."""


@dataclass(frozen=True, slots=True)
class NewJoinToken:
    """A token that is asked for."""

    project_ids: tuple[str, ...] = ()
    region: str = ""
    lifetime_ms: int = LIFETIME_DEFAULT_MS
