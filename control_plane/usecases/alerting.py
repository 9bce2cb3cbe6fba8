"""Applies what was found: alerts change, people are noted, messages are queued.

All in one transaction: what is committed is told, and what is not did not happen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import alert_texts, escalation
from control_plane.core.alert_fold import Changed, fold
from control_plane.core.alerts import Alert, Event, Happening, Severity, State
from control_plane.core.channels import ChannelKind
from control_plane.core.deliveries import Delivery, Message, Purpose
from control_plane.core.escalation import Agreement, Hours, Person, Tier
from control_plane.entropy import Entropy
from control_plane.store import alerts as store
from control_plane.store import channels, forecasts, installation, outbox, watching
from control_plane.store import escalation as escalation_store
from control_plane.store.alerts import Notice
from control_plane.store.engine import Tx
from control_plane.usecases.watching import Seen
from protos.values import ids

_PURPOSES = {
    "TOLD": Purpose.ALERT,
    "ESCALATED": Purpose.ALERT,
    "CLIENT": Purpose.ALERT,
    "ANSWERED": Purpose.ANSWERED,
    "OVER": Purpose.OVER,
}


class Desk:
    """Who answers for whom, and in which hours; read once for a transaction."""

    def __init__(self, tx: Tx, desk_url: str = "") -> None:
        """Read it. `desk_url` is where people see alerts in a browser; empty for nowhere."""
        self._desk_url = desk_url.rstrip("/")
        self.people: dict[str, Person] = {one.person_id: one for one in escalation_store.people(tx)}
        self._agreements = {one.project_id: one for one in escalation_store.agreements(tx)}
        self._hours = escalation.default_hours(installation.get(tx).time_zone)

    def agreement(self, project_id: str) -> Agreement:
        """The agreement of a client; where it names nobody, the agency's."""
        everybody = self._agreements.get("", Agreement(""))
        own = self._agreements.get(project_id)
        if own is None or not project_id:
            return replace(everybody, project_id=project_id, client_channel_ids=())
        return replace(
            own,
            owner_id=own.owner_id or everybody.owner_id,
            backup_id=own.backup_id or everybody.backup_id,
            lead_id=own.lead_id or everybody.lead_id,
            hours=own.hours or everybody.hours,
        )

    def hours(self, project_id: str) -> Hours:
        """The hours of work in which a client is answered."""
        return self.agreement(project_id).hours or self._hours

    def person(self, project_id: str, tier: Tier) -> Person | None:
        """Who has a tier of a client."""
        return self.people.get(self.agreement(project_id).person_of(tier))

    def context(self, alert: Alert) -> alert_texts.Context:
        """What the text of an alert needs to know."""
        hours = self.hours(alert.project_id)
        owner = self.person(alert.project_id, Tier.OWNER)
        return alert_texts.Context(
            owner.display_name if owner else "",
            escalation.answer_due_unix_ms(alert, hours),
            hours.time_zone,
            f"{self._desk_url}/alerts/{alert.alert_id}" if self._desk_url else "",
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a look."""

    opened_count: int
    resolved_count: int
    queued_count: int
    """Messages that were queued."""
    outbox_is_full: bool = False
    """Whether so many wait that no more are made."""


def apply(tx: Tx, seen: Seen, entropy: Entropy, now_unix_ms: int, *, desk_url: str = "") -> Applied:
    """Let a look change alerts, and queue what follows."""
    watching.note_spent(tx, seen.spent, now_unix_ms)
    for made in seen.forecasts:
        forecasts.put(tx, made)
    changes = fold(
        store.known_for(tx, seen.findings),
        seen.findings,
        seen.looked_at,
        lambda: entropy.id(ids.ALERT, now_unix_ms),
        now_unix_ms,
    )
    desk = Desk(tx, desk_url)
    for change in changes:
        save(tx, change, now_unix_ms)
    for alert in store.going_on(tx):
        escalate(tx, alert, desk, now_unix_ms)
    queued = queue_due(tx, desk, entropy, now_unix_ms)
    events = [line.event for change in changes for line in change.happened]
    full = not outbox.room(tx)
    return Applied(events.count(Event.FOUND), events.count(Event.GONE), queued, outbox_is_full=full)


def save(tx: Tx, change: Changed, now_unix_ms: int) -> None:
    """Keep what became of an alert, and note who hears that it is over."""
    alert = change.alert
    if change.dropped:
        store.drop(tx, alert.alert_id)
        return
    store.put(tx, alert)
    store.add_history(tx, change.happened)
    if alert.state is not State.OPEN:
        store.drop_notices(tx, alert.alert_id)
    if change.tell_over:
        for channel_id in store.told_channels(tx, alert.alert_id):
            # While another speaks for it, only services that keep incidents of their own hear.
            channel = channels.get(tx, channel_id) if change.quietly else None
            if channel is None or channel.kind is ChannelKind.PAGERDUTY:
                store.put_notice(tx, Notice(alert.alert_id, channel_id, "OVER", now_unix_ms))


def escalate(tx: Tx, alert: Alert, desk: Desk, now_unix_ms: int) -> None:
    """Note who is to be told of an alert that goes on."""
    hours = desk.hours(alert.project_id)
    tiers, done = escalation.due_tiers(alert, hours, now_unix_ms)
    agreement = desk.agreement(alert.project_id)
    client = escalation.client_is_due(alert, agreement, now_unix_ms)
    if done == alert.steps_done and not client:
        return
    told = [
        name for tier in tiers if (name := _tell(tx, alert, tier, desk, done, now_unix_ms)) != ""
    ]
    if client:
        for channel_id in agreement.client_channel_ids:
            store.put_notice(tx, Notice(alert.alert_id, channel_id, "CLIENT", now_unix_ms))
    if alert.steps_done and told:
        line = Happening(
            alert.alert_id,
            now_unix_ms,
            Event.ESCALATE,
            alert.state,
            alert.severity,
            ", ".join(told),
        )
        store.add_history(tx, [line])
    store.put(
        tx,
        replace(
            alert,
            steps_done=done,
            told=alert.told or bool(told),
            client_told=alert.client_told or client,
            version=alert.version + 1,
        ),
    )


def _tell(tx: Tx, alert: Alert, tier: Tier, desk: Desk, done: int, now_unix_ms: int) -> str:
    """Note that a tier's person is to be told; the name, or "" where nobody is."""
    person = desk.person(alert.project_id, tier)
    if person is None or not person.channel_ids:
        return ""
    due = escalation.may_be_sent_unix_ms(person, alert.severity, now_unix_ms)
    is_first = alert.steps_done == 0 and tier is Tier.OWNER
    before = _before(tier)
    unanswered = desk.person(alert.project_id, before)
    for channel_id in person.channel_ids:
        kind = "TOLD" if is_first else "ESCALATED"
        name = unanswered.display_name if unanswered else ""
        store.put_notice(tx, Notice(alert.alert_id, channel_id, kind, due, name))
    assert done > alert.steps_done
    return person.display_name


def _before(tier: Tier) -> Tier:
    """Who was told before a tier was; before the owner of a later round the lead."""
    order = list(Tier)
    return order[order.index(tier) - 1]


def queue_due(tx: Tx, desk: Desk, entropy: Entropy, now_unix_ms: int) -> int:
    """Make messages of the notices whose time has come; how many.

    Of one client and one channel all that is no page becomes one message, so that nobody reads ten
    where one would do. Pages stand for themselves, as do incidents that a service keeps.
    """
    groups: dict[tuple[str, ...], list[tuple[Notice, Alert]]] = {}
    room = outbox.room(tx)
    if not room:
        return 0  # They stay notices until some messages are gone.
    for notice in store.take_due_notices(tx, now_unix_ms, min(room, limits.TAKEN_NOTICES_MAX)):
        alert = store.get(tx, notice.alert_id)
        channel = channels.get(tx, notice.channel_id)
        if alert is None or channel is None:
            continue
        is_incident = channel.kind is ChannelKind.PAGERDUTY
        if not _is_wanted(alert, notice.kind, is_incident=is_incident):
            continue
        alone = is_incident or alert.severity is Severity.P1 or notice.kind != "TOLD"
        key = (notice.channel_id, notice.kind, alert.project_id, alert.alert_id if alone else "")
        groups.setdefault(key, []).append((notice, alert))
    for members in groups.values():
        _queue(tx, members, desk, entropy, now_unix_ms)
    return len(groups)


def _is_wanted(alert: Alert, kind: str, *, is_incident: bool) -> bool:
    """Whether a notice still makes sense when its time has come."""
    if kind in ("TOLD", "ESCALATED"):
        return alert.state is State.OPEN and not alert.muted_by
    if kind == "ANSWERED":
        return is_incident
    return True


def _queue(
    tx: Tx,
    members: Sequence[tuple[Notice, Alert]],
    desk: Desk,
    entropy: Entropy,
    now_unix_ms: int,
) -> None:
    notice, first = members[0]
    is_client = notice.kind == "CLIENT" or store.told_channels(tx, first.alert_id).get(
        notice.channel_id, False
    )
    texts = [_text(alert, told, desk, is_client=is_client) for told, alert in members]
    for told, alert in members:
        if told.kind in ("TOLD", "ESCALATED", "CLIENT"):
            store.note_told(tx, alert.alert_id, told.channel_id, is_client=is_client)
    outbox.put(
        tx,
        Delivery(
            delivery_id=entropy.id(ids.DELIVERY, now_unix_ms),
            purpose=_PURPOSES[notice.kind],
            message=alert_texts.together(texts),
            created_unix_ms=now_unix_ms,
            channel_id=notice.channel_id,
            project_id=first.project_id,
            alert_id=first.alert_id,
            severity=min(alert.severity for _, alert in members),
            thread=first.alert_id,
            once=f"{first.alert_id} {notice.channel_id} {notice.kind} {first.version}",
            next_unix_ms=now_unix_ms,
        ),
    )


def _text(alert: Alert, notice: Notice, desk: Desk, *, is_client: bool) -> Message:
    context = desk.context(alert)
    if is_client:
        over = notice.kind == "OVER"
        return (
            alert_texts.tell_client_over(alert) if over else alert_texts.tell_client(alert, context)
        )
    if notice.kind == "OVER":
        return alert_texts.tell_over(alert, context)
    if notice.kind == "ESCALATED":
        return alert_texts.tell_escalated(alert, context, notice.detail)
    return alert_texts.tell(alert, context)


def notice_answered(tx: Tx, alert: Alert, now_unix_ms: int) -> None:
    """Note that services that keep incidents of their own are to hear of an acknowledgement."""
    for channel_id, is_client in store.told_channels(tx, alert.alert_id).items():
        if not is_client:
            store.put_notice(tx, Notice(alert.alert_id, channel_id, "ANSWERED", now_unix_ms))
