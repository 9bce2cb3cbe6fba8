"""Alerts as people see and answer them."""

from dataclasses import dataclass
from functools import partial

from control_plane import limits
from control_plane.core import alert_texts, fields, pages
from control_plane.core.alert_fold import Changed, answer, fold
from control_plane.core.alerts import Alert, Event, Finding, Happening, Rule, Severity, State
from control_plane.core.deliveries import Delivery, Message
from control_plane.core.escalation import Tier
from control_plane.core.pages import Asked, Page
from control_plane.store import alerts as store
from control_plane.store import outbox
from control_plane.store.engine import Tx
from control_plane.usecases import alerting, projects
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import FailedPreconditionError, LimitExceededError, NotFoundError


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """An alert with what is known around it."""

    alert: Alert
    text: Message
    """What its messages say."""
    owner: str
    """Who answers; empty for nobody."""
    due_unix_ms: int
    """By when; 0 when no answer is due."""
    history: tuple[Happening, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


def list_alerts(tx: Tx, asked: Asked, *, project_id: str, show_resolved: bool) -> Page[ShownAlert]:
    """Alerts that go on, the gravest first, or all that were ever told, the newest first."""
    states = [State.OPEN, State.ACKNOWLEDGED]
    if show_resolved:
        states.append(State.RESOLVED)
    filters = {"list": "alerts", "project": project_id, "states": ",".join(states)}
    gravest_first = not show_resolved
    wanted = pages.begin(asked, filters, (int, int, str))
    rows = store.page(tx, wanted, project_id=project_id, states=states, gravest_first=gravest_first)
    place_of = partial(store.place_of, gravest_first=gravest_first)
    page = pages.finish(rows, wanted, filters, place_of)
    desk = alerting.Desk(tx)
    return page.map(lambda alert: _shown(desk, alert))


def get_alert(tx: Tx, alert_id: str) -> ShownAlert:
    """One alert with its history and its messages."""
    alert = found(tx, alert_id)
    shown = _shown(alerting.Desk(tx), alert)
    sent = outbox.page(tx, pages.Slice(None, limits.PAGE_ROWS_DEFAULT), alert_id=alert_id, state="")
    return ShownAlert(
        alert,
        shown.text,
        shown.owner,
        shown.due_unix_ms,
        tuple(store.history(tx, alert_id)),
        tuple(reversed(sent)),
    )


def acknowledge_alert(tx: Tx, alert_id: str, note: str, act: Act) -> ShownAlert:
    """Take an alert on: nobody further is told, until it gets worse or four hours are over."""
    return _answered(tx, alert_id, Event.ACKNOWLEDGE, note, act)


def resolve_alert(tx: Tx, alert_id: str, note: str, act: Act) -> ShownAlert:
    """Say that an alert is done; while its condition goes on it stays quiet until it is graver."""
    return _answered(tx, alert_id, Event.RESOLVE, note, act)


def send_test_alert(tx: Tx, project_id: str, severity: Severity, act: Act) -> ShownAlert:
    """Open an alert that says it is a test, and tell whoever would be told of a true one."""
    client = projects.found(tx, project_id).display_name if project_id else ""
    finding = Finding(Rule.TEST, act.request_id, project_id, severity, facts={"client": client})
    changes = fold(
        [], [finding], lambda _rule, _id: False, lambda: act.id(ids.ALERT), act.now_unix_ms
    )
    (change,) = changes
    if sum(one.rule is Rule.TEST for one in store.going_on(tx)) >= limits.LIVE_TESTS_MAX:
        raise LimitExceededError(
            f"{limits.LIVE_TESTS_MAX} tests go on: each is over after an hour, or when resolved",
            limit=str(limits.LIVE_TESTS_MAX),
        )
    desk = alerting.Desk(tx, act.desk_url)
    if desk.person(project_id, Tier.OWNER) is None:
        raise FailedPreconditionError(
            "nobody would be told: name an owner first (bursar escalation set --owner)"
        )
    alerting.save(tx, change, act.now_unix_ms)
    alerting.escalate(tx, change.alert, desk, act.now_unix_ms)
    alerting.queue_due(tx, desk, act.entropy, act.now_unix_ms)
    record(tx, act, change.alert.alert_id, project_id=project_id, severity=severity.name)
    return get_alert(tx, change.alert.alert_id)


def stops(tx: Tx) -> dict[str, ShownAlert]:
    """Stops that go on, by budget; of a split budget any of them."""
    desk = alerting.Desk(tx)
    return {
        str(alert.facts["budget_id"]): _shown(desk, alert)
        for alert in store.going_on(tx)
        if alert.rule is Rule.STOPPED and alert.is_live
    }


def somebody_is_told(tx: Tx) -> bool:
    """Whether there is anybody who would be told of an alert of the agency."""
    return alerting.Desk(tx).person("", Tier.OWNER) is not None


def outbox_is_full(tx: Tx) -> bool:
    """Whether so many messages wait that no more are made."""
    return not outbox.room(tx)


def list_deliveries(tx: Tx, asked: Asked, *, alert_id: str, state: str) -> Page[Delivery]:
    """Messages, the newest first."""
    filters = {"list": "deliveries", "alert": alert_id, "state": state}
    wanted = pages.begin(asked, filters, (int,))
    rows = outbox.page(tx, wanted, alert_id=alert_id, state=state)
    return pages.finish(rows, wanted, filters, lambda row: (row.position,))


def retry_delivery(tx: Tx, delivery_id: str, act: Act) -> Delivery:
    """Send a message again that failed, or of which nobody knows whether it arrived."""
    before = outbox.get(tx, delivery_id)
    if before is None:
        raise NotFoundError(f"there is no message {delivery_id[:40]!r}", delivery=delivery_id[:40])
    if not outbox.room(tx):
        raise LimitExceededError(
            f"{limits.WAITING_DELIVERIES_MAX} messages wait to be sent: let some go first",
            limit=str(limits.WAITING_DELIVERIES_MAX),
        )
    if not outbox.send_again(tx, delivery_id, act.now_unix_ms):
        raise FailedPreconditionError(
            f"the message is {before.state.value}: only what failed, or may not have arrived, "
            "is sent again",
            state=before.state.value,
        )
    record(tx, act, delivery_id, project_id=before.project_id, was=before.state.value)
    after = outbox.get(tx, delivery_id)
    assert after is not None
    return after


def found(tx: Tx, alert_id: str) -> Alert:
    """An alert by its id."""
    alert = store.get(tx, alert_id)
    if alert is None or alert.state is State.PENDING:
        raise NotFoundError(f"there is no alert {alert_id[:40]!r}", alert=alert_id[:40])
    return alert


def _answered(tx: Tx, alert_id: str, event: Event, note: str, act: Act) -> ShownAlert:
    fields.check_reason(note, "note")
    if len(note) > limits.NOTE_CHARACTERS_MAX:
        raise fields.invalid("note", f"at most {limits.NOTE_CHARACTERS_MAX} characters")
    alert = found(tx, alert_id)
    change = answer(alert, event, act.actor.display_name, note, act.now_unix_ms)
    if change is None:
        raise FailedPreconditionError("the alert is over already", state=alert.state.value)
    _keep(tx, change, act)
    record(tx, act, alert_id, project_id=alert.project_id, event=event.value, note=note)
    return get_alert(tx, alert_id)


def _keep(tx: Tx, change: Changed, act: Act) -> None:
    alerting.save(tx, change, act.now_unix_ms)
    if change.alert.state is State.ACKNOWLEDGED:
        alerting.notice_answered(tx, change.alert, act.now_unix_ms)
    desk = alerting.Desk(tx, act.desk_url)
    alerting.queue_due(tx, desk, act.entropy, act.now_unix_ms)


def _shown(desk: alerting.Desk, alert: Alert) -> ShownAlert:
    context = desk.context(alert)
    text = (
        alert_texts.tell_over(alert, context)
        if alert.state is State.RESOLVED
        else alert_texts.tell(alert, context)
    )
    return ShownAlert(alert, text, context.owner, context.due_unix_ms)
