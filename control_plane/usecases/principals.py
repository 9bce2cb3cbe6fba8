"""Principals, their tokens, who a caller is, and the audit log."""

from collections.abc import Mapping
from dataclasses import replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.access import authorise
from control_plane.core.pages import Asked, Page
from control_plane.core.principals import (
    AdminToken,
    AuditEntry,
    Principal,
    Role,
    check_grant,
)
from control_plane.store import audit, principals, sessions
from control_plane.store.engine import ConflictError, Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values import ids, keys
from protos.values.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    LimitExceededError,
    NotFoundError,
    UnauthenticatedError,
)


def authenticate(tx: Tx, text: str, now_unix_ms: int) -> Principal:
    """Who shows this token. Raises UnauthenticatedError.

    The text is proven by its checksum before the database is asked, and looked up by its whole
    digest, so that the time it takes tells nothing about tokens that exist.
    """
    if not keys.is_key(text, keys.ADMIN_TOKEN):
        raise UnauthenticatedError("that is no admin token: it begins with bursar_at_")
    token = principals.token_by_digest(tx, keys.key_digest(text))
    if token is None:
        raise UnauthenticatedError("the admin token is unknown here")
    if not token.works_at(now_unix_ms):
        raise UnauthenticatedError("the admin token was revoked or is over: ask for a new one")
    principal = principals.get(tx, token.principal_id)
    assert principal is not None
    if principal.disabled_unix_ms is not None:
        raise UnauthenticatedError("the principal of this token was disabled")
    return principal


def permit(tx: Tx, text: str, service: str, method: str, now_unix_ms: int) -> Principal:
    """Who shows this token, if the method is allowed to them."""
    principal = authenticate(tx, text, now_unix_ms)
    authorise(principal.role, service, method)
    return principal


def new_token(act: Act, principal_id: str, expires_unix_ms: int | None) -> tuple[AdminToken, str]:
    """Make a token and its text."""
    text = act.entropy.secret(keys.ADMIN_TOKEN)
    token = AdminToken(
        token_id=act.id(ids.TOKEN),
        principal_id=principal_id,
        digest=keys.key_digest(text),
        hint=keys.key_hint(text),
        created_unix_ms=act.now_unix_ms,
        expires_unix_ms=expires_unix_ms,
    )
    return token, text


def create_principal(
    tx: Tx, display_name: str, role: Role, act: Act, *, project_id: str = ""
) -> tuple[Principal, str]:
    """Make a principal with a first token; the token's text. A client is one of a project."""
    check_grant(act.actor.role, role)
    if (role is Role.CLIENT) != bool(project_id):
        raise fields.invalid(
            "principal.project_id", "name the project of a client, and of nobody else"
        )
    if project_id:
        projects.found(tx, project_id)
    name = fields.check_name(display_name, "principal.display_name")
    if principals.count(tx) >= limits.PRINCIPALS_MAX:
        raise LimitExceededError(
            f"there are {limits.PRINCIPALS_MAX} principals: disable one first",
            limit=str(limits.PRINCIPALS_MAX),
        )
    principal_id = act.id(ids.PRINCIPAL)
    token, text = new_token(act, principal_id, None)
    principal = Principal(
        principal_id, name, role, act.now_unix_ms, tokens=(token,), project_id=project_id
    )
    try:
        principals.insert(tx, principal)
    except ConflictError:
        raise AlreadyExistsError(
            f"a principal is or was called {name!r}: take another name", field="display_name"
        ) from None
    record(tx, act, principal_id, project_id=project_id, display_name=name, role=role.value)
    return principal, text


def list_principals(tx: Tx, asked: Asked) -> Page[Principal]:
    """Principals by name."""
    wanted = pages.begin(asked, {"list": "principals"}, (str, str))
    rows = principals.page(tx, wanted)
    return pages.finish(
        rows,
        wanted,
        {"list": "principals"},
        lambda row: (fields.name_key(row.display_name), row.principal_id),
    )


def names(tx: Tx) -> Mapping[str, str]:
    """What principals are called, by id, disabled ones too."""
    return principals.names(tx)


def disable_principal(tx: Tx, principal_id: str, reason: str, act: Act) -> Principal:
    """End a principal and all its tokens."""
    fields.check_reason(reason)
    principal = found(tx, principal_id)
    check_grant(act.actor.role, principal.role)
    if principal.disabled_unix_ms is None:
        if principal.role is Role.OWNER and principals.count(tx, Role.OWNER) == 1:
            raise FailedPreconditionError(
                "the last owner cannot be ended: nobody could administer. Make another one first",
                principal_id=principal_id,
            )
        principals.disable(tx, principal_id, act.now_unix_ms)
        sessions.delete_of(tx, principal_id)
    record(tx, act, principal_id, reason=reason)
    return found(tx, principal_id)


def issue_token(
    tx: Tx, principal_id: str, expires_unix_ms: int | None, act: Act
) -> tuple[Principal, str]:
    """Make another token of a principal; its text."""
    principal = found(tx, principal_id)
    check_grant(act.actor.role, principal.role)
    if principal.disabled_unix_ms is not None:
        raise FailedPreconditionError(
            f"{principal.display_name!r} is disabled: make a new principal",
            principal_id=principal_id,
        )
    if expires_unix_ms is not None and expires_unix_ms <= act.now_unix_ms:
        raise fields.invalid("expire_time", "lies in the past: leave it away for no end")
    working = sum(token.works_at(act.now_unix_ms) for token in principal.tokens)
    if working >= limits.PRINCIPAL_TOKENS_MAX:
        raise LimitExceededError(
            f"{principal.display_name!r} has {working} tokens that work: revoke one first",
            limit=str(limits.PRINCIPAL_TOKENS_MAX),
        )
    token, text = new_token(act, principal_id, expires_unix_ms)
    principals.insert_token(tx, token)
    record(tx, act, principal_id, token_id=token.token_id, expires_unix_ms=expires_unix_ms)
    return replace(principal, tokens=(token, *principal.tokens)), text


def revoke_token(tx: Tx, token_id: str, act: Act) -> Principal:
    """End one token."""
    fields.check_id(token_id, ids.TOKEN, "token_id")
    token = principals.token_by_id(tx, token_id)
    if token is None:
        raise NotFoundError(f"there is no token {token_id}", token_id=token_id)
    principal = found(tx, token.principal_id)
    check_grant(act.actor.role, principal.role)
    others = [t for t in principal.tokens if t.works_at(act.now_unix_ms) and t != token]
    if (
        principal.role is Role.OWNER
        and token.works_at(act.now_unix_ms)
        and not others
        and principals.count(tx, Role.OWNER) == 1
    ):
        raise FailedPreconditionError(
            "the last token of the last owner cannot be ended: issue another one first",
            token_id=token_id,
        )
    principals.revoke_token(tx, token_id, act.now_unix_ms)
    record(tx, act, principal.principal_id, token_id=token_id)
    return found(tx, principal.principal_id)


def get_caller(tx: Tx, principal_id: str) -> Principal:
    """Who the caller is, by the id that his token proved."""
    return found(tx, principal_id)


def list_audit_entries(tx: Tx, asked: Asked, project_id: str) -> Page[AuditEntry]:
    """Changes, newest first."""
    filters = {"list": "audit", "project": project_id}
    wanted = pages.begin(asked, filters, (int,))
    rows = audit.page(tx, wanted, project_id=project_id)
    return pages.finish(rows, wanted, filters, lambda row: (row.position,))


def found(tx: Tx, principal_id: str) -> Principal:
    """The principal of an id. Raises NotFoundError."""
    fields.check_id(principal_id, ids.PRINCIPAL, "principal_id")
    principal = principals.get(tx, principal_id)
    if principal is None:
        raise NotFoundError(f"there is no principal {principal_id}", principal_id=principal_id)
    return principal
