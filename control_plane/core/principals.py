"""Who administers: principals, their roles and tokens, and the trail of what they did."""

from dataclasses import dataclass
from enum import Enum

from protos.values.errors import PermissionDeniedError


class Role(Enum):
    """What a principal may do; each role may do all that the ones before it may.

    A client sees the page of one project at the desk, and no method of the admin services.
    """

    CLIENT = "client"
    VIEWER = "viewer"
    OPERATOR = "operator"
    OWNER = "owner"

    def includes(self, other: "Role") -> bool:
        """Whether this role may do all that the other may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True)
class AdminToken:
    """One token of a principal; its text is nowhere."""

    token_id: str
    principal_id: str
    digest: bytes
    """SHA-256 of the whole text."""
    hint: str
    """Prefix and last four characters."""
    created_unix_ms: int
    expires_unix_ms: int | None = None
    """When it ends; None for never."""
    revoked_unix_ms: int | None = None

    def works_at(self, now_unix_ms: int) -> bool:
        """Whether it is neither revoked nor expired."""
        in_time = self.expires_unix_ms is None or now_unix_ms < self.expires_unix_ms
        return self.revoked_unix_ms is None and in_time


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or program that owns admin tokens."""

    principal_id: str
    display_name: str
    """Unique, whatever the case of its letters."""
    role: Role
    created_unix_ms: int
    disabled_unix_ms: int | None = None
    tokens: tuple[AdminToken, ...] = ()
    """Newest first."""
    project_id: str = ""
    """The only project that it sees; of a client, and of nobody else."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, by whom and when."""

    position: int
    """Rises by one with every entry."""
    at_unix_ms: int
    actor: str
    """A principal's id, or a sidecar's."""
    method: str
    """The method, such as "SetCap"."""
    resource: str
    """The id of what was changed."""
    project_id: str
    """The project that it belongs to; empty for none."""
    detail_json: str
    """What was said, as JSON without secrets."""
    request_id: str


def check_grant(granter: Role, granted: Role) -> None:
    """Nobody gives what he lacks."""
    if not granter.includes(granted):
        raise PermissionDeniedError(
            f"the role {granter.value} cannot give the role {granted.value}",
            role=granter.value,
        )
