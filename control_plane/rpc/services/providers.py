"""Serves providers."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.providers import (
    new_provider_secret_from_wire,
    provider_secret_to_wire,
    provider_to_wire,
    set_provider_from_wire,
)
from control_plane.store.engine import Tx
from control_plane.usecases import provider_secrets, providers
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class ProviderServicer(v1.ProviderServiceServicer):
    """Sets and lists providers."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def SetProvider(self, request: v1.SetProviderRequest, context: Context) -> v1.Provider:
        wish = set_provider_from_wire(request)
        vault = self._transactions.deps.vault
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Provider,
            lambda tx, act: provider_to_wire(providers.set_provider(tx, wish, vault, act)),
        )

    async def ListProviders(
        self, request: v1.ListProvidersRequest, context: Context
    ) -> v1.ListProvidersResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: providers.list_providers(tx, asked)
        )
        return v1.ListProvidersResponse(
            providers=map(provider_to_wire, page.items), next_page_token=page.next_token
        )

    async def DeleteProvider(
        self, request: v1.DeleteProviderRequest, context: Context
    ) -> v1.DeleteProviderResponse:
        def delete(tx: Tx, act: Act) -> v1.DeleteProviderResponse:
            providers.delete_provider(tx, request.provider, request.etag, act)
            return v1.DeleteProviderResponse()

        return await self._transactions.change(
            request, request.request_id, v1.DeleteProviderResponse, delete
        )

    async def AddProviderSecret(
        self, request: v1.AddProviderSecretRequest, context: Context
    ) -> v1.ProviderSecret:
        wish = new_provider_secret_from_wire(request)
        vault = self._transactions.deps.vault

        def add(tx: Tx, act: Act) -> v1.ProviderSecret:
            made = provider_secrets.add_provider_secret(tx, wish, vault, act)
            return provider_secret_to_wire(made)

        return await self._transactions.change(request, request.request_id, v1.ProviderSecret, add)

    async def ListProviderSecrets(
        self, request: v1.ListProviderSecretsRequest, context: Context
    ) -> v1.ListProviderSecretsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request,
            lambda tx: provider_secrets.list_provider_secrets(tx, asked, request.provider),
        )
        return v1.ListProviderSecretsResponse(
            secrets=map(provider_secret_to_wire, page.items), next_page_token=page.next_token
        )

    async def RemoveProviderSecret(
        self, request: v1.RemoveProviderSecretRequest, context: Context
    ) -> v1.RemoveProviderSecretResponse:
        def remove(tx: Tx, act: Act) -> v1.RemoveProviderSecretResponse:
            provider_secrets.remove_provider_secret(tx, request.provider_secret_id, act)
            return v1.RemoveProviderSecretResponse()

        return await self._transactions.change(
            request, request.request_id, v1.RemoveProviderSecretResponse, remove
        )
