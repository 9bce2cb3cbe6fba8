"""What one sidecar must know to decide alone, and what of it is kept for how long.

A snapshot holds what concerns the projects that the sidecar is scoped to, and nothing else. Secrets
that ended are kept for a while so that the refusal can say why; prices that were replaced are kept
until calls that began under them are over; prices to come are all there, so that a sidecar that is
cut off changes over by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from control_plane import limits
from control_plane.core.budgets import Budget
from control_plane.core.keys import Key, KeySecret
from control_plane.core.model_routes import ModelRoute
from control_plane.core.output_defaults import OutputDefault
from control_plane.core.prices import Price, since
from control_plane.core.projects import Project, ProjectState
from control_plane.core.rate_limits import RateLimit


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """One secret of one key."""

    digest: bytes
    key_id: str
    secret_id: str
    project_id: str
    expires_unix_ms: int
    """0 for never."""
    models: tuple[str, ...]
    """Empty for every priced model."""
    workflow: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class PolicyProvider:
    """Where calls of one provider go."""

    provider: str
    family: str
    base_url: str
    sealed_secret: bytes
    """Sealed to the sidecar; empty when the secret cannot be opened here."""
    secret_version: int
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Which model each deployment is."""


@dataclass(frozen=True, slots=True)
class PolicySecret:
    """One more secret at a provider."""

    provider_secret_id: str
    provider: str
    project_id: str
    """The project whose own it is; empty for the agency's."""
    sealed_secret: bytes
    """Sealed to the sidecar; empty when the secret cannot be opened here."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A snapshot for one sidecar."""

    version: int
    projects: tuple[Project, ...]
    keys: tuple[PolicyKey, ...]
    budgets: tuple[Budget, ...]
    prices: tuple[Price, ...]
    providers: tuple[PolicyProvider, ...]
    routes: tuple[ModelRoute, ...] = ()
    output_defaults: tuple[OutputDefault, ...] = ()
    secrets: tuple[PolicySecret, ...] = ()
    """In the order in which they are tried."""
    rate_limits: tuple[RateLimit, ...] = ()


def in_scope(project_id: str, scope: tuple[str, ...]) -> bool:
    """Whether a sidecar of this scope receives a project; an empty scope receives all."""
    return not scope or project_id in scope


def projects_for(
    projects: Iterable[Project], scope: tuple[str, ...], now_unix_ms: int
) -> tuple[Project, ...]:
    """The projects of a scope; archived ones for a while."""
    return tuple(
        project
        for project in projects
        if in_scope(project.project_id, scope)
        and (
            project.state is not ProjectState.ARCHIVED
            or project.updated_unix_ms > now_unix_ms - limits.ENDED_SECRET_KEPT_MS
        )
    )


def keys_for(keys: Iterable[Key], now_unix_ms: int) -> tuple[PolicyKey, ...]:
    """Every secret that works or ended not long ago."""
    return tuple(
        PolicyKey(
            digest=secret.digest,
            key_id=key.key_id,
            secret_id=secret.secret_id,
            project_id=key.project_id,
            expires_unix_ms=secret.expires_unix_ms or 0,
            models=key.models,
            workflow=key.workflow,
            revoked=secret.revoked_unix_ms is not None or key.revoked_unix_ms is not None,
        )
        for key in keys
        for secret in key.secrets
        if _ended_unix_ms(key, secret) > now_unix_ms - limits.ENDED_SECRET_KEPT_MS
    )


def prices_for(prices: Iterable[Price], now_unix_ms: int) -> tuple[Price, ...]:
    """The prices in force, those to come, and those that were just replaced."""
    return tuple(since(prices, now_unix_ms - limits.REPLACED_PRICE_KEPT_MS))


def _ended_unix_ms(key: Key, secret: KeySecret) -> int:
    never = 2**63
    ends = (key.revoked_unix_ms, secret.revoked_unix_ms, secret.expires_unix_ms)
    return min(end if end is not None else never for end in ends)
