"""Serves rate limits."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.rate_limits import rate_limit_from_wire, rate_limit_to_wire
from control_plane.store.engine import Tx
from control_plane.usecases import rate_limits
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class RateLimitServicer(v1.RateLimitServiceServicer):
    """Sets and lists rate limits."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def SetRateLimit(self, request: v1.SetRateLimitRequest, context: Context) -> v1.RateLimit:
        asked = rate_limit_from_wire(request.rate_limit)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.RateLimit,
            lambda tx, act: rate_limit_to_wire(rate_limits.set_rate_limit(tx, asked, act)),
        )

    async def ListRateLimits(
        self, request: v1.ListRateLimitsRequest, context: Context
    ) -> v1.ListRateLimitsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: rate_limits.list_rate_limits(tx, asked)
        )
        return v1.ListRateLimitsResponse(
            rate_limits=map(rate_limit_to_wire, page.items), next_page_token=page.next_token
        )

    async def DeleteRateLimit(
        self, request: v1.DeleteRateLimitRequest, context: Context
    ) -> v1.DeleteRateLimitResponse:
        def delete(tx: Tx, act: Act) -> v1.DeleteRateLimitResponse:
            rate_limits.delete_rate_limit(tx, request.rate_limit_id, act)
            return v1.DeleteRateLimitResponse()

        return await self._transactions.change(
            request, request.request_id, v1.DeleteRateLimitResponse, delete
        )
