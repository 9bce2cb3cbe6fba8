"""Serves how the agency shows itself."""

import asyncio

import grpc.aio

from control_plane import limits
from control_plane.core.fields import invalid
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.statements import branding_from_wire, branding_to_wire
from control_plane.statements.document import picture_size
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
        if 0 < len(wanted.logo) <= limits.LOGO_BYTES_MAX:
            await _check_picture(wanted.logo)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Branding,
            lambda tx, act: branding_to_wire(branding.set_branding(tx, wanted, etag, act)),
        )


async def _check_picture(logo: bytes) -> None:
    if await asyncio.to_thread(picture_size, logo) is None:
        raise invalid(
            "branding.logo",
            f"a PNG or a JPEG that can be read, of at most {limits.LOGO_PIXELS_MAX} pixels",
        )
