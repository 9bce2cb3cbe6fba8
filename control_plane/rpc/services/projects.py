"""Serves projects."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.budgets import budget_to_wire, new_budget_from_wire
from control_plane.rpc.wire.instants import instant_from_wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.projects import (
    new_project_from_wire,
    project_change_from_wire,
    project_to_wire,
)
from control_plane.rpc.wire.rate_cards import rate_card_from_wire, rate_card_to_wire
from control_plane.rpc.wire.share_links import share_link_to_wire
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, projects, rate_cards, share_links
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class ProjectServicer(v1.ProjectServiceServicer):
    """Makes, reads and changes projects."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def CreateProject(
        self, request: v1.CreateProjectRequest, context: Context
    ) -> v1.CreateProjectResponse:
        asked = new_project_from_wire(request.project)
        first = new_budget_from_wire(request.budget)

        def create(tx: Tx, act: Act) -> v1.CreateProjectResponse:
            project, budget = projects.create_project(tx, asked, first, act)
            shown = budgets.shown(tx, budget, act.now_unix_ms)
            return v1.CreateProjectResponse(
                project=project_to_wire(project), budget=budget_to_wire(shown)
            )

        return await self._transactions.change(
            request, request.request_id, v1.CreateProjectResponse, create
        )

    async def GetProject(self, request: v1.GetProjectRequest, context: Context) -> v1.Project:
        found = await self._transactions.read(
            request, lambda tx: projects.get_project(tx, request.project)
        )
        return project_to_wire(found)

    async def ListProjects(
        self, request: v1.ListProjectsRequest, context: Context
    ) -> v1.ListProjectsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request,
            lambda tx: projects.list_projects(tx, asked, show_archived=request.show_archived),
        )
        return v1.ListProjectsResponse(
            projects=map(project_to_wire, page.items), next_page_token=page.next_token
        )

    async def UpdateProject(self, request: v1.UpdateProjectRequest, context: Context) -> v1.Project:
        change = project_change_from_wire(request)
        wanted = request.project
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Project,
            lambda tx, act: project_to_wire(
                projects.update_project(tx, wanted.project_id, wanted.etag, change, act)
            ),
        )

    async def SuspendProject(
        self, request: v1.SuspendProjectRequest, context: Context
    ) -> v1.Project:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Project,
            lambda tx, act: project_to_wire(
                projects.suspend_project(tx, request.project_id, request.reason, act)
            ),
        )

    async def ResumeProject(self, request: v1.ResumeProjectRequest, context: Context) -> v1.Project:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Project,
            lambda tx, act: project_to_wire(
                projects.resume_project(tx, request.project_id, request.reason, act)
            ),
        )

    async def ArchiveProject(
        self, request: v1.ArchiveProjectRequest, context: Context
    ) -> v1.Project:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Project,
            lambda tx, act: project_to_wire(
                projects.archive_project(tx, request.project_id, request.reason, act)
            ),
        )

    async def SetRateCard(self, request: v1.SetRateCardRequest, context: Context) -> v1.RateCard:
        card = rate_card_from_wire(request.rate_card)
        valid_from_unix_ms = instant_from_wire(request.rate_card, "valid_from_time")
        return await self._transactions.change(
            request,
            request.request_id,
            v1.RateCard,
            lambda tx, act: rate_card_to_wire(
                rate_cards.set_rate_card(tx, card, valid_from_unix_ms, request.reason, act)
            ),
        )

    async def ListRateCards(
        self, request: v1.ListRateCardsRequest, context: Context
    ) -> v1.ListRateCardsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: rate_cards.list_rate_cards(tx, asked, request.project_id)
        )
        return v1.ListRateCardsResponse(
            rate_cards=map(rate_card_to_wire, page.items), next_page_token=page.next_token
        )

    async def CreateShareLink(
        self, request: v1.CreateShareLinkRequest, context: Context
    ) -> v1.CreateShareLinkResponse:
        expires_unix_ms = instant_from_wire(request, "expire_time")
        desk_url = self._transactions.deps.desk_url

        def create(tx: Tx, act: Act) -> v1.CreateShareLinkResponse:
            link, text = share_links.create_share_link(tx, request.project_id, expires_unix_ms, act)
            return v1.CreateShareLinkResponse(
                link=share_link_to_wire(link), secret=text, desk_url=desk_url
            )

        return await self._transactions.change(
            request, request.request_id, v1.CreateShareLinkResponse, create, shown_once="secret"
        )

    async def ListShareLinks(
        self, request: v1.ListShareLinksRequest, context: Context
    ) -> v1.ListShareLinksResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: share_links.list_share_links(tx, asked, request.project_id)
        )
        return v1.ListShareLinksResponse(
            links=map(share_link_to_wire, page.items), next_page_token=page.next_token
        )

    async def RevokeShareLink(
        self, request: v1.RevokeShareLinkRequest, context: Context
    ) -> v1.ShareLink:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.ShareLink,
            lambda tx, act: share_link_to_wire(
                share_links.revoke_share_link(tx, request.link_id, act)
            ),
        )
