"""Serves gateway keys."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire import keys as wire
from control_plane.rpc.wire.instants import duration_from_wire, instant_from_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.usecases import keys
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class KeyServicer(v1.KeyServiceServicer):
    """Makes, rotates and revokes gateway keys."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def CreateKey(
        self, request: v1.CreateKeyRequest, context: Context
    ) -> v1.CreateKeyResponse:
        asked = wire.new_key_from_wire(request)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.CreateKeyResponse,
            lambda tx, act: wire.created_to_wire(*keys.create_key(tx, asked, act)),
            shown_once="secret",
        )

    async def GetKey(self, request: v1.GetKeyRequest, context: Context) -> v1.Key:
        found = await self._transactions.read(request, lambda tx: keys.get_key(tx, request.key_id))
        return wire.key_to_wire(found)

    async def ListKeys(self, request: v1.ListKeysRequest, context: Context) -> v1.ListKeysResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request,
            lambda tx: keys.list_keys(
                tx, asked, project_id=request.project_id, show_revoked=request.show_revoked
            ),
        )
        return v1.ListKeysResponse(
            keys=map(wire.key_to_wire, page.items), next_page_token=page.next_token
        )

    async def UpdateKey(self, request: v1.UpdateKeyRequest, context: Context) -> v1.Key:
        change = wire.key_change_from_wire(request)
        wanted = request.key
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Key,
            lambda tx, act: wire.key_to_wire(
                keys.update_key(tx, wanted.key_id, wanted.etag, change, act)
            ),
        )

    async def RotateKey(
        self, request: v1.RotateKeyRequest, context: Context
    ) -> v1.RotateKeyResponse:
        overlap_ms = duration_from_wire(request, "overlap")
        expires_unix_ms = instant_from_wire(request, "expire_time")
        return await self._transactions.change(
            request,
            request.request_id,
            v1.RotateKeyResponse,
            lambda tx, act: wire.rotated_to_wire(
                *keys.rotate_key(tx, request.key_id, overlap_ms, expires_unix_ms, act)
            ),
            shown_once="secret",
        )

    async def RevokeKey(
        self, request: v1.RevokeKeyRequest, context: Context
    ) -> v1.RevokeKeyResponse:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.RevokeKeyResponse,
            lambda tx, act: wire.revoked_to_wire(
                *keys.revoke_key(tx, request.key_id, request.secret_id, request.reason, act)
            ),
        )
