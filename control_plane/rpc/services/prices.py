"""Serves price books."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.instants import instant_from_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.prices import model_price_from_wire, price_to_wire
from control_plane.usecases import prices
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
