"""Signing in at the desk, by a token or a one-time link; and who a session is.

Every way ends in a new session, so that no text from before signing in is worth anything after. A
link is used up by opening it, never by looking at it: mail scanners follow links. What is refused
says no more than that it does not open anything.
"""

from control_plane import limits
from control_plane.core.access import authorise
from control_plane.core.principals import Principal, Role, check_grant
from control_plane.core.sessions import Session, SignInLink
from control_plane.entropy import Entropy
from control_plane.store import principals as principal_store
from control_plane.store import sessions as store
from control_plane.store.engine import Tx
from control_plane.usecases import principals
from control_plane.usecases.acts import Act, record
from control_plane.usecases.installation import OWNER_NAME
from protos.values import keys
from protos.values.errors import (
    FailedPreconditionError,
    PermissionDeniedError,
    UnauthenticatedError,
)


def create_sign_in_link(tx: Tx, principal_id: str, act: Act) -> tuple[Principal, SignInLink, str]:
    """Make a link that signs a principal in once; its text. Nobody opens for whom he lacks."""
    principal = principals.found(tx, principal_id)
    check_grant(act.actor.role, principal.role)
    if principal.disabled_unix_ms is not None:
        raise FailedPreconditionError(
            f"{principal.display_name!r} is disabled: make a new principal",
            principal_id=principal_id,
        )
    text = act.entropy.secret(keys.SIGN_IN_LINK)
    link = SignInLink(
        keys.key_digest(text),
        principal_id,
        act.now_unix_ms,
        act.now_unix_ms + limits.SIGN_IN_LINK_MS,
    )
    store.insert_link(tx, link)
    store.keep_newest(tx, principal_id, limits.PRINCIPAL_SESSIONS_MAX, limits.PRINCIPAL_LINKS_MAX)
    record(tx, act, principal_id, expires_unix_ms=link.expires_unix_ms)
    return principal, link, text


def first_link(tx: Tx, entropy: Entropy, now_unix_ms: int) -> str:
    """A link for the first owner, at the very first start; its text."""
    owner = principal_store.by_name(tx, OWNER_NAME)
    assert owner is not None
    act = Act(owner, "CreateSignInLink", "", now_unix_ms, entropy)
    return create_sign_in_link(tx, owner.principal_id, act)[2]


def link_opens(tx: Tx, text: str, now_unix_ms: int) -> Principal:
    """Whom a link would sign in; changes nothing. Raises UnauthenticatedError."""
    return _by_link(tx, text, now_unix_ms)[0]


def open_by_link(tx: Tx, text: str, entropy: Entropy, now_unix_ms: int) -> tuple[Principal, str]:
    """Use a link up; the text of a new session."""
    principal, link = _by_link(tx, text, now_unix_ms)
    store.delete_link(tx, link.digest)
    return principal, _open(tx, principal, "", entropy, now_unix_ms)


def open_by_token(tx: Tx, text: str, entropy: Entropy, now_unix_ms: int) -> tuple[Principal, str]:
    """Sign in whom an admin token proves; the session ends with the token."""
    principal = principals.authenticate(tx, text, now_unix_ms)
    token = principal_store.token_by_digest(tx, keys.key_digest(text))
    assert token is not None
    return principal, _open(tx, principal, token.token_id, entropy, now_unix_ms)


def close(tx: Tx, text: str) -> None:
    """End a session that another took the place of."""
    store.delete(tx, keys.key_digest(text))


def sign_out(tx: Tx, text: str, entropy: Entropy, now_unix_ms: int) -> None:
    """End a session as its principal asked; nothing where there is none any more."""
    session = store.get(tx, keys.key_digest(text))
    if session is None:
        return
    principal = principal_store.get(tx, session.principal_id)
    assert principal is not None
    close(tx, text)
    record(tx, Act(principal, "SignOut", "", now_unix_ms, entropy), principal.principal_id)


def permit(tx: Tx, text: str, service: str, method: str, now_unix_ms: int) -> Principal:
    """Whose session this is, if the method is allowed to them."""
    principal = authenticate(tx, text, now_unix_ms)
    authorise(principal.role, service, method)
    return principal


def permit_page(tx: Tx, text: str, needed: Role, project_id: str, now_unix_ms: int) -> Principal:
    """Whose session this is, if they may see a page; a client sees what is of its project."""
    principal = authenticate(tx, text, now_unix_ms)
    if principal.role is Role.CLIENT and (
        needed is not Role.CLIENT or project_id != principal.project_id
    ):
        raise PermissionDeniedError("this page is not for you", role=principal.role.value)
    if not principal.role.includes(needed):
        raise PermissionDeniedError(
            f"this needs the role {needed.value}, you are {principal.role.value}",
            role=principal.role.value,
            needed_role=needed.value,
        )
    return principal


def authenticate(tx: Tx, text: str, now_unix_ms: int) -> Principal:
    """Whose session this is. Raises UnauthenticatedError."""
    session = _session(tx, text, now_unix_ms)
    principal = principal_store.get(tx, session.principal_id)
    assert principal is not None
    if principal.disabled_unix_ms is not None:
        raise UnauthenticatedError("you were signed out: this principal was disabled")
    if session.token_id:
        token = principal_store.token_by_id(tx, session.token_id)
        if token is None or not token.works_at(now_unix_ms):
            raise UnauthenticatedError("you were signed out: the token that let you in is over")
    return principal


def is_stale(tx: Tx, text: str, now_unix_ms: int) -> bool:
    """Whether the use of a session should be noted again."""
    session = store.get(tx, keys.key_digest(text))
    return session is not None and now_unix_ms - session.used_unix_ms > limits.SESSION_TOUCH_MS


def touch(tx: Tx, text: str, now_unix_ms: int) -> None:
    """Note that a session is used."""
    store.touch(tx, keys.key_digest(text), now_unix_ms)


def drop_over(tx: Tx, now_unix_ms: int) -> None:
    """Forget sessions and links that are over."""
    store.drop_over(
        tx,
        now_unix_ms,
        used_before=now_unix_ms - limits.SESSION_IDLE_MS,
        created_before=now_unix_ms - limits.SESSION_LIFE_MS,
    )


def _session(tx: Tx, text: str, now_unix_ms: int) -> Session:
    if not keys.is_key(text, keys.WEB_SESSION):
        raise UnauthenticatedError("sign in first")
    session = store.get(tx, keys.key_digest(text))
    if session is None or not session.works_at(now_unix_ms):
        raise UnauthenticatedError("your session is over: sign in again")
    return session


def _by_link(tx: Tx, text: str, now_unix_ms: int) -> tuple[Principal, SignInLink]:
    if keys.is_key(text, keys.SIGN_IN_LINK):
        link = store.link(tx, keys.key_digest(text))
        principal = principal_store.get(tx, link.principal_id) if link is not None else None
        if (
            link is not None
            and principal is not None
            and now_unix_ms < link.expires_unix_ms
            and principal.disabled_unix_ms is None
        ):
            return principal, link
    raise UnauthenticatedError(
        "this link was used, or is over: an owner makes a new one with `bursar desk`"
    )


def _open(tx: Tx, principal: Principal, token_id: str, entropy: Entropy, now_unix_ms: int) -> str:
    text = entropy.secret(keys.WEB_SESSION)
    store.insert(
        tx,
        Session(
            digest=keys.key_digest(text),
            principal_id=principal.principal_id,
            token_id=token_id,
            created_unix_ms=now_unix_ms,
            used_unix_ms=now_unix_ms,
        ),
    )
    store.keep_newest(
        tx, principal.principal_id, limits.PRINCIPAL_SESSIONS_MAX, limits.PRINCIPAL_LINKS_MAX
    )
    act = Act(principal, "SignIn", "", now_unix_ms, entropy)
    record(tx, act, principal.principal_id, token_id=token_id)
    return text
