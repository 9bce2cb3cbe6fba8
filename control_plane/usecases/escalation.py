"""People who are told of alerts, and who answers for which client."""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import fields
from control_plane.core.escalation import Agreement, Hours, Person
from control_plane.core.zones import check_zone
from control_plane.store import channels, projects
from control_plane.store import escalation as store
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import FailedPreconditionError, LimitExceededError, NotFoundError

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Escalation:
    """Everybody, and every agreement."""

    people: tuple[Person, ...]
    agreements: tuple[Agreement, ...]
    """That of the agency, with an empty project, is first where there is one."""


def get_escalation(tx: Tx) -> Escalation:
    """Who is told, and who answers for whom."""
    return Escalation(tuple(store.people(tx)), tuple(store.agreements(tx)))


def set_person(tx: Tx, wanted: Person, act: Act) -> Person:
    """Add somebody, or replace the one of that name: channels and quiet hours."""
    name = fields.check_name(wanted.display_name, "person.display_name")
    everybody = store.people(tx)
    before = _named(everybody, name)
    if before is None and len(everybody) >= limits.ALERT_PERSONS_MAX:
        raise LimitExceededError(
            f"there are {limits.ALERT_PERSONS_MAX} people: remove one first",
            limit=str(limits.ALERT_PERSONS_MAX),
        )
    _check_channels(tx, wanted.channel_ids, "person.channel_ids", required=True)
    if wanted.quiet is not None:
        check_hours(wanted.quiet, "person.quiet")
    person = replace(
        wanted,
        person_id=before.person_id if before else act.id(ids.PERSON),
        display_name=name,
        version=before.version + 1 if before else 1,
    )
    store.put_person(tx, person)
    record(tx, act, person.person_id, name=name, channels=list(person.channel_ids))
    return person


def remove_person(tx: Tx, person_id: str, act: Act) -> None:
    """Take somebody away who answers for nobody any more."""
    found_person(tx, person_id)
    for agreement in store.agreements(tx):
        if person_id in (agreement.owner_id, agreement.backup_id, agreement.lead_id):
            raise FailedPreconditionError(
                "somebody is answered for by this person: change that first "
                "(bursar escalation set)",
                project_id=agreement.project_id,
            )
    store.delete_person(tx, person_id, act.now_unix_ms)
    record(tx, act, person_id)


def set_agreement(tx: Tx, wanted: Agreement, act: Act) -> Agreement:
    """Set who answers for a client, or with an empty project for all that have nobody named."""
    if wanted.project_id and projects.get(tx, wanted.project_id) is None:
        raise NotFoundError("there is no such client", project_id=wanted.project_id[:40])
    for person_id in (wanted.owner_id, wanted.backup_id, wanted.lead_id):
        if person_id:
            found_person(tx, person_id)
    if not wanted.project_id and not wanted.owner_id:
        raise fields.invalid("agreement.owner_id", "somebody must answer for all others")
    if not wanted.project_id and wanted.client_channel_ids:
        raise fields.invalid(
            "agreement.client_channel_ids", "only a client has channels of its own"
        )
    _check_channels(tx, wanted.client_channel_ids, "agreement.client_channel_ids")
    if wanted.hours is not None:
        check_hours(wanted.hours, "agreement.hours")
    before = {one.project_id: one for one in store.agreements(tx)}.get(wanted.project_id)
    agreement = replace(wanted, version=before.version + 1 if before else 1)
    store.put_agreement(tx, agreement)
    record(
        tx,
        act,
        wanted.project_id or "agency",
        project_id=wanted.project_id,
        owner=wanted.owner_id,
        backup=wanted.backup_id,
        lead=wanted.lead_id,
        client_told=wanted.client_told.value,
    )
    return agreement


def found_person(tx: Tx, person: str) -> Person:
    """Somebody by id or by name."""
    for one in store.people(tx):
        if person == one.person_id or fields.name_key(person) == fields.name_key(one.display_name):
            return one
    shown = person[: limits.NAME_CHARACTERS_MAX]
    raise NotFoundError(f"there is no person {shown!r}: bursar escalation person", person=shown)


def check_hours(hours: Hours, field: str) -> Hours:
    """Hours that come at least once a week."""
    check_zone(hours.time_zone, f"{field}.time_zone")
    fields.check_between(hours.opens_minute, 0, _DAY_MINUTES - 1, f"{field}.opens_minute")
    fields.check_between(hours.closes_minute, 0, _DAY_MINUTES, f"{field}.closes_minute")
    days = hours.weekdays
    if not days or len(set(days)) != len(days) or not all(1 <= day <= 7 for day in days):
        raise fields.invalid(f"{field}.weekdays", "days from Monday = 1 to Sunday = 7, each once")
    return hours


def _named(people: list[Person], name: str) -> Person | None:
    wanted = fields.name_key(name)
    return next((one for one in people if fields.name_key(one.display_name) == wanted), None)


def _check_channels(
    tx: Tx, channel_ids: tuple[str, ...], field: str, *, required: bool = False
) -> None:
    if required and not channel_ids:
        raise fields.invalid(field, "name at least one, or nobody would be reached")
    if len(channel_ids) > limits.RECEIVER_CHANNELS_MAX or len(set(channel_ids)) != len(channel_ids):
        raise fields.invalid(field, f"at most {limits.RECEIVER_CHANNELS_MAX}, each once")
    for channel_id in channel_ids:
        if channels.get(tx, channel_id) is None:
            raise NotFoundError(f"there is no channel {channel_id[:40]!r}", channel=channel_id[:40])
