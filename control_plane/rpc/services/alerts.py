"""Serves alerts."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.alerts import (
    alert_to_wire,
    delivery_to_wire,
    event_to_wire,
    severity_from_wire,
    state_from_wire,
)
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.usecases import alerts
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class AlertServicer(v1.AlertServiceServicer):
    """Shows and answers alerts."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def ListAlerts(
        self, request: v1.ListAlertsRequest, context: Context
    ) -> v1.ListAlertsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request,
            lambda tx: alerts.list_alerts(
                tx, asked, project_id=request.project_id, show_resolved=request.show_resolved
            ),
        )
        return v1.ListAlertsResponse(
            alerts=map(alert_to_wire, page.items), next_page_token=page.next_token
        )

    async def GetAlert(self, request: v1.GetAlertRequest, context: Context) -> v1.GetAlertResponse:
        shown = await self._transactions.read(
            request, lambda tx: alerts.get_alert(tx, request.alert_id)
        )
        return v1.GetAlertResponse(
            alert=alert_to_wire(shown),
            events=map(event_to_wire, shown.history),
            deliveries=map(delivery_to_wire, shown.deliveries),
        )

    async def AcknowledgeAlert(
        self, request: v1.AcknowledgeAlertRequest, context: Context
    ) -> v1.Alert:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Alert,
            lambda tx, act: alert_to_wire(
                alerts.acknowledge_alert(tx, request.alert_id, request.note, act)
            ),
        )

    async def ResolveAlert(self, request: v1.ResolveAlertRequest, context: Context) -> v1.Alert:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Alert,
            lambda tx, act: alert_to_wire(
                alerts.resolve_alert(tx, request.alert_id, request.note, act)
            ),
        )

    async def SendTestAlert(self, request: v1.SendTestAlertRequest, context: Context) -> v1.Alert:
        severity = severity_from_wire(request.severity)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Alert,
            lambda tx, act: alert_to_wire(
                alerts.send_test_alert(tx, request.project_id, severity, act)
            ),
        )

    async def ListDeliveries(
        self, request: v1.ListDeliveriesRequest, context: Context
    ) -> v1.ListDeliveriesResponse:
        asked = asked_from_wire(request)
        state = state_from_wire(request.state)
        page = await self._transactions.read(
            request,
            lambda tx: alerts.list_deliveries(tx, asked, alert_id=request.alert_id, state=state),
        )
        return v1.ListDeliveriesResponse(
            deliveries=map(delivery_to_wire, page.items), next_page_token=page.next_token
        )

    async def RetryDelivery(
        self, request: v1.RetryDeliveryRequest, context: Context
    ) -> v1.Delivery:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Delivery,
            lambda tx, act: delivery_to_wire(alerts.retry_delivery(tx, request.delivery_id, act)),
        )
