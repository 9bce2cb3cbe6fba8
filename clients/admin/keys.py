"""Keys: what a workflow shows instead of a provider's key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask

from clients.admin.instants import (
    duration_to_wire,
    instant_from_wire,
    instant_or_none_from_wire,
    instant_to_wire,
)
from clients.admin.limits import PAGE_ITEMS
from clients.admin.policy import Reach, reach_from_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySecret:
    """One secret of a key; never the text itself."""

    secret_id: str
    """Made by the control plane, such as sec_01jd…."""
    hint: str
    """Prefix and last four characters, for telling secrets apart."""
    create_time: datetime
    """When it was made."""
    expire_time: datetime | None
    """When it ends; None for never."""
    last_use_time: datetime | None
    """When a call last used it, to the minute; None for never."""
    revoke_time: datetime | None
    """When it was revoked; None while it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A gateway key. The id is stable; secrets come and go."""

    key_id: str
    """Made by the control plane, such as key_01jd…."""
    project_id: str
    """The project that pays."""
    display_name: str
    """A name for people, such as "n8n production"."""
    models: tuple[str, ...]
    """Models that it may use, by id or alias; empty means every priced model."""
    workflow: str
    """The workflow that all its calls belong to; "" when the caller may say."""
    secrets: tuple[KeySecret, ...]
    """Its secrets, newest first."""
    create_time: datetime
    """When it was made."""
    revoke_time: datetime | None
    """When it was revoked; None while it is not."""
    etag: str
    """Send it back on update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key with the text of its newest secret."""

    key: Key
    """The key."""
    secret: str = field(repr=False)
    """The text, shown once; "" when the answer was repeated after a restart of the server."""
    overlap_end_time: datetime | None = None
    """When the secrets before end, after a rotation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedKey:
    """A revocation, and by when it binds."""

    key: Key
    """The key as it is now."""
    reach: Reach
    """How far the change has come."""


class Keys:
    """Makes, rotates and revokes gateway keys."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.KeyServiceStub(wire.channel)

    def create(
        self,
        project_id: str,
        *,
        display_name: str = "",
        models: Sequence[str] = (),
        workflow: str = "",
        expire_time: datetime | None = None,
        request_id: str = "",
    ) -> IssuedKey:
        """Make a key. Its text is in this answer and nowhere else."""
        request = v1.CreateKeyRequest(
            request_id=request_id or self._wire.request_id(),
            key=v1.Key(
                project_id=project_id, display_name=display_name, models=models, workflow=workflow
            ),
            expire_time=instant_to_wire(expire_time),
        )
        answer = self._wire.ask(self._stub.CreateKey, request)
        return IssuedKey(key=key_from_wire(answer.key), secret=answer.secret)

    def get(self, key_id: str) -> Key:
        """Read one key."""
        return key_from_wire(self._wire.ask(self._stub.GetKey, v1.GetKeyRequest(key_id=key_id)))

    def list(self, *, project_id: str = "", show_revoked: bool = False) -> Iterator[Key]:
        """Yield a project's keys, or all, newest first."""

        def fetch(token: str) -> v1.ListKeysResponse:
            request = v1.ListKeysRequest(
                page_size=PAGE_ITEMS,
                page_token=token,
                project_id=project_id,
                show_revoked=show_revoked,
            )
            return self._wire.ask(self._stub.ListKeys, request)

        return self._wire.pages(fetch, lambda page: map(key_from_wire, page.keys))

    def update(
        self,
        key: Key,
        *,
        display_name: str | None = None,
        models: Sequence[str] | None = None,
        workflow: str | None = None,
        request_id: str = "",
    ) -> Key:
        """Change what is given. Raises EtagMismatchError when `key` is not the newest."""
        wanted = v1.Key(key_id=key.key_id, etag=key.etag)
        paths = []
        if display_name is not None:
            wanted.display_name = display_name
            paths.append("display_name")
        if models is not None:
            wanted.models.extend(models)
            paths.append("models")
        if workflow is not None:
            wanted.workflow = workflow
            paths.append("workflow")
        request = v1.UpdateKeyRequest(
            request_id=request_id or self._wire.request_id(),
            key=wanted,
            update_mask=FieldMask(paths=paths),
        )
        return key_from_wire(self._wire.ask(self._stub.UpdateKey, request))

    def rotate(
        self,
        key_id: str,
        *,
        overlap: timedelta | None = None,
        expire_time: datetime | None = None,
        request_id: str = "",
    ) -> IssuedKey:
        """Make a new secret; the ones before end after the overlap (24 h when none is given)."""
        request = v1.RotateKeyRequest(
            request_id=request_id or self._wire.request_id(),
            key_id=key_id,
            overlap=duration_to_wire(overlap),
            expire_time=instant_to_wire(expire_time),
        )
        answer = self._wire.ask(self._stub.RotateKey, request)
        return IssuedKey(
            key=key_from_wire(answer.key),
            secret=answer.secret,
            overlap_end_time=instant_or_none_from_wire(answer.overlap_end_time),
        )

    def revoke(
        self, key_id: str, *, secret_id: str = "", reason: str = "", request_id: str = ""
    ) -> RevokedKey:
        """End a key for good, or one secret of it."""
        request = v1.RevokeKeyRequest(
            request_id=request_id or self._wire.request_id(),
            key_id=key_id,
            secret_id=secret_id,
            reason=reason,
        )
        answer = self._wire.ask(self._stub.RevokeKey, request)
        return RevokedKey(key=key_from_wire(answer.key), reach=reach_from_wire(answer.reach))


def key_from_wire(wire: v1.Key) -> Key:
    """Read a key."""
    return Key(
        key_id=wire.key_id,
        project_id=wire.project_id,
        display_name=wire.display_name,
        models=tuple(wire.models),
        workflow=wire.workflow,
        secrets=tuple(key_secret_from_wire(secret) for secret in wire.secrets),
        create_time=instant_from_wire(wire.create_time),
        revoke_time=instant_or_none_from_wire(wire.revoke_time),
        etag=wire.etag,
    )


def key_secret_from_wire(wire: v1.KeySecret) -> KeySecret:
    """Read what may be told of a secret."""
    return KeySecret(
        secret_id=wire.secret_id,
        hint=wire.hint,
        create_time=instant_from_wire(wire.create_time),
        expire_time=instant_or_none_from_wire(wire.expire_time),
        last_use_time=instant_or_none_from_wire(wire.last_use_time),
        revoke_time=instant_or_none_from_wire(wire.revoke_time),
    )
