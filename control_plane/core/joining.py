"""What a join token is: it lets one sidecar in, once, within a given time."""

from dataclasses import dataclass

from control_plane import limits


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
    lifetime_ms: int = limits.JOIN_TOKEN_LIFE_DEFAULT_MS
