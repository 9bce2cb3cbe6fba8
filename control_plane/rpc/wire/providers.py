"""Providers on the wire; their secrets only on the way in."""

from control_plane.core.providers import NewProviderSecret, Provider, ProviderSecret, SetProvider
from control_plane.rpc.wire.instants import instant_to_wire
from protos.bursar.admin import v1


def provider_to_wire(provider: Provider) -> v1.Provider:
    """A provider."""
    return v1.Provider(
        provider=provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        secret_hint=provider.secret_hint,
        secret_version=provider.secret_version,
        update_time=instant_to_wire(provider.updated_unix_ms),
        etag=provider.etag,
        deployments=provider.deployments,
    )


def set_provider_from_wire(request: v1.SetProviderRequest) -> SetProvider:
    """A provider as it is to be."""
    provider = request.provider
    return SetProvider(
        provider=provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        secret=request.secret,
        etag=provider.etag,
        deployments=dict(provider.deployments),
    )


def provider_secret_to_wire(secret: ProviderSecret) -> v1.ProviderSecret:
    """One more secret at a provider, without its text."""
    return v1.ProviderSecret(
        provider_secret_id=secret.provider_secret_id,
        provider=secret.provider,
        project_id=secret.project_id,
        display_name=secret.display_name,
        secret_hint=secret.secret_hint,
        create_time=instant_to_wire(secret.created_unix_ms),
    )


def new_provider_secret_from_wire(request: v1.AddProviderSecretRequest) -> NewProviderSecret:
    """A secret to add."""
    return NewProviderSecret(
        request.provider, request.project_id, request.display_name, request.secret
    )
