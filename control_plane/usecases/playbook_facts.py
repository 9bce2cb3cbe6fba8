"""Gathers what the checks of playbooks look at, for one client or for all that are not archived."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from control_plane.core import prices
from control_plane.core.alert_health import SILENT_MS
from control_plane.core.alerts import DAY_MS
from control_plane.core.channels import Channel
from control_plane.core.escalation import Agreement, Person
from control_plane.core.pages import Slice
from control_plane.core.playbook_checks import AgencyFacts, ChannelSeen, ClientFacts
from control_plane.core.projects import Project
from control_plane.core.usage import five_days_since
from control_plane.core.windows import window_at
from control_plane.limits import ALERT_CHANNELS_MAX
from control_plane.store import channels, escalation, installation, overview, watching
from control_plane.store import playbook_facts as store
from control_plane.store import prices as price_store
from control_plane.store import projects as project_store
from control_plane.store import retirements as retirement_store
from control_plane.store.engine import Tx

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
    spans = five_days_since(zone, since, now_unix_ms + DAY_MS)
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
    made = []
    for client in known:
        id_ = client.project_id
        owner, backup, reached = answering.of(id_)
        month, state = _closed(tx, client, now_unix_ms)
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


def _closed(tx: Tx, client: Project, now_unix_ms: int) -> tuple[str, str]:
    """The last month that is over, when it had calls, and how far its statement is."""
    this = window_at("month", client.time_zone, 1, now_unix_ms)
    last = window_at("month", client.time_zone, 1, this.start_unix_ms - 1)
    if not store.had_calls(tx, client.project_id, last.start_unix_ms, this.start_unix_ms):
        return "", ""
    month = last.period_id[:7]
    return month, store.statement_state(tx, client.project_id, month)
