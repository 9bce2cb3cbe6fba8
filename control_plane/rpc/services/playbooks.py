"""Serves playbooks."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.playbooks import (
    finding_to_wire,
    findings_to_wire,
    kind_from_wire,
    playbook_to_wire,
)
from control_plane.store.engine import Tx
from control_plane.usecases import playbooks
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class PlaybookServicer(v1.PlaybookServiceServicer):
    """Reads playbooks, looks at their steps and keeps what was said of them."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def ListPlaybooks(
        self, request: v1.ListPlaybooksRequest, context: Context
    ) -> v1.ListPlaybooksResponse:
        page = await self._transactions.read(request, playbooks.list_playbooks)
        return v1.ListPlaybooksResponse(
            playbooks=map(playbook_to_wire, page.items), next_page_token=page.next_token
        )

    async def QueryPlaybookFindings(
        self, request: v1.QueryPlaybookFindingsRequest, context: Context
    ) -> v1.QueryPlaybookFindingsResponse:
        now = self._transactions.now_unix_ms()
        whose, name = request.project_id, request.playbook
        verified = await self._transactions.read(
            request,
            lambda tx: playbooks.query_playbook_findings(tx, whose, name, now),
        )
        return v1.QueryPlaybookFindingsResponse(findings=findings_to_wire(verified))

    async def MarkStep(self, request: v1.MarkStepRequest, context: Context) -> v1.PlaybookFinding:
        kind = kind_from_wire(request.kind)

        def mark(tx: Tx, act: Act) -> v1.PlaybookFinding:
            marked = playbooks.mark_step(
                tx, request.playbook, request.step_id, request.project_id, kind, request.note, act
            )
            return finding_to_wire(request.playbook, marked)

        return await self._transactions.change(
            request, request.request_id, v1.PlaybookFinding, mark
        )

    async def ApplyPlaybook(
        self, request: v1.ApplyPlaybookRequest, context: Context
    ) -> v1.Playbook:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Playbook,
            lambda tx, act: playbook_to_wire(playbooks.apply_playbook(tx, request.toml, act)),
        )
