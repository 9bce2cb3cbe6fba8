"""Lets a sidecar in by a one-time token."""

from dataclasses import dataclass

from control_plane import limits
from control_plane.core.sidecars import Sidecar
from control_plane.entropy import Entropy
from control_plane.store import join_tokens, sidecars
from control_plane.store.engine import Tx
from protos.values import ids
from protos.values.errors import InvalidArgumentError, UnauthenticatedError


@dataclass(frozen=True, slots=True)
class Join:
    """What a sidecar that wants to join brings."""

    join_token: str
    credential_digest: bytes
    """SHA-256 of the credential that it made for itself."""
    sealing_public_key: bytes
    """X25519 key to which provider secrets are to be sealed."""
    display_name: str

    def __repr__(self) -> str:
        return f"Join(display_name={self.display_name!r})"


def join(tx: Tx, asked: Join, entropy: Entropy, now_unix_ms: int) -> Sidecar:
    """The sidecar that was made, or was made before by the same request."""
    for field, value in (
        ("credential_digest", asked.credential_digest),
        ("sealing_public_key", asked.sealing_public_key),
    ):
        if len(value) != 32:
            raise InvalidArgumentError(f"{field} has {len(value)} bytes, not 32", field=field)
    token = join_tokens.redeem(tx, asked.join_token, asked.credential_digest, now_unix_ms)
    known = sidecars.by_digest(tx, asked.credential_digest)
    if known is not None:
        if token.sidecar_id != known.sidecar_id or known.revoked_unix_ms:
            raise UnauthenticatedError(
                "this credential was used before: remove the sidecar's identity, then join again"
            )
        return known
    if token.sidecar_id is not None:
        raise UnauthenticatedError("the join token was used: make a new one")
    made = Sidecar(
        sidecar_id=entropy.id(ids.SIDECAR, now_unix_ms),
        display_name=_free_name(tx, asked.display_name),
        region=token.region,
        project_ids=token.project_ids,
        credential_digest=asked.credential_digest,
        sealing_public_key=asked.sealing_public_key,
        software_version="",
        machine_id="",
        boot_id="",
        incarnation="",
        epoch=0,
        state="JOINED",
        last_sync_no=0,
        generation_seen=0,
        policy_acked=0,
        policy_refused="",
        created_unix_ms=now_unix_ms,
        last_seen_unix_ms=now_unix_ms,
        revoked_unix_ms=0,
    )
    sidecars.insert(tx, made)
    join_tokens.use(tx, token, asked.credential_digest, made.sidecar_id, now_unix_ms)
    return made


def _free_name(tx: Tx, wish: str) -> str:
    """The wished name, or the first of "name-2", "name-3" and so on that nobody has."""
    name = ids.label_from_text(wish)[: ids.LABEL_CHARACTERS_MAX - 8] or "sidecar"
    if not sidecars.name_taken(tx, name):
        return name
    for number in range(2, limits.SIDECARS_MAX + 2):
        if not sidecars.name_taken(tx, f"{name}-{number}"):
            return f"{name}-{number}"
    raise InvalidArgumentError(
        "too many sidecars have this name: choose another with --name", field="display_name"
    )
