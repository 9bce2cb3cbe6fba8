"""Who is calling: credentials from the metadata, and the caller of the RPC in progress.

A credential is the metadata entry "authorization: Bearer …". Its form and checksum are proven here,
before anything else is asked; whether it opens something is decided by its digest in the database.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from control_plane.core.principals import Principal
from protos.values import keys
from protos.values.errors import UnauthenticatedError

METADATA_KEY: Final = "authorization"
_SCHEME: Final = "bearer "
_CREDENTIAL_CHARACTERS_MAX: Final = 256

Metadata = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal that an admin RPC is carried out for."""

    principal: Principal
    service: str
    """Such as "KeyService"."""
    method: str
    """Such as "CreateKey"."""
    token: str = field(repr=False)
    """Proven again in the transaction of a change: it may have been revoked meanwhile."""


_caller: ContextVar[Caller] = ContextVar("caller")


def enter(caller: Caller) -> None:
    """Say for whom the RPC in progress is carried out."""
    _caller.set(caller)


def current() -> Caller:
    """For whom the RPC in progress is carried out."""
    return _caller.get()


def credential_of(metadata: Metadata | None, prefix: str) -> str:
    """The credential of a kind in the metadata. Raises UnauthenticatedError."""
    entries = [value for name, value in metadata or () if name == METADATA_KEY]
    if not entries:
        raise UnauthenticatedError(
            f"no credential: send the metadata entry {METADATA_KEY}: Bearer {prefix}…"
        )
    text = entries[0]
    if len(entries) > 1 or isinstance(text, bytes) or len(text) > _CREDENTIAL_CHARACTERS_MAX:
        raise UnauthenticatedError("one credential is wanted, as text")
    if text[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the credential must be a bearer token: Bearer …")
    credential = text[len(_SCHEME) :].strip()
    if not keys.is_key(credential, prefix):
        kinds = {
            keys.PROJECT_KEY: "a project's key is for AI calls through a sidecar",
            keys.SIDECAR_CREDENTIAL: "that is a sidecar's credential",
            keys.ADMIN_TOKEN: "that is an admin token",
            keys.JOIN_TOKEN: "a join token is for joining alone",
        }
        why = next((said for kind, said in kinds.items() if credential.startswith(kind)), "")
        if credential.startswith(prefix):
            why = "it is cut off or mistyped: its checksum is wrong"
        raise UnauthenticatedError(
            f"the credential does not open this: {prefix}… is wanted" + (f"; {why}" if why else "")
        )
    return credential
