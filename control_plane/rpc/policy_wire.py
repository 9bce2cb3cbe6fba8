"""The policy snapshot on its way to a sidecar."""

from typing import Final

from control_plane.core.budgets import Budget
from control_plane.core.model_routes import ModelRoute, Target
from control_plane.core.output_defaults import OutputDefault
from control_plane.core.policy import Policy, PolicyKey, PolicyProvider, PolicySecret
from control_plane.core.prices import Price
from control_plane.core.projects import Project, ProjectState, WhenTooLarge
from control_plane.rpc import rate_wire
from protos.bursar.sidecar import v1
from protos.values import quantities as kinds
from protos.values.rates import Tier
from protos.values.selectors import SplitBy

_FIRST_KINDS: Final = frozenset(
    (
        *(kinds.INPUT, kinds.CACHED, kinds.CACHE_WRITE, kinds.CACHE_WRITE_LONG, kinds.OUTPUT),
        *(kinds.AUDIO_INPUT, kinds.AUDIO_OUTPUT, kinds.IMAGES, kinds.TOOL_CALLS),
        *(kinds.MILLISECONDS, kinds.CHARACTERS, kinds.CALLS),
    )
)
"""Kinds that every sidecar knows."""
_SPLIT: "Final[dict[SplitBy, v1.SplitBy.ValueType]]" = {
    "": v1.SplitBy.SPLIT_BY_UNSPECIFIED,
    "key": v1.SplitBy.SPLIT_BY_KEY,
    "workflow": v1.SplitBy.SPLIT_BY_WORKFLOW,
}

_WHEN_TOO_LARGE: "Final[dict[WhenTooLarge, v1.WhenTooLarge.ValueType]]" = {
    WhenTooLarge.CLAMP: v1.WhenTooLarge.WHEN_TOO_LARGE_CLAMP,
    WhenTooLarge.REJECT: v1.WhenTooLarge.WHEN_TOO_LARGE_REJECT,
    WhenTooLarge.COUNT: v1.WhenTooLarge.WHEN_TOO_LARGE_COUNT,
}


def policy_to_wire(policy: Policy) -> v1.Policy:
    """A snapshot."""
    return v1.Policy(
        version=policy.version,
        projects=map(_project, policy.projects),
        keys=map(_key, policy.keys),
        budgets=map(_budget, policy.budgets),
        prices=map(_price, policy.prices),
        providers=map(_provider, policy.providers),
        routes=map(_route, policy.routes),
        output_defaults=map(_output_default, policy.output_defaults),
        secrets=map(_secret, policy.secrets),
        rate_limits=map(rate_wire.limit_to_wire, policy.rate_limits),
    )


def _project(project: Project) -> v1.Project:
    return v1.Project(
        project_id=project.project_id,
        display_name=project.display_name,
        active=project.state is ProjectState.ACTIVE,
        patience_ms=project.patience_ms,
        when_too_large=_WHEN_TOO_LARGE[project.when_too_large],
        hosted_call_count=project.hosted_calls,
        loop_max_count=project.loop_max,
    )


def _key(key: PolicyKey) -> v1.Key:
    return v1.Key(
        digest=key.digest,
        key_id=key.key_id,
        secret_id=key.secret_id,
        project_id=key.project_id,
        expires_unix_ms=key.expires_unix_ms,
        models=key.models,
        workflow=key.workflow,
        revoked=key.revoked,
    )


def _budget(budget: Budget) -> v1.Budget:
    selector = budget.selector
    return v1.Budget(
        budget_id=budget.budget_id,
        display_name=budget.display_name,
        project_id=selector.project_id,
        key_id=selector.key_id,
        workflow=selector.workflow,
        model=selector.model,
        region=selector.region,
        split_by=_SPLIT[budget.split_by],
        capped=budget.is_capped,
        cap_version=budget.cap_version,
    )


def _price(price: Price) -> v1.Price:
    model = price.model_price
    return v1.Price(
        provider=model.provider,
        model=model.model,
        aliases=model.aliases,
        input_max_count=model.input_max,
        output_max_count=model.output_max,
        tiers=map(_tier, model.tiers),
        valid_from_unix_ms=price.valid_from_unix_ms,
        version=model.version,
        cache_write_implicit=model.cache_write_implicit,
        expands_text=model.expands_text,
        hides_reasoning=model.hides_reasoning,
        variants=[
            v1.PriceVariant(name=variant.name, tiers=map(_tier, variant.tiers))
            for variant in model.variants
        ],
    )


def _tier(tier: Tier) -> v1.PriceTier:
    made = v1.PriceTier(above_input_count=tier.above_input)
    for kind, rate in sorted(tier.rates_pico_usd.items()):
        rates = made.rates if kind in _FIRST_KINDS else made.more_rates
        rates.add(kind=kind, pico_usd=rate)
    return made


def _provider(provider: PolicyProvider) -> v1.Provider:
    return v1.Provider(
        provider=provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        sealed_secret=provider.sealed_secret,
        secret_version=provider.secret_version,
        deployments=provider.deployments,
    )


def _route(route: ModelRoute) -> v1.ModelRoute:
    return v1.ModelRoute(
        project_id=route.project_id,
        name=route.name,
        targets=map(_target, route.targets),
        cheaper=_target(route.cheaper) if route.cheaper else None,
        above_percent=route.above_percent,
    )


def _target(target: Target) -> v1.ModelTarget:
    return v1.ModelTarget(provider=target.provider, model=target.model)


def _output_default(one: OutputDefault) -> v1.OutputDefault:
    return v1.OutputDefault(
        project_id=one.scope.project_id,
        workflow=one.scope.workflow,
        model=one.scope.model,
        limit_count=one.limit_count,
    )


def _secret(secret: PolicySecret) -> v1.ProviderSecret:
    return v1.ProviderSecret(
        provider_secret_id=secret.provider_secret_id,
        provider=secret.provider,
        project_id=secret.project_id,
        sealed_secret=secret.sealed_secret,
    )
