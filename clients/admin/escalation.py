"""Who is told of alerts, and who answers for which client."""

from dataclasses import dataclass

from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A stretch of local time on some days of the week."""

    time_zone: str
    opens_minute: int
    """Minutes after midnight."""
    closes_minute: int
    """Minutes after midnight; on the next day when it is not larger."""
    weekdays: tuple[int, ...]
    """From Monday = 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is told of alerts."""

    display_name: str
    channel_ids: tuple[str, ...]
    """Where messages reach this person."""
    quiet: Hours | None = None
    """When nothing but a page is sent."""
    person_id: str = ""
    """Made by the control plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Who answers for a client, and what the client itself is told."""

    project_id: str = ""
    """Empty for all that have nobody named, and for the agency itself."""
    owner_id: str = ""
    backup_id: str = ""
    lead_id: str = ""
    hours: Hours | None = None
    """Hours of work; None for Monday to Friday from nine to five."""
    client_channel_ids: tuple[str, ...] = ()
    client_told: str = "NEVER"
    """When the client hears that it is stopped: NEVER, LATE or AT_ONCE."""
    client_thresholds: bool = False
    """Whether the client hears of 80 and 95 percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationInfo:
    """Everybody, and every agreement."""

    people: tuple[Person, ...]
    agreements: tuple[Agreement, ...]


class Escalation:
    """Sets people and agreements."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.EscalationServiceStub(wire.channel)

    def get(self) -> EscalationInfo:
        """Read everybody, and every agreement."""
        found = self._wire.ask(self._stub.GetEscalation, v1.GetEscalationRequest())
        return EscalationInfo(
            people=tuple(map(_person_from_wire, found.people)),
            agreements=tuple(map(_agreement_from_wire, found.agreements)),
        )

    def set_person(self, person: Person, *, request_id: str = "") -> Person:
        """Add somebody, or replace the one of that name."""
        request = v1.SetPersonRequest(
            request_id=request_id or self._wire.request_id(),
            person=v1.Person(
                display_name=person.display_name,
                channel_ids=person.channel_ids,
                quiet=_hours_to_wire(person.quiet),
            ),
        )
        return _person_from_wire(self._wire.ask(self._stub.SetPerson, request))

    def remove_person(self, person_id: str, *, request_id: str = "") -> None:
        """Remove somebody who answers for nobody any more."""
        request = v1.RemovePersonRequest(
            request_id=request_id or self._wire.request_id(), person_id=person_id
        )
        self._wire.ask(self._stub.RemovePerson, request)

    def set_agreement(self, agreement: Agreement, *, request_id: str = "") -> Agreement:
        """Set who answers for a client, as a whole."""
        request = v1.SetAgreementRequest(
            request_id=request_id or self._wire.request_id(),
            agreement=v1.Agreement(
                project_id=agreement.project_id,
                owner_id=agreement.owner_id,
                backup_id=agreement.backup_id,
                lead_id=agreement.lead_id,
                hours=_hours_to_wire(agreement.hours),
                client_channel_ids=agreement.client_channel_ids,
                client_told=agreement.client_told,
                client_thresholds=agreement.client_thresholds,
            ),
        )
        return _agreement_from_wire(self._wire.ask(self._stub.SetAgreement, request))


def _person_from_wire(wire: v1.Person) -> Person:
    return Person(
        display_name=wire.display_name,
        channel_ids=tuple(wire.channel_ids),
        quiet=_hours_from_wire(wire.quiet) if wire.HasField("quiet") else None,
        person_id=wire.person_id,
    )


def _agreement_from_wire(wire: v1.Agreement) -> Agreement:
    return Agreement(
        project_id=wire.project_id,
        owner_id=wire.owner_id,
        backup_id=wire.backup_id,
        lead_id=wire.lead_id,
        hours=_hours_from_wire(wire.hours) if wire.HasField("hours") else None,
        client_channel_ids=tuple(wire.client_channel_ids),
        client_told=wire.client_told,
        client_thresholds=wire.client_thresholds,
    )


def _hours_to_wire(hours: Hours | None) -> v1.Hours | None:
    if hours is None:
        return None
    return v1.Hours(
        time_zone=hours.time_zone,
        opens_minute=hours.opens_minute,
        closes_minute=hours.closes_minute,
        weekdays=hours.weekdays,
    )


def _hours_from_wire(wire: v1.Hours) -> Hours:
    return Hours(
        time_zone=wire.time_zone,
        opens_minute=wire.opens_minute,
        closes_minute=wire.closes_minute,
        weekdays=tuple(wire.weekdays),
    )
