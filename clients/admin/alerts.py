"""Alerts, their history and their messages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_from_wire, instant_or_none_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody should know, from when it was found until it is over."""

    alert_id: str
    rule: str
    """What is watched, such as "budget.stopped"."""
    project_id: str
    """The client; empty for what concerns the agency."""
    severity: str
    """P1, which wakes somebody, to P4."""
    state: str
    """OPEN, ACKNOWLEDGED or RESOLVED."""
    subject: str
    lines: tuple[tuple[str, str], ...]
    """Label and sentence."""
    found_time: datetime
    resolve_time: datetime | None
    owner: str
    """Who answers; empty for nobody."""
    due_time: datetime | None
    """By when."""
    answered_by: str
    note: str
    muted_by: str
    """The alert that speaks for it."""
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """One line of an alert's history."""

    time: datetime
    event: str
    state: str
    severity: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one receiver."""

    delivery_id: str
    purpose: str
    channel_id: str
    address: str
    alert_id: str
    subject: str
    state: str
    """QUEUED, SENDING, SENT, FAILED, or UNKNOWN when nobody knows whether it arrived."""
    attempt_count: int
    lost_sight_count: int
    create_time: datetime
    update_time: datetime
    next_time: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDetail:
    """An alert and what is known around it."""

    alert: Alert
    events: tuple[AlertEvent, ...]
    deliveries: tuple[Delivery, ...]


class Alerts:
    """Reads alerts and their messages, and answers them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.AlertServiceStub(wire.channel)

    def list(self, *, project_id: str = "", show_resolved: bool = False) -> Iterator[Alert]:
        """Yield alerts, the gravest first; those that are over too when asked for, newest first."""

        def fetch(token: str) -> v1.ListAlertsResponse:
            request = v1.ListAlertsRequest(
                page_size=PAGE_ITEMS,
                page_token=token,
                project_id=project_id,
                show_resolved=show_resolved,
            )
            return self._wire.ask(self._stub.ListAlerts, request)

        return self._wire.pages(fetch, lambda page: map(alert_from_wire, page.alerts))

    def get(self, alert_id: str) -> AlertDetail:
        """Read one alert with its history and its messages."""
        found = self._wire.ask(self._stub.GetAlert, v1.GetAlertRequest(alert_id=alert_id))
        return AlertDetail(
            alert=alert_from_wire(found.alert),
            events=tuple(map(_event_from_wire, found.events)),
            deliveries=tuple(map(_delivery_from_wire, found.deliveries)),
        )

    def acknowledge(self, alert_id: str, *, note: str = "", request_id: str = "") -> Alert:
        """Take an alert on: nobody further is told, until it gets worse or 4 hours are over."""
        request = v1.AcknowledgeAlertRequest(
            request_id=request_id or self._wire.request_id(), alert_id=alert_id, note=note
        )
        return alert_from_wire(self._wire.ask(self._stub.AcknowledgeAlert, request))

    def resolve(self, alert_id: str, *, note: str = "", request_id: str = "") -> Alert:
        """Say that an alert is done; it stays quiet until it is graver."""
        request = v1.ResolveAlertRequest(
            request_id=request_id or self._wire.request_id(), alert_id=alert_id, note=note
        )
        return alert_from_wire(self._wire.ask(self._stub.ResolveAlert, request))

    def send_test(
        self, *, project_id: str = "", severity: str = "P2", request_id: str = ""
    ) -> Alert:
        """Open an alert that says it is a test, and tell whoever would be told of a true one."""
        request = v1.SendTestAlertRequest(
            request_id=request_id or self._wire.request_id(),
            project_id=project_id,
            severity=severity,
        )
        return alert_from_wire(self._wire.ask(self._stub.SendTestAlert, request))

    def deliveries(self, *, alert_id: str = "", state: str = "") -> Iterator[Delivery]:
        """Yield messages, the newest first."""

        def fetch(token: str) -> v1.ListDeliveriesResponse:
            request = v1.ListDeliveriesRequest(
                page_size=PAGE_ITEMS, page_token=token, alert_id=alert_id, state=state
            )
            return self._wire.ask(self._stub.ListDeliveries, request)

        return self._wire.pages(fetch, lambda page: map(_delivery_from_wire, page.deliveries))

    def retry_delivery(self, delivery_id: str, *, request_id: str = "") -> Delivery:
        """Send a message again that failed, or of which nobody knows whether it arrived."""
        request = v1.RetryDeliveryRequest(
            request_id=request_id or self._wire.request_id(), delivery_id=delivery_id
        )
        return _delivery_from_wire(self._wire.ask(self._stub.RetryDelivery, request))


def alert_from_wire(wire: v1.Alert) -> Alert:
    """Read an alert."""
    return Alert(
        alert_id=wire.alert_id,
        rule=wire.rule,
        project_id=wire.project_id,
        severity=wire.severity,
        state=wire.state,
        subject=wire.subject,
        lines=tuple((line.label, line.text) for line in wire.lines),
        found_time=instant_from_wire(wire.found_time),
        resolve_time=instant_or_none_from_wire(wire.resolve_time),
        owner=wire.owner,
        due_time=instant_or_none_from_wire(wire.due_time),
        answered_by=wire.answered_by,
        note=wire.note,
        muted_by=wire.muted_by,
        facts=dict(wire.facts),
    )


def _event_from_wire(wire: v1.AlertEvent) -> AlertEvent:
    return AlertEvent(
        time=instant_from_wire(wire.time),
        event=wire.event,
        state=wire.state,
        severity=wire.severity,
        detail=wire.detail,
    )


def _delivery_from_wire(wire: v1.Delivery) -> Delivery:
    return Delivery(
        delivery_id=wire.delivery_id,
        purpose=wire.purpose,
        channel_id=wire.channel_id,
        address=wire.address,
        alert_id=wire.alert_id,
        subject=wire.subject,
        state=wire.state,
        attempt_count=wire.attempt_count,
        lost_sight_count=wire.lost_sight_count,
        create_time=instant_from_wire(wire.create_time),
        update_time=instant_from_wire(wire.update_time),
        next_time=instant_or_none_from_wire(wire.next_time),
        error=wire.error,
    )
