"""Secrets beside the providers' own: the agency's, and clients' own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSecret:
    """One more secret at a provider. It is never shown again.

    The agency's are tried in the order in which they were added, after the provider's own, when a
    provider refuses one. A client with secrets of its own is served with them and no others.
    """

    provider_secret_id: str
    """The secret's id, which the ledger names."""
    provider: str
    """The provider that it is for."""
    project_id: str
    """The client whose own it is; "" for the agency's."""
    display_name: str
    """A name for people; may be empty."""
    secret_hint: str
    """The last four characters of the secret."""
    create_time: datetime
    """When it was added."""


class ProviderSecrets:
    """Adds, lists and forgets secrets."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ProviderServiceStub(wire.channel)

    def add(
        self,
        provider: str,
        secret: str,
        *,
        project_id: str = "",
        display_name: str = "",
        request_id: str = "",
    ) -> ProviderSecret:
        """Add one more secret at a provider: the agency's, or a client's own."""
        request = v1.AddProviderSecretRequest(
            request_id=request_id or self._wire.request_id(),
            provider=provider,
            project_id=project_id,
            display_name=display_name,
            secret=secret,
        )
        return provider_secret_from_wire(self._wire.ask(self._stub.AddProviderSecret, request))

    def list(self, provider: str = "") -> Iterator[ProviderSecret]:
        """Yield secrets in the order in which they were added."""

        def fetch(token: str) -> v1.ListProviderSecretsResponse:
            request = v1.ListProviderSecretsRequest(
                page_size=PAGE_ITEMS, page_token=token, provider=provider
            )
            return self._wire.ask(self._stub.ListProviderSecrets, request)

        return self._wire.pages(fetch, lambda page: map(provider_secret_from_wire, page.secrets))

    def remove(self, provider_secret_id: str, *, request_id: str = "") -> None:
        """Forget a secret; calls go on with those that are left."""
        request = v1.RemoveProviderSecretRequest(
            request_id=request_id or self._wire.request_id(),
            provider_secret_id=provider_secret_id,
        )
        self._wire.ask(self._stub.RemoveProviderSecret, request)


def provider_secret_from_wire(wire: v1.ProviderSecret) -> ProviderSecret:
    """Read a secret, without its text."""
    return ProviderSecret(
        provider_secret_id=wire.provider_secret_id,
        provider=wire.provider,
        project_id=wire.project_id,
        display_name=wire.display_name,
        secret_hint=wire.secret_hint,
        create_time=instant_from_wire(wire.create_time),
    )
