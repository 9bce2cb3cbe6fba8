"""Gathers what the checks of playbooks look at, for one client or for all that are not archived."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from control_plane.core import prices
from control_plane.core.alert_health import SILENT_MS
from control_plane.core.alerts import DAY_MS
from control_plane.core.channels import Channel
from control_plane.core.escalation import Agreement, Person
from control_plane.core.local_dates import whole_month
from control_plane.core.pages import Slice
from control_plane.core.playbook_checks import AgencyFacts, ChannelSeen, ClientFacts
from control_plane.core.projects import Project
from control_plane.core.statements import Month, State
from control_plane.core.usage import spans_since
from control_plane.limits import ALERT_CHANNELS_MAX
from control_plane.store import channels, escalation, installation, overview, watching
from control_plane.store import playbook_facts as store
from control_plane.store import prices as price_store
from control_plane.store import projects as project_store
from control_plane.store import retirements as retirement_store
from control_plane.store.engine import Tx
from control_plane.store.local_usage import LocalUsage
from control_plane.store.review import statement_states
from control_plane.usecases.statement_values import month_at, month_before

T = TypeVar("T")

_USED_MS = 30 * DAY_MS
_RETIRING_MS = 90 * DAY_MS


@dataclass(frozen=True, slots=True)
class _Answering:
    """Who answers for whom, and by which channels."""

    agreements: Mapping[str, Agreement]
    people: Mapping[str, Person]
    channels: Mapping[str, Channel]

    def of(self, project_id: str) -> tuple[str, str, tuple[ChannelSeen, ...]]:
        """Owner, backup, and the channels by which they and the lead are reached."""
        common = self.agreements.get("", Agreement(""))
        mine = self.agreements.get(project_id, common)
        told = [
            self.people[one]
            for one in (mine.owner_id, mine.backup_id, mine.lead_id)
            if one in self.people
        ]
        reached = {channel for person in told for channel in person.channel_ids}
        owner, backup = (self.people.get(one) for one in (mine.owner_id, mine.backup_id))
        return (
            "" if owner is None else owner.display_name,
            "" if backup is None else backup.display_name,
            tuple(
                ChannelSeen(one.display_name, one.tested_unix_ms)
                for channel_id, one in sorted(self.channels.items())
                if channel_id in reached
            ),
        )


def agency_facts(tx: Tx, now_unix_ms: int) -> AgencyFacts:
    """What checks of the agency look at."""
    speaking = watching.speaking_sidecars(tx)
    orphans = watching.orphaned(tx)
    return AgencyFacts(
        now_unix_ms=now_unix_ms,
        backup_unix_ms=installation.get(tx).backup_unix_ms,
        sidecar_count=len(speaking),
        silent=tuple(
            one.sidecar for one in speaking if now_unix_ms - one.heard_unix_ms > SILENT_MS
        ),
        orphaned_nano_usd=sum(one.held_nano_usd for one in orphans),
        orphans=tuple(one.sidecar for one in orphans),
    )


def client_facts(tx: Tx, project_id: str, now_unix_ms: int) -> tuple[ClientFacts, ...]:
    """What checks of clients look at: of one client, or with "" of all that are not archived."""
    one = project_store.get(tx, project_id) if project_id else None
    known = overview.clients(tx) if one is None else [one]
    holding = {
        what: store.holding(tx, what, project_id, now_unix_ms)
        for what in ("capped", "keyed", "called", "carded", "received")
    }
    since, zone = now_unix_ms - _USED_MS, installation.get(tx).time_zone
    # A day beyond now: somewhere it is tomorrow already.
    spans = spans_since(zone, since, now_unix_ms + DAY_MS)
    used = store.used(tx, project_id, since, spans)
    agreed = store.agreed(tx, project_id)
    book = price_store.everything(tx)
    priced = prices.models_by_name(prices.in_force(book, now_unix_ms).values())
    wanted = store.unpriced(tx, project_id, since)
    leaving = _leaving(tx, now_unix_ms)
    answering = _answering(tx)
    workflows = _by_client((id_, name) for id_, name, _, _ in used if name)
    models = _by_client((id_, (of, model)) for id_, _, of, model in used)
    refused = _by_client((id_, model) for id_, model in wanted if model not in priced)
    closed = _Closed(tx, zone, now_unix_ms)
    made = []
    for client in known:
        id_ = client.project_id
        owner, backup, reached = answering.of(id_)
        month, state = closed.of(client)
        made.append(
            ClientFacts(
                project_id=id_,
                name=client.display_name,
                has_cap=id_ in holding["capped"],
                has_key=id_ in holding["keyed"],
                has_calls=id_ in holding["called"],
                has_rate_card=id_ in holding["carded"],
                owner=owner,
                backup=backup,
                channels=reached,
                has_recipients=id_ in holding["received"],
                closed_month=month,
                statement_state=state,
                unagreed=tuple(one for one in workflows.get(id_, ()) if (id_, one) not in agreed),
                unpriced=refused.get(id_, ()),
                retiring=tuple(one for one in models.get(id_, ()) if one in leaving),
            )
        )
    return tuple(made)


def _by_client(pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    """What belongs to each client, each once and in order."""
    found: dict[str, dict[T, None]] = {}
    for id_, what in pairs:
        found.setdefault(id_, {})[what] = None
    return {id_: tuple(names) for id_, names in found.items()}


def _leaving(tx: Tx, now_unix_ms: int) -> frozenset[tuple[str, str]]:
    """Models that are retired soon, and that nothing is to take the place of."""
    return frozenset(
        (one.provider, one.model)
        for one in retirement_store.everything(tx)
        if not one.replacement and one.retires_unix_ms - now_unix_ms <= _RETIRING_MS
    )


def _answering(tx: Tx) -> _Answering:
    every = channels.page(tx, Slice(None, ALERT_CHANNELS_MAX))
    return _Answering(
        {one.project_id: one for one in escalation.agreements(tx)},
        {one.person_id: one for one in escalation.people(tx)},
        {one.channel_id: one for one in every},
    )


class _Closed:
    """Each client's last month that is over: hundreds of clients share a name or two of it."""

    def __init__(self, tx: Tx, zone: str, now_unix_ms: int) -> None:
        self._tx, self._now_unix_ms = tx, now_unix_ms
        self._used = LocalUsage(tx, zone)
        self._months: dict[str, Month] = {}
        self._known: dict[str, tuple[frozenset[str], Mapping[str, State]]] = {}

    def of(self, client: Project) -> tuple[str, str]:
        """Its name, when it had calls, and how far its statement is."""
        zone = client.time_zone
        month = self._months.get(zone)
        if month is None:
            month = self._months[zone] = month_before(month_at(zone, self._now_unix_ms))
        if month.name not in self._known:
            callers = self._used.callers(whole_month(month))
            self._known[month.name] = callers, statement_states(self._tx, month.name)
        callers, states = self._known[month.name]
        if client.project_id not in callers:
            return "", ""
        state = states.get(client.project_id)
        return month.name, "" if state is None else state.value
