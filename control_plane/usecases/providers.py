"""Providers and the agency's secrets at them; a secret is never shown again."""

from control_plane import limits
from control_plane.core import fields, pages, providers
from control_plane.core.pages import Asked, Page
from control_plane.core.providers import Provider, SealedSecret, SetProvider, context_of
from control_plane.secrets import Vault
from control_plane.store import policy, provider_secrets
from control_plane.store import providers as store
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act, record
from protos.values.errors import LimitExceededError, NotFoundError


def set_provider(tx: Tx, wish: SetProvider, vault: Vault, act: Act) -> Provider:
    """Make a provider or replace its address and secret."""
    before = store.get(tx, wish.provider)
    if before is not None:
        fields.check_etag(wish.etag, before.version, "the provider")
    elif len(store.everything(tx)) >= limits.PROVIDERS_MAX:
        raise LimitExceededError(
            f"there are {limits.PROVIDERS_MAX} providers: take one away first",
            limit=str(limits.PROVIDERS_MAX),
        )
    wanted = providers.check_set(wish, before)
    moves = before is not None and wanted.base_url != before.base_url
    if moves and provider_secrets.count_at(tx, wish.provider):
        raise fields.invalid(
            "provider.base_url",
            "more secrets were given for the address before, and go nowhere else: remove them "
            "first (bursar provider secret list), and add them again for the new one",
        )
    version, secret_version = store.last_numbers(tx, wish.provider)
    provider = Provider(
        provider=wanted.provider,
        family=providers.family_of(wanted),
        base_url=wanted.base_url,
        secret_hint=providers.hint_of(wanted.secret, before),
        secret_version=secret_version + 1 if wanted.secret else secret_version,
        updated_unix_ms=act.now_unix_ms,
        version=version + 1,
        deployments=wanted.deployments,
    )
    store.put(tx, provider, _secret(tx, provider, wanted, vault))
    policy.bump(tx)
    record(
        tx,
        act,
        provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        secret_version=provider.secret_version,
        **_told_of(wanted),
    )
    return provider


def _told_of(wanted: SetProvider) -> dict[str, str]:
    named = (f"{name}={model}" for name, model in sorted(wanted.deployments.items()))
    return {"deployments": ", ".join(named)} if wanted.deployments else {}


def list_providers(tx: Tx, asked: Asked) -> Page[Provider]:
    """Providers by name."""
    filters = {"list": "providers"}
    wanted = pages.begin(asked, filters, (str,))
    return pages.finish(store.page(tx, wanted), wanted, filters, lambda row: (row.provider,))


def delete_provider(tx: Tx, name: str, etag: str, act: Act) -> None:
    """Take a provider away; its models are refused from then on."""
    provider = store.get(tx, name)
    if provider is None:
        shown = name[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no provider {shown!r}", provider=shown)
    fields.check_etag(etag, provider.version, "the provider")
    store.delete(tx, provider, act.now_unix_ms)
    provider_secrets.delete_at(tx, provider.provider)
    policy.bump(tx)
    record(tx, act, provider.provider)


def _secret(tx: Tx, provider: Provider, wanted: SetProvider, vault: Vault) -> SealedSecret:
    if wanted.secret:
        return vault.encrypt(wanted.secret, context_of(provider))
    kept = store.secret_of(tx, provider.provider)
    assert kept is not None, "a provider that is there has a secret"
    return kept
