"""Principals: who administers, with which tokens, and what they changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from clients.admin.instants import (
    instant_from_wire,
    instant_or_none_from_wire,
    instant_to_wire,
)
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.errors import InvalidArgumentError

Role = Literal["unknown", "client", "viewer", "operator", "owner"]

_ROLE_FROM_WIRE: Mapping[int, Role] = {
    v1.Role.ROLE_UNSPECIFIED: "unknown",
    v1.Role.ROLE_CLIENT: "client",
    v1.Role.ROLE_VIEWER: "viewer",
    v1.Role.ROLE_OPERATOR: "operator",
    v1.Role.ROLE_OWNER: "owner",
}
_ROLE_TO_WIRE: Mapping[str, v1.Role.ValueType] = {
    "client": v1.Role.ROLE_CLIENT,
    "viewer": v1.Role.ROLE_VIEWER,
    "operator": v1.Role.ROLE_OPERATOR,
    "owner": v1.Role.ROLE_OWNER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminToken:
    """A token of a principal; never the text itself."""

    token_id: str
    """Made by the control plane, such as tok_01jd…."""
    hint: str
    """Prefix and last four characters."""
    create_time: datetime
    """When it was made."""
    expire_time: datetime | None
    """When it ends; None for never."""
    revoke_time: datetime | None
    """When it was revoked; None while it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person or program that owns admin tokens."""

    principal_id: str
    """Made by the control plane, such as usr_01jd…."""
    display_name: str
    """A unique name."""
    role: Role
    """client sees one project at the desk; viewer reads all; operator also changes clients; owner
    also principals and providers."""
    create_time: datetime
    """When it was made."""
    disable_time: datetime | None
    """When it was disabled; None while it is not."""
    tokens: tuple[AdminToken, ...]
    """Its tokens."""
    project_id: str = ""
    """The only project that a client sees; "" for all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A principal with the text of its newest token."""

    principal: Principal
    """The principal."""
    token: str = field(repr=False)
    """The text, shown once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLink:
    """A link that signs a principal in at the desk, once."""

    principal: Principal
    """Whom."""
    secret: str = field(repr=False)
    """Its secret part, shown once."""
    expire_time: datetime
    """When it ends."""
    desk_url: str
    """The desk's address; "" when no desk runs."""

    @property
    def url(self) -> str:
        """What to open in a browser; "" when no desk runs."""
        return f"{self.desk_url}/sign-in/{self.secret}" if self.desk_url else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change, by whom and when."""

    position: int
    """Rises by one with every entry."""
    time: datetime
    """When."""
    actor: str
    """Who: a principal, or a sidecar."""
    method: str
    """The method, such as "SetCap"."""
    resource: str
    """The id of what was changed."""
    project_id: str
    """The project that it belongs to; "" for none."""
    detail_json: str
    """What was said, as JSON without secrets."""
    request_id: str
    """The request's id."""


class Principals:
    """Makes principals and their tokens, and reads the audit log."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.PrincipalServiceStub(wire.channel)

    def create(
        self, *, display_name: str, role: Role, project_id: str = "", request_id: str = ""
    ) -> IssuedToken:
        """Make a principal with a first token; a client is one of a project."""
        if role not in _ROLE_TO_WIRE:
            raise InvalidArgumentError(
                f"{role!r} is no role: use client, viewer, operator or owner", field="role"
            )
        request = v1.CreatePrincipalRequest(
            request_id=request_id or self._wire.request_id(),
            principal=v1.Principal(
                display_name=display_name, role=_ROLE_TO_WIRE[role], project_id=project_id
            ),
        )
        answer = self._wire.ask(self._stub.CreatePrincipal, request)
        return IssuedToken(principal=principal_from_wire(answer.principal), token=answer.token)

    def list(self) -> Iterator[Principal]:
        """Yield principals by name."""

        def fetch(token: str) -> v1.ListPrincipalsResponse:
            request = v1.ListPrincipalsRequest(page_size=PAGE_ITEMS, page_token=token)
            return self._wire.ask(self._stub.ListPrincipals, request)

        return self._wire.pages(fetch, lambda page: map(principal_from_wire, page.principals))

    def disable(self, principal_id: str, *, reason: str = "", request_id: str = "") -> Principal:
        """End a principal and all its tokens. The last owner cannot be ended."""
        request = v1.DisablePrincipalRequest(
            request_id=request_id or self._wire.request_id(),
            principal_id=principal_id,
            reason=reason,
        )
        return principal_from_wire(self._wire.ask(self._stub.DisablePrincipal, request))

    def issue_token(
        self, principal_id: str, *, expire_time: datetime | None = None, request_id: str = ""
    ) -> IssuedToken:
        """Make another token of a principal."""
        request = v1.IssueTokenRequest(
            request_id=request_id or self._wire.request_id(),
            principal_id=principal_id,
            expire_time=instant_to_wire(expire_time),
        )
        answer = self._wire.ask(self._stub.IssueToken, request)
        return IssuedToken(principal=principal_from_wire(answer.principal), token=answer.token)

    def revoke_token(self, token_id: str, *, request_id: str = "") -> Principal:
        """End one token."""
        request = v1.RevokeTokenRequest(
            request_id=request_id or self._wire.request_id(), token_id=token_id
        )
        return principal_from_wire(self._wire.ask(self._stub.RevokeToken, request))

    def create_sign_in_link(self, principal_id: str = "", *, request_id: str = "") -> SignInLink:
        """Make a link that signs a principal in at the desk once; the caller when none is named."""
        request = v1.CreateSignInLinkRequest(
            request_id=request_id or self._wire.request_id(), principal_id=principal_id
        )
        answer = self._wire.ask(self._stub.CreateSignInLink, request)
        return SignInLink(
            principal=principal_from_wire(answer.principal),
            secret=answer.secret,
            expire_time=instant_from_wire(answer.expire_time),
            desk_url=answer.desk_url,
        )

    def caller(self) -> Principal:
        """Tell in whose name this client speaks."""
        return principal_from_wire(self._wire.ask(self._stub.GetCaller, v1.GetCallerRequest()))

    def audit(self, *, project_id: str = "") -> Iterator[AuditEntry]:
        """Yield changes, newest first."""

        def fetch(token: str) -> v1.ListAuditEntriesResponse:
            request = v1.ListAuditEntriesRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListAuditEntries, request)

        return self._wire.pages(fetch, lambda page: map(audit_entry_from_wire, page.entries))


def principal_from_wire(wire: v1.Principal) -> Principal:
    """Read a principal."""
    return Principal(
        principal_id=wire.principal_id,
        display_name=wire.display_name,
        role=_ROLE_FROM_WIRE[wire.role],
        create_time=instant_from_wire(wire.create_time),
        disable_time=instant_or_none_from_wire(wire.disable_time),
        tokens=tuple(admin_token_from_wire(token) for token in wire.tokens),
        project_id=wire.project_id,
    )


def admin_token_from_wire(wire: v1.AdminToken) -> AdminToken:
    """Read what may be told of a token."""
    return AdminToken(
        token_id=wire.token_id,
        hint=wire.hint,
        create_time=instant_from_wire(wire.create_time),
        expire_time=instant_or_none_from_wire(wire.expire_time),
        revoke_time=instant_or_none_from_wire(wire.revoke_time),
    )


def audit_entry_from_wire(wire: v1.AuditEntry) -> AuditEntry:
    """Read a change."""
    return AuditEntry(
        position=wire.position,
        time=instant_from_wire(wire.time),
        actor=wire.actor,
        method=wire.method,
        resource=wire.resource,
        project_id=wire.project_id,
        detail_json=wire.detail_json,
        request_id=wire.request_id,
    )
