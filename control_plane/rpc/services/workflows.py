"""Serves workflows, and what was agreed that they are worth."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.statements import roi_from_wire, roi_to_wire, workflow_to_wire
from control_plane.store.engine import Tx
from control_plane.usecases import model_matrix, workflows
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class WorkflowServicer(v1.WorkflowServiceServicer):
    """Reads workflows and keeps agreements."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def ListWorkflows(
        self, request: v1.ListWorkflowsRequest, context: Context
    ) -> v1.ListWorkflowsResponse:
        asked, now = asked_from_wire(request), self._transactions.now_unix_ms()
        project_id = request.project_id
        page = await self._transactions.read(
            request, lambda tx: workflows.list_workflows(tx, asked, project_id, now)
        )
        return v1.ListWorkflowsResponse(
            workflows=[workflow_to_wire(project_id, view) for view in page.items],
            next_page_token=page.next_token,
        )

    async def SetRoi(self, request: v1.SetRoiRequest, context: Context) -> v1.WorkflowRoi:
        wanted = roi_from_wire(request.roi)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.WorkflowRoi,
            lambda tx, act: roi_to_wire(workflows.set_roi(tx, wanted, act)),
        )

    async def DropRoi(self, request: v1.DropRoiRequest, context: Context) -> v1.DropRoiResponse:
        def drop(tx: Tx, act: Act) -> v1.DropRoiResponse:
            workflows.drop_roi(tx, request.project_id, request.workflow, act)
            return v1.DropRoiResponse()

        return await self._transactions.change(
            request, request.request_id, v1.DropRoiResponse, drop
        )

    async def SetTask(self, request: v1.SetTaskRequest, context: Context) -> v1.SetTaskResponse:
        def keep(tx: Tx, act: Act) -> v1.SetTaskResponse:
            model_matrix.set_task(tx, request.project_id, request.workflow, request.task, act)
            return v1.SetTaskResponse()

        return await self._transactions.change(
            request, request.request_id, v1.SetTaskResponse, keep
        )
