"""The snapshot of all that one sidecar must know to decide alone."""

from collections.abc import Collection, Iterator

from control_plane import limits
from control_plane.core import policy
from control_plane.core.policy import Policy, PolicyProvider, PolicySecret
from control_plane.core.providers import Provider, SealedSecret, context_of, context_of_secret
from control_plane.core.sidecars import Sidecar
from control_plane.secrets import Vault
from control_plane.store import (
    budgets,
    keys,
    model_routes,
    output_defaults,
    prices,
    projects,
    provider_secrets,
    providers,
    rate_limits,
)
from control_plane.store import policy as store
from control_plane.store.engine import Tx
from protos.values.errors import SecretsLockedError


def snapshot(tx: Tx, sidecar: Sidecar, vault: Vault, now_unix_ms: int) -> Policy:
    """What a sidecar is told: its projects with their keys, budgets that can match, prices."""
    known = policy.projects_for(projects.everything(tx), sidecar.project_ids, now_unix_ms)
    inside = {project.project_id for project in known}
    live_keys = [
        key
        for key in keys.everything(tx, now_unix_ms - limits.ENDED_SECRET_KEPT_MS)
        if key.project_id in inside
    ]
    matching = tuple(
        budget
        for budget in budgets.active(tx)
        if not budget.selector.project_id or budget.selector.project_id in inside
    )
    return Policy(
        version=store.version(tx),
        projects=known,
        keys=policy.keys_for(live_keys, now_unix_ms),
        budgets=matching,
        prices=policy.prices_for(prices.everything(tx), now_unix_ms),
        providers=tuple(
            _provider(tx, provider, sidecar, vault) for provider in providers.everything(tx)
        ),
        routes=tuple(
            route
            for route in model_routes.everything(tx)
            if not route.project_id or route.project_id in inside
        ),
        output_defaults=tuple(
            each
            for each in output_defaults.everything(tx)
            if not each.scope.project_id or each.scope.project_id in inside
        ),
        secrets=tuple(_secrets(tx, sidecar, inside, vault)),
        rate_limits=tuple(
            limit
            for limit in rate_limits.everything(tx)
            if not limit.project_id or limit.project_id in inside
        ),
    )


def _provider(tx: Tx, provider: Provider, sidecar: Sidecar, vault: Vault) -> PolicyProvider:
    kept = providers.secret_of(tx, provider.provider)
    sealed = b"" if kept is None else _sealed(kept, context_of(provider), sidecar, vault)
    return PolicyProvider(
        provider=provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        sealed_secret=sealed,
        secret_version=provider.secret_version,
        deployments=provider.deployments,
    )


def _secrets(
    tx: Tx, sidecar: Sidecar, inside: Collection[str], vault: Vault
) -> Iterator[PolicySecret]:
    """The agency's further secrets, and those of the projects in scope."""
    known = {provider.provider: provider for provider in providers.everything(tx)}
    for secret, kept in provider_secrets.sealed(tx):
        if secret.project_id and secret.project_id not in inside:
            continue
        context = context_of_secret(known[secret.provider], secret)
        yield PolicySecret(
            provider_secret_id=secret.provider_secret_id,
            provider=secret.provider,
            project_id=secret.project_id,
            sealed_secret=_sealed(kept, context, sidecar, vault),
        )


def _sealed(kept: SealedSecret, context: str, sidecar: Sidecar, vault: Vault) -> bytes:
    """A secret as a sidecar can open it; empty when it cannot be opened here.

    The sidecar then goes on with the one that it has, if it has it.
    """
    try:
        text = vault.open(kept, context)
    except SecretsLockedError:
        return b""
    return vault.seal_for(sidecar.sealing_public_key, text)
