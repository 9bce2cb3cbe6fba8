"""Providers: where calls are sent, and the agency's secrets there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clients.admin.instants import instant_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of models. Its secret is never shown again."""

    provider: str
    """Its name in paths and prices, such as "openai"."""
    family: str
    """The wire format that it speaks: "openai", "anthropic" or "gemini"."""
    base_url: str
    """The base URL, such as https://api.openai.com."""
    secret_hint: str
    """The last four characters of the secret; "" when there is none."""
    secret_version: int
    """Rises with every change of the secret."""
    update_time: datetime
    """When it was last changed."""
    etag: str
    """Send it back on update."""
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Which model each deployment is, by the deployment's name (Azure)."""


class Providers:
    """Sets and lists providers."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ProviderServiceStub(wire.channel)

    def set(
        self,
        provider: str,
        *,
        family: str,
        base_url: str,
        secret: str = "",
        etag: str = "",
        deployments: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Provider:
        """Make a provider, or replace its address, deployments and, unless empty, its secret.

        `etag` is required when the provider exists.
        """
        request = v1.SetProviderRequest(
            request_id=request_id or self._wire.request_id(),
            provider=v1.Provider(
                provider=provider,
                family=family,
                base_url=base_url,
                etag=etag,
                deployments=deployments or {},
            ),
            secret=secret,
        )
        return provider_from_wire(self._wire.ask(self._stub.SetProvider, request))

    def list(self) -> Iterator[Provider]:
        """Yield providers by name."""

        def fetch(token: str) -> v1.ListProvidersResponse:
            request = v1.ListProvidersRequest(page_size=PAGE_ITEMS, page_token=token)
            return self._wire.ask(self._stub.ListProviders, request)

        return self._wire.pages(fetch, lambda page: map(provider_from_wire, page.providers))

    def delete(self, provider: Provider, *, request_id: str = "") -> None:
        """Take a provider away; its models are refused from then on."""
        request = v1.DeleteProviderRequest(
            request_id=request_id or self._wire.request_id(),
            provider=provider.provider,
            etag=provider.etag,
        )
        self._wire.ask(self._stub.DeleteProvider, request)


def provider_from_wire(wire: v1.Provider) -> Provider:
    """Read a provider."""
    return Provider(
        provider=wire.provider,
        family=wire.family,
        base_url=wire.base_url,
        secret_hint=wire.secret_hint,
        secret_version=wire.secret_version,
        update_time=instant_from_wire(wire.update_time),
        etag=wire.etag,
        deployments=dict(wire.deployments),
    )
