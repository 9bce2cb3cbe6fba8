"""The snapshot of all that one sidecar must know to decide alone."""

from control_plane import limits
from control_plane.core import policy
from control_plane.core.policy import Policy, PolicyProvider
from control_plane.core.providers import Provider, context_of
from control_plane.core.sidecars import Sidecar
from control_plane.secrets import Vault
from control_plane.store import (
    budgets,
    keys,
    model_routes,
    output_defaults,
    prices,
    projects,
    providers,
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
    )


def _provider(tx: Tx, provider: Provider, sidecar: Sidecar, vault: Vault) -> PolicyProvider:
    kept = providers.secret_of(tx, provider.provider)
    sealed = b""
    if kept is not None:
        try:
            text = vault.open(kept, context_of(provider))
        except SecretsLockedError:
            # The sidecar goes on with the secret of this version that it has, if it has it.
            pass
        else:
            sealed = vault.seal_for(sidecar.sealing_public_key, text)
    return PolicyProvider(
        provider=provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        sealed_secret=sealed,
        secret_version=provider.secret_version,
        deployments=provider.deployments,
    )
