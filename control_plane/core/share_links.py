"""Links that show one client its own page, to whoever has the link."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShareLink:
    """One link; its text is nowhere."""

    link_id: str
    digest: bytes
    """SHA-256 of its secret part."""
    project_id: str
    created_by: str
    """The principal who made it."""
    created_unix_ms: int
    expires_unix_ms: int
    revoked_unix_ms: int | None = None
    view_count: int = 0
    viewed_unix_ms: int | None = None

    def works_at(self, now_unix_ms: int) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_unix_ms is None and now_unix_ms < self.expires_unix_ms
