"""Alerts, their history and their messages on the wire."""

from control_plane.core import fields
from control_plane.core.alerts import Happening, Severity
from control_plane.core.deliveries import Delivery, DeliveryState
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from control_plane.usecases.alerts import ShownAlert
from protos.bursar.admin import v1


def alert_to_wire(shown: ShownAlert) -> v1.Alert:
    """An alert."""
    alert = shown.alert
    return v1.Alert(
        alert_id=alert.alert_id,
        rule=alert.rule.value,
        project_id=alert.project_id,
        severity=alert.severity.name,
        state=alert.state.value,
        subject=shown.text.subject,
        lines=[v1.AlertLine(label=label, text=text) for label, text in shown.text.lines],
        found_time=instant_to_wire(alert.found_unix_ms),
        resolve_time=instant_or_none_to_wire(alert.resolved_unix_ms or None),
        owner=shown.owner,
        due_time=instant_or_none_to_wire(shown.due_unix_ms or None),
        answered_by=alert.answered_by,
        note=alert.note,
        muted_by=alert.muted_by,
        facts={name: str(value) for name, value in alert.facts.items()},
    )


def event_to_wire(line: Happening) -> v1.AlertEvent:
    """A line of an alert's history."""
    return v1.AlertEvent(
        time=instant_to_wire(line.at_unix_ms),
        event=line.event.value,
        state=line.state.value,
        severity=line.severity.name,
        detail=line.detail,
    )


def delivery_to_wire(delivery: Delivery) -> v1.Delivery:
    """A message."""
    waits = delivery.state is DeliveryState.QUEUED
    return v1.Delivery(
        delivery_id=delivery.delivery_id,
        purpose=delivery.purpose.value,
        channel_id=delivery.channel_id,
        address=delivery.address,
        alert_id=delivery.alert_id,
        subject=delivery.message.subject,
        state=delivery.state.value,
        attempt_count=delivery.attempt_count,
        lost_sight_count=delivery.lost_sight_count,
        create_time=instant_to_wire(delivery.created_unix_ms),
        update_time=instant_to_wire(delivery.changed_unix_ms),
        next_time=instant_or_none_to_wire(delivery.next_unix_ms if waits else None),
        error=delivery.error,
    )


def severity_from_wire(text: str) -> Severity:
    """A severity by its name; P2 for none."""
    if text and text not in Severity.__members__:
        raise fields.invalid("severity", f"one of {', '.join(Severity.__members__)}")
    return Severity[text or "P2"]


def state_from_wire(text: str) -> str:
    """A state of messages; empty for all."""
    if text and text not in DeliveryState.__members__:
        raise fields.invalid("state", f"one of {', '.join(DeliveryState.__members__)}")
    return text
