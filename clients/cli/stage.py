"""Sets the stage for `up`: providers, the rehearsal's prices, join tokens, the demo client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from clients.admin import Budget, Bursar, Price, Provider
from clients.cli.folder import Folder, read_secret, write_private
from clients.cli.output import usd
from clients.cli.providers import BASE_URLS, KEY_VARIABLES, REHEARSAL_SECRET, is_stand_in
from clients.rehearsal import prices as rehearsal_prices
from protos.values import quantities
from protos.values.errors import PermissionDeniedError
from protos.values.keys import key_hint
from protos.values.money import usd_per_million_to_pico
from protos.values.rates import Tier

DEMO_NAME = "Demo"
DEMO_CAP_USD = "10"

Standing = Literal["real", "stand-in", "missing"]


@dataclass(frozen=True, slots=True)
class Cast:
    """Who answers calls."""

    existing: Mapping[str, Provider]
    """Providers as the control plane has them."""
    secrets: Mapping[str, str] = field(repr=False)
    """Secrets from the environment, by provider."""
    rehearse: bool
    """Whether a rehearsal provider stands in for those that have no secret."""

    def standing(self, name: str) -> Standing:
        """Who answers for a provider."""
        existing = self.existing.get(name)
        if name in self.secrets or (existing is not None and not is_stand_in(existing)):
            return "real"
        return "stand-in" if self.rehearse else "missing"


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo client's key."""

    key: str = field(repr=False)
    """Its text."""
    cap: str
    """Its cap, for reading."""


def cast(bursar: Bursar, environment: Mapping[str, str], *, rehearsal: bool | None) -> Cast:
    """Decide who answers calls: real providers when any has a secret, else the rehearsal."""
    existing = {one.provider: one for one in bursar.providers.list()}
    secrets = {
        name: environment[variable].strip()
        for name, variable in KEY_VARIABLES.items()
        if environment.get(variable, "").strip() and not rehearsal
    }
    real = bool(secrets) or any(not is_stand_in(one) for one in existing.values())
    return Cast(existing, secrets, rehearse=(not real) if rehearsal is None else rehearsal)


def desk_link(bursar: Bursar) -> str:
    """A link that signs whoever runs `up` in at the desk once; "" for who may not make one."""
    try:
        return bursar.principals.create_sign_in_link().url
    except PermissionDeniedError:
        return ""


def set_providers(bursar: Bursar, chosen: Cast, rehearsal_url: str) -> None:
    """Send calls where the cast says."""
    for name, base_url in BASE_URLS.items():
        existing = chosen.existing.get(name)
        etag = existing.etag if existing is not None else ""
        standing = chosen.standing(name)
        if name in chosen.secrets:
            kept = existing is not None and not is_stand_in(existing)
            where = existing.base_url if existing is not None and kept else base_url
            bursar.providers.set(
                name, family=name, base_url=where, secret=chosen.secrets[name], etag=etag
            )
        elif standing == "stand-in" and (existing is None or existing.base_url != rehearsal_url):
            bursar.providers.set(
                name, family=name, base_url=rehearsal_url, secret=REHEARSAL_SECRET, etag=etag
            )
        elif standing == "missing" and existing is not None:
            bursar.providers.delete(existing)


def set_rehearsal_prices(bursar: Bursar) -> None:
    """Give every model of the rehearsal that the price book lacks the price that it bills."""
    known = {
        (price.provider, name)
        for price in bursar.prices.list()
        for name in (price.model, *price.aliases)
    }
    for model in rehearsal_prices.MODELS:
        if (model.provider, model.name) not in known:
            bursar.prices.set(_rehearsal_price(model), reason="the rehearsal provider's price")


def _rehearsal_price(model: rehearsal_prices.Model) -> Price:
    texts = {
        quantities.INPUT: model.input,
        quantities.CACHED: model.cached_input,
        quantities.CACHE_WRITE: model.cache_write,
        quantities.CACHE_WRITE_LONG: model.cache_write_1h,
        quantities.OUTPUT: model.output,
    }
    rates = {
        kind: usd_per_million_to_pico(text) for kind, text in texts.items() if text is not None
    }
    return Price(
        provider=model.provider,
        model=model.name,
        aliases=model.aliases,
        input_max_count=model.max_input_tokens,
        output_max_count=model.max_output_tokens,
        tiers=(Tier(0, rates),),
    )


def demo(bursar: Bursar, folder: Folder) -> Demo | None:
    """The demo client's key, made at the very first start; None when it was ended since.

    A first start that was interrupted half way is finished by the next one.
    """
    projects = list(bursar.projects.list(show_archived=True))
    if not projects:
        made = bursar.projects.create(display_name=DEMO_NAME, cap_usd=DEMO_CAP_USD)
        projects = [made.project]
    if not folder.demo_key.exists():
        keyless = not any(bursar.keys.list(show_revoked=True))
        if [one.display_name for one in projects] != [DEMO_NAME] or not keyless:
            return None
        issued = bursar.keys.create(projects[0].project_id, display_name="demo")
        write_private(folder.demo_key, issued.secret + "\n")
    text = read_secret(folder.demo_key, "the demo client's key")
    active = {one.project_id for one in projects if one.state == "active"}
    owners = [
        key.project_id
        for key in bursar.keys.list()
        for secret in key.secrets
        if key.revoke_time is None and secret.revoke_time is None
        if secret.hint == key_hint(text) and key.project_id in active
    ]
    if not owners:
        return None
    budgets = list(bursar.budgets.list(project_id=owners[0]))
    return Demo(text, "; ".join(_cap_text(one) for one in budgets))


def _cap_text(budget: Budget) -> str:
    period = budget.current_period
    if period is None or period.cap_nano_usd is None:
        return f"{usd(budget.cap_nano_usd, none='no cap')}, window {budget.window}"
    spent = usd(period.spent_nano_usd)
    return f"{usd(period.cap_nano_usd)}, {spent} spent, window {budget.window}"
