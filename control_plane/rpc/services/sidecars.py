"""Serves sidecars and leases, seen from the desk."""

import grpc.aio

from control_plane.core.log import OrphanFilter
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.instants import instant_to_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.sidecars import (
    chosen_from_wire,
    decided_to_wire,
    lease_to_wire,
    new_join_token_from_wire,
    orphan_to_wire,
    revoked_to_wire,
    sidecar_to_wire,
)
from control_plane.store.engine import Tx
from control_plane.usecases import leases, sidecars
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class SidecarAdminServicer(v1.SidecarAdminServiceServicer):
    """Lets sidecars join and revokes them."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def CreateJoinToken(
        self, request: v1.CreateJoinTokenRequest, context: Context
    ) -> v1.CreateJoinTokenResponse:
        asked = new_join_token_from_wire(request)

        def create(tx: Tx, act: Act) -> v1.CreateJoinTokenResponse:
            token, text = sidecars.create_join_token(tx, asked, act)
            return v1.CreateJoinTokenResponse(
                join_token=text, expire_time=instant_to_wire(token.expires_unix_ms)
            )

        return await self._transactions.change(
            request, request.request_id, v1.CreateJoinTokenResponse, create, shown_once="join_token"
        )

    async def ListSidecars(
        self, request: v1.ListSidecarsRequest, context: Context
    ) -> v1.ListSidecarsResponse:
        asked, now = asked_from_wire(request), self._transactions.now_unix_ms()
        levels = self._transactions.deps.levels
        page = await self._transactions.read(
            request,
            lambda tx: sidecars.list_sidecars(
                tx, asked, show_revoked=request.show_revoked, levels=levels
            ),
        )
        return v1.ListSidecarsResponse(
            sidecars=[sidecar_to_wire(sidecar, now) for sidecar in page.items],
            next_page_token=page.next_token,
        )

    async def RevokeSidecar(
        self, request: v1.RevokeSidecarRequest, context: Context
    ) -> v1.RevokeSidecarResponse:
        levels = self._transactions.deps.levels
        revoked = await self._transactions.change(
            request,
            request.request_id,
            v1.RevokeSidecarResponse,
            lambda tx, act: revoked_to_wire(
                sidecars.revoke_sidecar(tx, request.sidecar_id, request.reason, act, levels),
                act.now_unix_ms,
            ),
        )
        self._transactions.deps.hub.end(request.sidecar_id)
        return revoked


class LeaseServicer(v1.LeaseServiceServicer):
    """Reads leases, and decides about money whose journal is lost."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def ListLeases(
        self, request: v1.ListLeasesRequest, context: Context
    ) -> v1.ListLeasesResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request,
            lambda tx: leases.list_leases(
                tx,
                asked,
                budget_id=request.budget_id,
                sidecar_id=request.sidecar_id,
                levels=self._transactions.deps.levels,
            ),
        )
        return v1.ListLeasesResponse(
            leases=map(lease_to_wire, page.items), next_page_token=page.next_token
        )

    async def ListOrphans(
        self, request: v1.ListOrphansRequest, context: Context
    ) -> v1.ListOrphansResponse:
        asked = asked_from_wire(request)
        wanted = OrphanFilter(
            request.sidecar_id, request.budget_id, show_decided=request.show_decided
        )
        page = await self._transactions.read(
            request, lambda tx: leases.list_orphans(tx, asked, wanted)
        )
        return v1.ListOrphansResponse(
            orphans=map(orphan_to_wire, page.items), next_page_token=page.next_token
        )

    async def ChargeOrphans(
        self, request: v1.ChargeOrphansRequest, context: Context
    ) -> v1.DecideOrphansResponse:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.DecideOrphansResponse,
            lambda tx, act: decided_to_wire(
                leases.charge_orphans(
                    tx, chosen_from_wire(request), request.expected_nano_usd, request.reason, act
                )
            ),
        )

    async def ReleaseOrphans(
        self, request: v1.ReleaseOrphansRequest, context: Context
    ) -> v1.DecideOrphansResponse:
        released = await self._transactions.change(
            request,
            request.request_id,
            v1.DecideOrphansResponse,
            lambda tx, act: decided_to_wire(
                leases.release_orphans(
                    tx, chosen_from_wire(request), request.expected_nano_usd, request.reason, act
                )
            ),
        )
        # More is left of periods than sidecars know, who would refuse what can be paid again.
        self._transactions.deps.hub.nudge_all()
        return released
