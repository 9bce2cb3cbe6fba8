"""Secrets beside the providers' own: the agency's, and clients' own."""

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import check_not_archived
from control_plane.core.providers import (
    NewProviderSecret,
    ProviderSecret,
    check_secret,
    context_of_secret,
    hint_of,
)
from control_plane.secrets import Vault
from control_plane.store import policy, providers
from control_plane.store import provider_secrets as store
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import LimitExceededError, NotFoundError


def add_provider_secret(tx: Tx, wish: NewProviderSecret, vault: Vault, act: Act) -> ProviderSecret:
    """Add one more secret at a provider."""
    provider = providers.get(tx, wish.provider)
    if provider is None:
        shown = wish.provider[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no provider {shown!r}", provider=shown)
    if wish.project_id:
        check_not_archived(projects.found(tx, wish.project_id))
    if wish.display_name:
        fields.check_name(wish.display_name, "display_name")
    if not check_secret(wish.secret):
        raise fields.invalid("secret", "give the secret")
    _check_room(tx, wish)
    secret = ProviderSecret(
        provider_secret_id=act.id(ids.PROVIDER_SECRET),
        provider=provider.provider,
        project_id=wish.project_id,
        display_name=wish.display_name,
        secret_hint=hint_of(wish.secret, None),
        created_unix_ms=act.now_unix_ms,
    )
    store.insert(tx, secret, vault.encrypt(wish.secret, context_of_secret(provider, secret)))
    policy.bump(tx)
    _record(tx, act, secret)
    return secret


def list_provider_secrets(tx: Tx, asked: Asked, provider: str) -> Page[ProviderSecret]:
    """Secrets in the order in which they were added, at one provider or at all."""
    filters = {"list": "provider_secrets", "provider": provider}
    wanted = pages.begin(asked, filters, (str,))
    rows = store.page(tx, wanted, provider)
    return pages.finish(rows, wanted, filters, lambda row: (row.provider_secret_id,))


def remove_provider_secret(tx: Tx, provider_secret_id: str, act: Act) -> None:
    """Forget a secret; calls go on with those that are left."""
    fields.check_id(provider_secret_id, ids.PROVIDER_SECRET, "provider_secret_id")
    secret = store.get(tx, provider_secret_id)
    if secret is None:
        raise NotFoundError(
            f"there is no secret {provider_secret_id}", provider_secret_id=provider_secret_id
        )
    store.delete(tx, secret)
    policy.bump(tx)
    _record(tx, act, secret)


def _check_room(tx: Tx, wish: NewProviderSecret) -> None:
    for count, most in (
        (store.count(tx), limits.PROVIDER_SECRETS_MAX),
        (store.count_at(tx, wish.provider, wish.project_id), limits.SCOPE_SECRETS_MAX),
    ):
        if count >= most:
            raise LimitExceededError(
                f"there are {most} secrets: take one away first", limit=str(most)
            )


def _record(tx: Tx, act: Act, secret: ProviderSecret) -> None:
    record(
        tx,
        act,
        secret.provider_secret_id,
        project_id=secret.project_id,
        provider=secret.provider,
        display_name=secret.display_name,
    )
