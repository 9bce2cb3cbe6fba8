"""Serves principals and the audit log."""

import grpc.aio

from control_plane.rpc import callers
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.instants import instant_from_wire, instant_to_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.principals import (
    audit_entry_to_wire,
    principal_to_wire,
    role_from_wire,
)
from control_plane.store.engine import Tx
from control_plane.usecases import principals, sessions
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class PrincipalServicer(v1.PrincipalServiceServicer):
    """Makes principals and their tokens."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def CreatePrincipal(
        self, request: v1.CreatePrincipalRequest, context: Context
    ) -> v1.CreatePrincipalResponse:
        name, role = request.principal.display_name, role_from_wire(request.principal.role)

        def create(tx: Tx, act: Act) -> v1.CreatePrincipalResponse:
            principal, text = principals.create_principal(
                tx, name, role, act, project_id=request.principal.project_id
            )
            return v1.CreatePrincipalResponse(principal=principal_to_wire(principal), token=text)

        return await self._transactions.change(
            request, request.request_id, v1.CreatePrincipalResponse, create, shown_once="token"
        )

    async def ListPrincipals(
        self, request: v1.ListPrincipalsRequest, context: Context
    ) -> v1.ListPrincipalsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: principals.list_principals(tx, asked)
        )
        return v1.ListPrincipalsResponse(
            principals=map(principal_to_wire, page.items), next_page_token=page.next_token
        )

    async def DisablePrincipal(
        self, request: v1.DisablePrincipalRequest, context: Context
    ) -> v1.Principal:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Principal,
            lambda tx, act: principal_to_wire(
                principals.disable_principal(tx, request.principal_id, request.reason, act)
            ),
        )

    async def IssueToken(
        self, request: v1.IssueTokenRequest, context: Context
    ) -> v1.IssueTokenResponse:
        expires_unix_ms = instant_from_wire(request, "expire_time")

        def issue(tx: Tx, act: Act) -> v1.IssueTokenResponse:
            principal, text = principals.issue_token(tx, request.principal_id, expires_unix_ms, act)
            return v1.IssueTokenResponse(principal=principal_to_wire(principal), token=text)

        return await self._transactions.change(
            request, request.request_id, v1.IssueTokenResponse, issue, shown_once="token"
        )

    async def RevokeToken(self, request: v1.RevokeTokenRequest, context: Context) -> v1.Principal:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Principal,
            lambda tx, act: principal_to_wire(principals.revoke_token(tx, request.token_id, act)),
        )

    async def CreateSignInLink(
        self, request: v1.CreateSignInLinkRequest, context: Context
    ) -> v1.CreateSignInLinkResponse:
        desk_url = self._transactions.deps.desk_url

        def create(tx: Tx, act: Act) -> v1.CreateSignInLinkResponse:
            principal_id = request.principal_id or act.actor.principal_id
            principal, link, text = sessions.create_sign_in_link(tx, principal_id, act)
            return v1.CreateSignInLinkResponse(
                principal=principal_to_wire(principal),
                secret=text,
                expire_time=instant_to_wire(link.expires_unix_ms),
                desk_url=desk_url,
            )

        return await self._transactions.change(
            request, request.request_id, v1.CreateSignInLinkResponse, create, shown_once="secret"
        )

    async def GetCaller(self, request: v1.GetCallerRequest, context: Context) -> v1.Principal:
        caller = callers.current().principal
        found = await self._transactions.read(
            request, lambda tx: principals.get_caller(tx, caller.principal_id)
        )
        return principal_to_wire(found)

    async def ListAuditEntries(
        self, request: v1.ListAuditEntriesRequest, context: Context
    ) -> v1.ListAuditEntriesResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: principals.list_audit_entries(tx, asked, request.project_id)
        )
        return v1.ListAuditEntriesResponse(
            entries=map(audit_entry_to_wire, page.items), next_page_token=page.next_token
        )
