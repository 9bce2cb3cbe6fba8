"""Serves price books."""

import asyncio

import grpc.aio

from control_plane.catalogues import reading
from control_plane.core.offers import Catalogue
from control_plane.rpc.transactions import Transactions, check_request
from control_plane.rpc.wire.instants import instant_from_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.prices import (
    accepted_to_wire,
    model_price_from_wire,
    price_to_wire,
    proposal_to_wire,
)
from control_plane.rpc.wire.rerating import rerating_from_wire, rerating_to_wire
from control_plane.rpc.wire.retirements import retirement_from_wire, retirement_to_wire
from control_plane.store.engine import Tx
from control_plane.usecases import price_imports, prices, rerating, retirements
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class PriceServicer(v1.PriceServiceServicer):
    """Reads prices and sets them."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def ListPrices(
        self, request: v1.ListPricesRequest, context: Context
    ) -> v1.ListPricesResponse:
        asked, now = asked_from_wire(request), self._transactions.now_unix_ms()
        page = await self._transactions.read(
            request,
            lambda tx: prices.list_prices(
                tx,
                asked,
                provider=request.provider,
                show_history=request.show_history,
                now_unix_ms=now,
            ),
        )
        return v1.ListPricesResponse(
            prices=map(price_to_wire, page.items), next_page_token=page.next_token
        )

    async def SetPrice(self, request: v1.SetPriceRequest, context: Context) -> v1.Price:
        price = model_price_from_wire(request.price)
        valid_from_unix_ms = instant_from_wire(request.price, "valid_from_time")
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Price,
            lambda tx, act: price_to_wire(
                prices.set_price(tx, price, valid_from_unix_ms, request.reason, act)
            ),
        )

    async def QueryPriceChanges(
        self, request: v1.QueryPriceChangesRequest, context: Context
    ) -> v1.QueryPriceChangesResponse:
        catalogues, now = await self._catalogues(request), self._transactions.now_unix_ms()
        proposal = await self._transactions.read(
            request,
            lambda tx: price_imports.query_price_changes(tx, catalogues, request.models, now),
        )
        return proposal_to_wire(proposal, reading.sources(request.litellm_gzip))

    async def AcceptPrices(
        self, request: v1.AcceptPricesRequest, context: Context
    ) -> v1.AcceptPricesResponse:
        catalogues = await self._catalogues(request.proposal)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.AcceptPricesResponse,
            lambda tx, act: accepted_to_wire(
                price_imports.accept_prices(
                    tx,
                    catalogues,
                    request.proposal.models,
                    digest=request.digest,
                    dearer_only=request.dearer_only,
                    reason=request.reason,
                    act=act,
                )
            ),
        )

    async def QueryRerating(
        self, request: v1.QueryReratingRequest, context: Context
    ) -> v1.Rerating:
        question, now = rerating_from_wire(request), self._transactions.now_unix_ms()
        return rerating_to_wire(
            await self._transactions.read(
                request, lambda tx: rerating.query_rerating(tx, question, now)
            )
        )

    async def RerateCalls(self, request: v1.RerateCallsRequest, context: Context) -> v1.Rerating:
        question = rerating_from_wire(request.question)
        done = await self._transactions.change(
            request,
            request.request_id,
            v1.Rerating,
            lambda tx, act: rerating_to_wire(
                rerating.rerate_calls(tx, question, request.reason, act)
            ),
        )
        if not done.more:
            # More may be left of periods than sidecars know, who would refuse what can be paid
            # again. Once for all parts of a ledger: of those there may be thousands.
            self._transactions.deps.hub.nudge_all()
        return done

    async def SetRetirement(
        self, request: v1.SetRetirementRequest, context: Context
    ) -> v1.Retirement:
        wanted = retirement_from_wire(request.retirement)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Retirement,
            lambda tx, act: retirement_to_wire(retirements.set_retirement(tx, wanted, act)),
        )

    async def ListRetirements(
        self, request: v1.ListRetirementsRequest, context: Context
    ) -> v1.ListRetirementsResponse:
        page = await self._transactions.read(request, retirements.list_retirements)
        return v1.ListRetirementsResponse(retirements=map(retirement_to_wire, page.items))

    async def RemoveRetirement(
        self, request: v1.RemoveRetirementRequest, context: Context
    ) -> v1.RemoveRetirementResponse:
        def remove(tx: Tx, act: Act) -> v1.RemoveRetirementResponse:
            retirements.remove_retirement(tx, request.provider, request.model, act)
            return v1.RemoveRetirementResponse()

        return await self._transactions.change(
            request, request.request_id, v1.RemoveRetirementResponse, remove
        )

    async def _catalogues(self, request: v1.QueryPriceChangesRequest) -> dict[str, Catalogue]:
        """What the catalogues say, read in a thread: it would hold up everybody else."""
        check_request(request)
        named = list(request.providers)
        providers = named or await self._transactions.read(
            request, price_imports.configured_providers
        )
        return await asyncio.to_thread(
            reading.read,
            providers,
            request.litellm_gzip,
            self._transactions.now_unix_ms(),
            named=bool(named),
        )
