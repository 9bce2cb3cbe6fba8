"""Gateway keys on the wire; never the text of a secret but in the answer that shows it once."""

from control_plane.core.budgets import Reach
from control_plane.core.keys import CHANGEABLE, Key, KeyChange, KeySecret, NewKey
from control_plane.rpc.wire.budgets import reach_to_wire
from control_plane.rpc.wire.instants import (
    instant_from_wire,
    instant_or_none_to_wire,
    instant_to_wire,
)
from control_plane.rpc.wire.masks import paths_of
from protos.bursar.admin import v1


def key_to_wire(key: Key) -> v1.Key:
    """A key."""
    return v1.Key(
        key_id=key.key_id,
        project_id=key.project_id,
        display_name=key.display_name,
        models=key.models,
        workflow=key.workflow,
        secrets=[_secret_to_wire(secret) for secret in key.secrets],
        create_time=instant_to_wire(key.created_unix_ms),
        revoke_time=instant_or_none_to_wire(key.revoked_unix_ms),
        etag=key.etag,
    )


def new_key_from_wire(request: v1.CreateKeyRequest) -> NewKey:
    """A key that is asked for."""
    key = request.key
    return NewKey(
        project_id=key.project_id,
        display_name=key.display_name,
        models=tuple(key.models),
        workflow=key.workflow,
        expires_unix_ms=instant_from_wire(request, "expire_time"),
    )


def key_change_from_wire(request: v1.UpdateKeyRequest) -> KeyChange:
    """The fields of a key that are to change."""
    paths = paths_of(request.update_mask, CHANGEABLE)
    key = request.key
    return KeyChange(
        display_name=key.display_name if "display_name" in paths else None,
        models=tuple(key.models) if "models" in paths else None,
        workflow=key.workflow if "workflow" in paths else None,
    )


def created_to_wire(key: Key, text: str) -> v1.CreateKeyResponse:
    """A key with its secret."""
    return v1.CreateKeyResponse(key=key_to_wire(key), secret=text)


def rotated_to_wire(key: Key, text: str, overlap_end_unix_ms: int) -> v1.RotateKeyResponse:
    """A key with its new secret."""
    return v1.RotateKeyResponse(
        key=key_to_wire(key),
        secret=text,
        overlap_end_time=instant_to_wire(overlap_end_unix_ms),
    )


def revoked_to_wire(key: Key, reach: Reach) -> v1.RevokeKeyResponse:
    """A revoked key."""
    return v1.RevokeKeyResponse(key=key_to_wire(key), reach=reach_to_wire(reach))


def _secret_to_wire(secret: KeySecret) -> v1.KeySecret:
    return v1.KeySecret(
        secret_id=secret.secret_id,
        hint=secret.hint,
        create_time=instant_to_wire(secret.created_unix_ms),
        expire_time=instant_or_none_to_wire(secret.expires_unix_ms),
        last_use_time=instant_or_none_to_wire(secret.last_used_unix_ms),
        revoke_time=instant_or_none_to_wire(secret.revoked_unix_ms),
    )
