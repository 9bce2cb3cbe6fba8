"""Principals, their tokens and the audit log on the wire."""

from typing import Final

from control_plane.core import fields
from control_plane.core.principals import AdminToken, AuditEntry, Principal, Role
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from protos.bursar.admin import v1

_ROLES: Final[dict[Role, v1.Role.ValueType]] = {
    Role.CLIENT: v1.Role.ROLE_CLIENT,
    Role.VIEWER: v1.Role.ROLE_VIEWER,
    Role.OPERATOR: v1.Role.ROLE_OPERATOR,
    Role.OWNER: v1.Role.ROLE_OWNER,
}


def principal_to_wire(principal: Principal) -> v1.Principal:
    """A principal with its tokens."""
    return v1.Principal(
        principal_id=principal.principal_id,
        display_name=principal.display_name,
        role=role_to_wire(principal.role),
        create_time=instant_to_wire(principal.created_unix_ms),
        disable_time=instant_or_none_to_wire(principal.disabled_unix_ms),
        tokens=[_token_to_wire(token) for token in principal.tokens],
        project_id=principal.project_id,
    )


def role_to_wire(role: Role) -> v1.Role.ValueType:
    """A role."""
    return _ROLES[role]


def role_from_wire(value: v1.Role.ValueType) -> Role:
    """A role that somebody is to have."""
    for role, known in _ROLES.items():
        if known == value:
            return role
    raise fields.invalid("principal.role", "one of client, viewer, operator, owner")


def audit_entry_to_wire(entry: AuditEntry) -> v1.AuditEntry:
    """One change."""
    return v1.AuditEntry(
        position=entry.position,
        time=instant_to_wire(entry.at_unix_ms),
        actor=entry.actor,
        method=entry.method,
        resource=entry.resource,
        project_id=entry.project_id,
        detail_json=entry.detail_json,
        request_id=entry.request_id,
    )


def _token_to_wire(token: AdminToken) -> v1.AdminToken:
    return v1.AdminToken(
        token_id=token.token_id,
        hint=token.hint,
        create_time=instant_to_wire(token.created_unix_ms),
        expire_time=instant_or_none_to_wire(token.expires_unix_ms),
        revoke_time=instant_or_none_to_wire(token.revoked_unix_ms),
    )
