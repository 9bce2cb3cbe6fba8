"""Serves routes of models."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.model_routes import model_route_from_wire, model_route_to_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.store.engine import Tx
from control_plane.usecases import model_routes
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class ModelRouteServicer(v1.ModelRouteServiceServicer):
    """Sets and lists routes."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def SetModelRoute(
        self, request: v1.SetModelRouteRequest, context: Context
    ) -> v1.ModelRoute:
        wanted, etag = model_route_from_wire(request.route), request.route.etag
        return await self._transactions.change(
            request,
            request.request_id,
            v1.ModelRoute,
            lambda tx, act: model_route_to_wire(
                model_routes.set_model_route(tx, wanted, etag, act)
            ),
        )

    async def ListModelRoutes(
        self, request: v1.ListModelRoutesRequest, context: Context
    ) -> v1.ListModelRoutesResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: model_routes.list_model_routes(tx, asked, request.project_id)
        )
        return v1.ListModelRoutesResponse(
            routes=map(model_route_to_wire, page.items), next_page_token=page.next_token
        )

    async def DeleteModelRoute(
        self, request: v1.DeleteModelRouteRequest, context: Context
    ) -> v1.DeleteModelRouteResponse:
        def delete(tx: Tx, act: Act) -> v1.DeleteModelRouteResponse:
            model_routes.delete_model_route(tx, request.project_id, request.name, request.etag, act)
            return v1.DeleteModelRouteResponse()

        return await self._transactions.change(
            request, request.request_id, v1.DeleteModelRouteResponse, delete
        )
