"""Serves how the agency shows itself."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.statements import branding_from_wire, branding_to_wire
from control_plane.usecases import branding
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class BrandingServicer(v1.BrandingServiceServicer):
    """Reads and replaces the branding."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def GetBranding(self, request: v1.GetBrandingRequest, context: Context) -> v1.Branding:
        return branding_to_wire(await self._transactions.read(request, branding.get_branding))

    async def SetBranding(self, request: v1.SetBrandingRequest, context: Context) -> v1.Branding:
        wanted, etag = branding_from_wire(request.branding), request.branding.etag
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Branding,
            lambda tx, act: branding_to_wire(branding.set_branding(tx, wanted, etag, act)),
        )
