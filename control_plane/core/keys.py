"""What a gateway key is: a stable id, and secrets that come and go.

Only the SHA-256 digest of a secret is ever kept. A secret works until it expires or is revoked,
alone or with its whole key; rotation makes a new one and lets the ones before end after an overlap.
"""

from dataclasses import dataclass
from typing import Final

from control_plane import limits
from control_plane.core import fields
from protos.values.errors import FailedPreconditionError


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One secret of a key; its text is nowhere."""

    secret_id: str
    """Made by the control plane."""
    key_id: str
    """The key that it opens."""
    digest: bytes
    """SHA-256 of the whole text."""
    hint: str
    """Prefix and last four characters."""
    created_unix_ms: int
    """When it was made."""
    expires_unix_ms: int | None = None
    """When it ends; None for never."""
    revoked_unix_ms: int | None = None
    """When it was revoked."""
    last_used_unix_ms: int | None = None
    """When a call last used it, to the minute."""

    def works_at(self, now_unix_ms: int) -> bool:
        """Whether it is neither revoked nor expired."""
        in_time = self.expires_unix_ms is None or now_unix_ms < self.expires_unix_ms
        return self.revoked_unix_ms is None and in_time


@dataclass(frozen=True, slots=True)
class Key:
    """What a workflow shows instead of a provider's key."""

    key_id: str
    """Stable over rotations."""
    project_id: str
    """The project that pays."""
    display_name: str
    """A name for people."""
    models: tuple[str, ...]
    """Models that it may use, by id; empty means every priced model."""
    workflow: str
    """The workflow that all its calls belong to; empty when the caller may say."""
    secrets: tuple[KeySecret, ...]
    """Newest first."""
    created_unix_ms: int
    """When it was made."""
    revoked_unix_ms: int | None
    """When it was revoked."""
    version: int
    """Rises with every change."""

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return fields.etag_of(self.version)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is asked for."""

    project_id: str
    display_name: str = ""
    """Empty for a name by its workflow."""
    models: tuple[str, ...] = ()
    workflow: str = ""
    expires_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """The fields of a key that are to change; None leaves one as it is."""

    display_name: str | None = None
    models: tuple[str, ...] | None = None
    workflow: str | None = None


CHANGEABLE: Final = ("display_name", "models", "workflow")
"""What an update mask may name."""


def check_models(models: tuple[str, ...]) -> tuple[str, ...]:
    """An allow-list of plausible ids, without repetitions."""
    if len(models) > limits.KEY_MODELS_MAX:
        raise fields.invalid("key.models", f"at most {limits.KEY_MODELS_MAX} models")
    for model in models:
        if not 1 <= len(model) <= limits.MODEL_CHARACTERS_MAX or not model.isprintable():
            raise fields.invalid("key.models", "an empty, too long or unprintable model id")
    return tuple(dict.fromkeys(models))


def check_expiry(expires_unix_ms: int | None, now_unix_ms: int) -> int | None:
    """An end that lies ahead."""
    if expires_unix_ms is not None and expires_unix_ms <= now_unix_ms:
        raise fields.invalid("expire_time", "lies in the past: leave it away for no end")
    return expires_unix_ms


def check_usable(key: Key) -> None:
    """Refuse to change a key that is over."""
    if key.revoked_unix_ms is not None:
        raise FailedPreconditionError(
            f"key {key.display_name!r} is revoked for good: make a new one", key_id=key.key_id
        )
