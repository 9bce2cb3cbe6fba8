"""Serves the ledger to people: calls, their stream, sums, refusals."""

from collections.abc import AsyncIterator
from functools import partial

import grpc.aio

from control_plane import limits
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.calls import (
    answer_to_wire,
    call_filter_from_wire,
    call_to_wire,
    question_from_wire,
    refusal_to_wire,
    tail_start_from_wire,
)
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.usecases import calls
from protos.bursar.admin import v1
from protos.values.errors import LimitExceededError

Context = grpc.aio.ServicerContext[object, object]


class CallServicer(v1.CallServiceServicer):
    """Reads calls, sums and refusals."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._tails = 0

    async def GetCall(self, request: v1.GetCallRequest, context: Context) -> v1.Call:
        found = await self._transactions.read(
            request, lambda tx: calls.get_call(tx, request.call_id)
        )
        return call_to_wire(found)

    async def ListCalls(
        self, request: v1.ListCallsRequest, context: Context
    ) -> v1.ListCallsResponse:
        asked, wanted = asked_from_wire(request), call_filter_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: calls.list_calls(tx, asked, wanted)
        )
        return v1.ListCallsResponse(
            calls=map(call_to_wire, page.items), next_page_token=page.next_token
        )

    async def TailCalls(
        self, request: v1.TailCallsRequest, context: Context
    ) -> AsyncIterator[v1.Call]:
        if self._tails >= limits.TAILS_MAX:
            raise LimitExceededError(
                f"{limits.TAILS_MAX} streams of calls are open: end one first",
                limit=str(limits.TAILS_MAX),
            )
        self._tails += 1
        try:
            async for call in self._follow(request):
                yield call
        finally:
            self._tails -= 1

    async def _follow(self, request: v1.TailCallsRequest) -> AsyncIterator[v1.Call]:
        """Read on from a place in the ledger; a slow reader costs no memory, it reads later."""
        hub = self._transactions.deps.hub
        project_id = request.project_id
        start = tail_start_from_wire(request)
        position = await self._transactions.read(
            request, lambda tx: calls.tail_from(tx, project_id, start)
        )
        while not hub.closed:
            batch = await self._transactions.read(
                request, partial(calls.tail_calls, project_id=project_id, after_position=position)
            )
            position = batch.position
            for call in batch.calls:
                yield call_to_wire(call)
            if not batch.more:
                await hub.wait_ledger(limits.TAIL_LOOK_MS)

    async def QueryUsage(
        self, request: v1.QueryUsageRequest, context: Context
    ) -> v1.QueryUsageResponse:
        question, now = question_from_wire(request), self._transactions.now_unix_ms()
        answer = await self._transactions.read(
            request, lambda tx: calls.query_usage(tx, question, now)
        )
        return answer_to_wire(answer)

    async def ListRefusals(
        self, request: v1.ListRefusalsRequest, context: Context
    ) -> v1.ListRefusalsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: calls.list_refusals(tx, asked, request.project_id)
        )
        return v1.ListRefusalsResponse(
            refusals=map(refusal_to_wire, page.items), next_page_token=page.next_token
        )
