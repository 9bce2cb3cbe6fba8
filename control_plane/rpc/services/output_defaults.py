"""Serves defaults of output."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.instants import instant_from_wire
from control_plane.rpc.wire.output_defaults import (
    output_default_from_wire,
    output_default_to_wire,
    proposal_to_wire,
    scope_from_wire,
)
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.store.engine import Tx
from control_plane.usecases import output_defaults
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class OutputDefaultServicer(v1.OutputDefaultServiceServicer):
    """Sets, lists and proposes defaults of output."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def SetOutputDefault(
        self, request: v1.SetOutputDefaultRequest, context: Context
    ) -> v1.OutputDefault:
        wanted = output_default_from_wire(request.output_default)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.OutputDefault,
            lambda tx, act: output_default_to_wire(
                output_defaults.set_output_default(tx, wanted, request.reason, act)
            ),
        )

    async def DeleteOutputDefault(
        self, request: v1.DeleteOutputDefaultRequest, context: Context
    ) -> v1.DeleteOutputDefaultResponse:
        scope = scope_from_wire(request)

        def delete(tx: Tx, act: Act) -> v1.DeleteOutputDefaultResponse:
            output_defaults.delete_output_default(tx, scope, request.reason, act)
            return v1.DeleteOutputDefaultResponse()

        return await self._transactions.change(
            request, request.request_id, v1.DeleteOutputDefaultResponse, delete
        )

    async def ListOutputDefaults(
        self, request: v1.ListOutputDefaultsRequest, context: Context
    ) -> v1.ListOutputDefaultsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: output_defaults.list_output_defaults(tx, asked, request.project_id)
        )
        return v1.ListOutputDefaultsResponse(
            output_defaults=map(output_default_to_wire, page.items), next_page_token=page.next_token
        )

    async def QueryOutputDefaultProposals(
        self, request: v1.QueryOutputDefaultProposalsRequest, context: Context
    ) -> v1.QueryOutputDefaultProposalsResponse:
        start, now = instant_from_wire(request, "start_time"), self._transactions.now_unix_ms()
        found = await self._transactions.read(
            request,
            lambda tx: output_defaults.query_output_default_proposals(
                tx, request.project_id, start, request.margin_percent, now
            ),
        )
        return v1.QueryOutputDefaultProposalsResponse(
            proposals=map(proposal_to_wire, found.items), call_count=found.call_count, cut=found.cut
        )
