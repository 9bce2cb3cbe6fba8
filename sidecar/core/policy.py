"""What a sidecar knows: projects, keys, budgets, prices, providers; indexed for the hot path.

A snapshot is whole and never changes: a newer one replaces it. Every lookup that a call makes is a
dictionary access; the budgets that a call matches are worked out once per combination of project,
key, workflow and model and remembered within a bound.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from protos.values.rates import ModelPrice
from protos.values.selectors import Attributes, Selector, SplitBy, partition_of
from sidecar.core.output_defaults import OutputDefault, OutputDefaults
from sidecar.core.rate_limits import RateLimit
from sidecar.core.routing import ModelRoute, ProviderSecret, Target

MATCHES_MAX = 10_000
"""Remembered combinations of project, key, workflow, model and region; then it starts afresh."""


class WhenTooLarge(Enum):
    """What becomes of a call whose worst case does not fit beside what is left."""

    CLAMP = "clamp"
    """A smaller limit on its output is put on the wire, where its caller set none."""
    REJECT = "reject"
    """It is refused, or waits."""
    COUNT = "count"
    """The provider's token counter is asked first, where it counts exactly; then as CLAMP."""


@dataclass(frozen=True, slots=True)
class Project:
    """A client of the agency."""

    project_id: str
    display_name: str
    active: bool
    """Whether its calls may pass; a suspended or archived project's keys are refused."""
    patience_ms: int
    """How long a call may wait for money that others hold."""
    when_too_large: WhenTooLarge = WhenTooLarge.CLAMP
    hosted_calls: int = 0
    """Calls of tools that a provider runs, which one call may make when its request names no
    limit; 0 for none."""
    loop_max: int = 0
    """Equal requests of a workflow in a minute that are no loop yet; 0 where none ever is."""


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of one gateway key."""

    digest: bytes = field(repr=False)
    """SHA-256 of the whole key text."""
    key_id: str
    secret_id: str
    project_id: str
    expires_unix_ms: int | None
    """When the secret ends; None for never."""
    models: frozenset[str]
    """Models that the key may use; empty means every priced model."""
    workflow: str
    """The workflow that its calls belong to, above anything that the caller says; may be empty."""
    revoked: bool
    """Kept for a while after its end, so that the refusal can say so."""

    def allows(self, model: str) -> bool:
        """Whether the key may use the model, named by its id in the price book."""
        return not self.models or model in self.models


@dataclass(frozen=True, slots=True)
class Budget:
    """Selector and kind of cap; the amount of the cap comes with the lease."""

    budget_id: str
    display_name: str
    selector: Selector
    split_by: SplitBy
    capped: bool
    """A budget without a cap has no lease and never waits; it only counts."""
    cap_version: int
    """Rises with every change of the cap."""


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A price and the instant from which it holds."""

    price: ModelPrice
    valid_from_unix_ms: int


@dataclass(frozen=True, slots=True)
class Provider:
    """Where calls of one provider go."""

    name: str
    """Its name in paths and prices, such as "openai"."""
    family: str
    """The wire format that it speaks: "openai", "anthropic" or "gemini"."""
    base_url: str
    """Such as https://api.openai.com; the path of the call follows it."""
    sealed_secret: bytes = field(repr=False)
    """The provider secret, sealed to this sidecar's key; empty when there is none."""
    secret_version: int
    """Rises with every change of the secret."""
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Which model each deployment is, by the deployment's name."""


@dataclass(frozen=True, slots=True)
class MoreSecret:
    """One more secret at a provider, beside the provider's own."""

    provider: str
    project_id: str
    """The project whose own it is, which is then served with its own alone; empty: the agency's."""
    secret: ProviderSecret


class Policy:
    """A snapshot of what the sidecar is allowed to do."""

    __slots__ = (
        "_agency_secrets",
        "_aliases",
        "_by_digest",
        "_by_project",
        "_by_secret",
        "_matches",
        "_models",
        "_own_secrets",
        "_projects",
        "_providers",
        "_routes",
        "_versions",
        "budgets",
        "generation",
        "keys",
        "output_defaults",
        "prices",
        "projects",
        "providers",
        "rate_limits",
        "region",
        "routes",
        "secrets",
        "version",
    )

    def __init__(  # noqa: PLR0913 - a keyword for each part of a snapshot
        self,
        *,
        version: int,
        generation: int = 0,
        region: str = "",
        projects: Iterable[Project] = (),
        keys: Iterable[Key] = (),
        budgets: Iterable[Budget] = (),
        prices: Iterable[DatedPrice] = (),
        providers: Iterable[Provider] = (),
        routes: Iterable[ModelRoute] = (),
        output_defaults: Iterable[OutputDefault] = (),
        secrets: Iterable[MoreSecret] = (),
        rate_limits: Iterable[RateLimit] = (),
    ) -> None:
        """Take the parts of a snapshot and index them."""
        self.version = version
        self.generation = generation
        """Of the control plane's database that it came from; 0 when that is not known."""
        self.region = region
        """The region of this sidecar, which every call is counted in."""
        self.projects = tuple(projects)
        self.keys = tuple(keys)
        self.budgets = tuple(sorted(budgets, key=lambda budget: budget.budget_id))
        self.prices = tuple(prices)
        self.providers = tuple(providers)
        self.output_defaults = OutputDefaults(output_defaults)
        self.rate_limits = tuple(rate_limits)
        self._projects = {project.project_id: project for project in self.projects}
        self._by_digest = {key.digest: key for key in self.keys}
        self._by_secret = {key.secret_id: key for key in self.keys}
        self._providers = {provider.name: provider for provider in self.providers}
        self._by_project: dict[str, tuple[Budget, ...]] = {}
        self._matches: dict[Attributes, tuple[Budget, ...]] = {}
        self._index_prices()
        self.routes = tuple(routes)
        self._routes: dict[str, dict[str, ModelRoute]] = {}
        self._index_routes()
        self.secrets = tuple(secrets)
        self._index_secrets()

    def _index_secrets(self) -> None:
        """Each provider's secrets in the order in which they are tried, by whose they are."""
        agency: dict[str, list[ProviderSecret]] = {}
        own: dict[tuple[str, str], list[ProviderSecret]] = {}
        for one in self.providers:
            first = ProviderSecret(f"{one.name}:{one.secret_version}", one.sealed_secret)
            agency[one.name] = [first] if one.sealed_secret else []
        for more in self.secrets:
            if more.project_id:
                own.setdefault((more.provider, more.project_id), []).append(more.secret)
            else:
                agency.setdefault(more.provider, []).append(more.secret)
        self._agency_secrets = {of: tuple(secrets) for of, secrets in agency.items()}
        self._own_secrets = {of: tuple(secrets) for of, secrets in own.items()}

    def _index_routes(self) -> None:
        for route in self.routes:
            self._routes.setdefault(route.name, {})[route.project_id] = route
        if not self._routes:
            return
        for dated in self.prices:
            by_project = self._routes.get(dated.price.model, {})
            for alias in dated.price.aliases if by_project else ():
                # Whoever names a model by another id of it goes the same way.
                named = self._routes.setdefault(alias, {})
                for project_id, route in by_project.items():
                    named.setdefault(project_id, route)

    def _index_prices(self) -> None:
        self._versions: dict[tuple[str, str], list[DatedPrice]] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        models: dict[str, list[str]] = {}
        for dated in sorted(self.prices, key=lambda dated: dated.valid_from_unix_ms):
            price = dated.price
            self._versions.setdefault((price.provider, price.model), []).append(dated)
            for name in (price.model, *price.aliases):
                # A model's own id outranks another model's alias of the same name.
                if name == price.model or (price.provider, name) not in self._versions:
                    self._aliases[price.provider, name] = price.model
                served_by = models.setdefault(name, [])
                if price.provider in self._providers and price.provider not in served_by:
                    served_by.append(price.provider)
        for provider in self.providers:
            # What a deployment is, its operator says: no price's id or alias can know better.
            for name, model in provider.deployments.items():
                known = self._aliases.get((provider.name, model))
                if known is not None:
                    self._aliases[provider.name, name] = known
                    served_by = models.setdefault(name, [])
                    if provider.name not in served_by:
                        served_by.append(provider.name)
        self._models = {name: tuple(sorted(served_by)) for name, served_by in models.items()}

    def project(self, project_id: str) -> Project | None:
        """The project of this id."""
        return self._projects.get(project_id)

    def key_by_digest(self, digest: bytes) -> Key | None:
        """The secret whose text has this SHA-256."""
        return self._by_digest.get(digest)

    def secret(self, secret_id: str) -> Key | None:
        """The secret of this id."""
        return self._by_secret.get(secret_id)

    def provider(self, name: str) -> Provider | None:
        """The provider of this name."""
        return self._providers.get(name)

    def secrets_of(self, provider: str, project_id: str) -> tuple[ProviderSecret, ...]:
        """A project's own secrets at a provider, and if it has none those of the agency."""
        if self._own_secrets and (own := self._own_secrets.get((provider, project_id))) is not None:
            return own
        return self._agency_secrets.get(provider, ())

    def every_secret(self) -> Iterator[ProviderSecret]:
        """All secrets at providers, whoever's they are."""
        every = (*self._agency_secrets.values(), *self._own_secrets.values())
        return (one for secrets in every for one in secrets)

    def providers_of_model(self, model_or_alias: str) -> tuple[str, ...]:
        """The names of the configured providers that serve a model, in alphabetical order."""
        return self._models.get(model_or_alias, ())

    def route(self, name: str, project_id: str) -> ModelRoute | None:
        """The route of calls of a project that ask for a name; None for most names."""
        by_project = self._routes.get(name)
        if by_project is None:
            return None
        return by_project.get(project_id) or by_project.get("")

    def routes_of(self, project_id: str) -> tuple[ModelRoute, ...]:
        """Every route that calls of a project may go, by name."""
        found = {route.name: self.route(route.name, project_id) for route in self.routes}
        return tuple(route for _, route in sorted(found.items()) if route is not None)

    def price(self, provider: str, model_or_alias: str, now_unix_ms: int) -> ModelPrice | None:
        """The price in force at an instant; None when the model has none."""
        model = self._aliases.get((provider, model_or_alias))
        if model is None:
            return None
        in_force = None
        for dated in self._versions[provider, model]:
            if dated.valid_from_unix_ms <= now_unix_ms:
                in_force = dated.price
        return in_force

    def prices_between(
        self, provider: str, model_or_alias: str, from_unix_ms: int, until_unix_ms: int
    ) -> tuple[ModelPrice, ...]:
        """Every price in force at some time between the two instants, the earliest first."""
        model = self._aliases.get((provider, model_or_alias))
        if model is None:
            return ()
        found: list[ModelPrice] = []
        for dated in self._versions[provider, model]:
            if dated.valid_from_unix_ms <= from_unix_ms:
                found = [dated.price]
            elif dated.valid_from_unix_ms <= until_unix_ms:
                found.append(dated.price)
        return tuple(found)

    def models_of(self, key: Key) -> tuple[ModelPrice, ...]:
        """The latest known price of every model that a key may use and a provider here serves."""
        return tuple(
            versions[-1].price
            for (provider, model), versions in sorted(self._versions.items())
            if provider in self._providers and key.allows(model)
        )

    def named_models_of(self, key: Key) -> tuple[ModelPrice, ...]:
        """What names of the agency's own lead to, each as the price of the model under that name.

        A name that is a model's id is none of these: it is shown already.
        """
        found = []
        for route in self.routes_of(key.project_id):
            prices = (self._latest(target) for target in route.targets)
            first = next((one for one in prices if one and key.allows(one.model)), None)
            if first is not None and route.name not in self._models:
                found.append(replace(first, model=route.name, aliases=()))
        return tuple(found)

    def _latest(self, target: Target) -> ModelPrice | None:
        """The latest known price of a target, if its provider is here."""
        model = self._aliases.get((target.provider, target.model))
        if model is None or target.provider not in self._providers:
            return None
        return self._versions[target.provider, model][-1].price

    def matching(self, attributes: Attributes) -> tuple[Budget, ...]:
        """Every budget that counts a call, by ascending id; capped or not."""
        known = self._matches.get(attributes)
        if known is not None:
            return known
        found = tuple(
            budget
            for budget in self._of_project(attributes.project_id)
            if budget.selector.matches(attributes)
        )
        if len(self._matches) >= MATCHES_MAX:
            self._matches.clear()
        self._matches[attributes] = found
        return found

    def _of_project(self, project_id: str) -> tuple[Budget, ...]:
        known = self._by_project.get(project_id)
        if known is None:
            known = tuple(
                budget for budget in self.budgets if budget.selector.project_id in ("", project_id)
            )
            if project_id in self._projects:
                self._by_project[project_id] = known
        return known

    def partition(self, budget: Budget, attributes: Attributes) -> str:
        """The partition of a budget that a call falls in."""
        return partition_of(budget.split_by, attributes)


EMPTY = Policy(version=0)
"""What a sidecar knows before it ever heard anything: nothing may pass."""
