"""Alerts: what goes on, who answers by when, what happened, and what became of the messages."""

from control_plane import limits
from control_plane.core.alerts import Event, Severity, State
from control_plane.core.pages import Asked as AskedPage
from control_plane.store.engine import Tx
from control_plane.usecases import alerts, channels, overview
from control_plane.usecases.acts import Act
from control_plane.web.routes import (
    Asked,
    Change,
    Form,
    Next,
    Page,
    Route,
    View,
    came_from,
    client_of,
    text,
)

EVENTS = {
    Event.FOUND: "found",
    Event.WORSE: "got worse",
    Event.EASED: "eased",
    Event.GONE: "over by itself",
    Event.ACKNOWLEDGE: "acknowledged",
    Event.LAPSE: "acknowledgement lapsed",
    Event.RESOLVE: "resolved",
    Event.ESCALATE: "passed on to",
}
"""What happened, in words."""
SEVERITIES = {
    Severity.P1: "bad",
    Severity.P2: "warn",
    Severity.P3: "fine",
    Severity.P4: "quiet",
}
"""What each severity looks like; its name says the same."""


def read_alerts(tx: Tx, asked: Asked) -> View:
    """Alerts that go on or, when asked for, all."""
    show_resolved = asked.query.get("all", "") == "1"
    clients, wanted = overview.client_names(tx), client_of(tx, asked.query)
    page = alerts.list_alerts(
        tx,
        AskedPage(token=asked.query.get("after", "")),
        project_id=wanted,
        show_resolved=show_resolved,
    )
    values = {
        "page": page,
        "wanted": wanted,
        "show_resolved": show_resolved,
        "clients": clients,
        "known": overview.names_to_choose(clients),
        "zone": overview.agency_zone(tx),
        "severities": SEVERITIES,
        "is_set_up": alerts.somebody_is_told(tx),
        "is_full": alerts.outbox_is_full(tx),
        "waiting_max": limits.WAITING_DELIVERIES_MAX,
    }
    return View("alerts.html", values, "Alerts")


def read_alert(tx: Tx, asked: Asked) -> View:
    """One alert with its history and its messages."""
    shown = alerts.get_alert(tx, asked.path["alert_id"])
    values = {
        "shown": shown,
        "clients": overview.client_names(tx),
        "zone": overview.agency_zone(tx),
        "events": EVENTS,
        "severities": SEVERITIES,
        "channels": channels.names(tx),
        "is_open": shown.alert.state is State.OPEN,
    }
    return View("alert.html", values, shown.text.subject)


def acknowledge_alert(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """Take an alert on."""
    alerts.acknowledge_alert(tx, asked.path["alert_id"], text(form, "note"), act)
    return came_from(form, f"/alerts/{asked.path['alert_id']}")


def resolve_alert(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """Say that an alert is done."""
    alerts.resolve_alert(tx, asked.path["alert_id"], text(form, "note"), act)
    return came_from(form, f"/alerts/{asked.path['alert_id']}")


def send_test_alert(tx: Tx, act: Act, form: Form, _asked: Asked) -> Next:
    """Tell whoever would be told of a true alert."""
    shown = alerts.send_test_alert(tx, client_of(tx, form), Severity.P2, act)
    return Next(f"/alerts/{shown.alert.alert_id}")


def retry_delivery(tx: Tx, act: Act, _form: Form, asked: Asked) -> Next:
    """Send a message again."""
    sent = alerts.retry_delivery(tx, asked.path["delivery_id"], act)
    return Next(f"/alerts/{sent.alert_id}" if sent.alert_id else "/alerts")


ROUTES: tuple[Route, ...] = (
    Page("/alerts", read_alerts),
    Page("/alerts/{alert_id}", read_alert),
    Change("/alerts/test", "AlertService", "SendTestAlert", send_test_alert),
    Change("/alerts/{alert_id}/acknowledge", "AlertService", "AcknowledgeAlert", acknowledge_alert),
    Change("/alerts/{alert_id}/resolve", "AlertService", "ResolveAlert", resolve_alert),
    Change("/messages/{delivery_id}/retry", "AlertService", "RetryDelivery", retry_delivery),
)
