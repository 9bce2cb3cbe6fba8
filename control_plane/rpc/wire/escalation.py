"""People and agreements on the wire."""

from control_plane.core import fields
from control_plane.core.escalation import Agreement, ClientTold, Hours, Person
from protos.bursar.admin import v1


def person_to_wire(person: Person) -> v1.Person:
    """A person."""
    return v1.Person(
        person_id=person.person_id,
        display_name=person.display_name,
        channel_ids=person.channel_ids,
        quiet=_hours_to_wire(person.quiet),
    )


def person_from_wire(wire: v1.Person) -> Person:
    """A person as asked for."""
    quiet = _hours_from_wire(wire.quiet) if wire.HasField("quiet") else None
    return Person("", wire.display_name, tuple(wire.channel_ids), quiet)


def agreement_to_wire(agreement: Agreement) -> v1.Agreement:
    """An agreement."""
    return v1.Agreement(
        project_id=agreement.project_id,
        owner_id=agreement.owner_id,
        backup_id=agreement.backup_id,
        lead_id=agreement.lead_id,
        hours=_hours_to_wire(agreement.hours),
        client_channel_ids=agreement.client_channel_ids,
        client_told=agreement.client_told.value,
        client_thresholds=agreement.client_thresholds,
    )


def agreement_from_wire(wire: v1.Agreement) -> Agreement:
    """An agreement as asked for."""
    if wire.client_told and wire.client_told not in ClientTold.__members__:
        raise fields.invalid("agreement.client_told", f"one of {', '.join(ClientTold.__members__)}")
    return Agreement(
        project_id=wire.project_id,
        owner_id=wire.owner_id,
        backup_id=wire.backup_id,
        lead_id=wire.lead_id,
        hours=_hours_from_wire(wire.hours) if wire.HasField("hours") else None,
        client_channel_ids=tuple(wire.client_channel_ids),
        client_told=ClientTold[wire.client_told or "NEVER"],
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
    return Hours(wire.time_zone, wire.opens_minute, wire.closes_minute, tuple(wire.weekdays))
