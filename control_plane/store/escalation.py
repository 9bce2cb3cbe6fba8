"""People, and the agreements of who answers for which client."""

import json

from control_plane.core.escalation import Agreement, ClientTold, Hours, Person
from control_plane.core.fields import name_key
from control_plane.store.engine import Row, Tx


def put_person(tx: Tx, person: Person) -> None:
    """Add a person or replace one. Raises ConflictError when the name is another's."""
    tx.run(
        """INSERT INTO person (person_id, display_name, name_key, channel_ids_json, quiet_json,
             deleted_unix_ms, version)
           VALUES (:id, :name, :name_key, :channels, :quiet, NULL, :version)
           ON CONFLICT (person_id) DO UPDATE SET display_name = excluded.display_name,
             name_key = excluded.name_key, channel_ids_json = excluded.channel_ids_json,
             quiet_json = excluded.quiet_json, version = excluded.version""",
        {
            "id": person.person_id,
            "name": person.display_name,
            "name_key": name_key(person.display_name),
            "channels": json.dumps(person.channel_ids),
            "quiet": _hours_text(person.quiet),
            "version": person.version,
        },
    )


def delete_person(tx: Tx, person_id: str, now_unix_ms: int) -> None:
    """Take a person away."""
    tx.run(
        "UPDATE person SET deleted_unix_ms = :now WHERE person_id = :id",
        {"id": person_id, "now": now_unix_ms},
    )


def people(tx: Tx) -> list[Person]:
    """Everybody, by name."""
    rows = tx.rows("SELECT * FROM person WHERE deleted_unix_ms IS NULL ORDER BY name_key")
    return [
        Person(
            row["person_id"],
            row["display_name"],
            tuple(json.loads(row["channel_ids_json"])),
            _hours(row["quiet_json"]),
            row["version"],
        )
        for row in rows
    ]


def put_agreement(tx: Tx, agreement: Agreement) -> None:
    """Set who answers for a client."""
    tx.run(
        """INSERT INTO agreement (project_id, owner_id, backup_id, lead_id, hours_json,
             client_channel_ids_json, client_told, client_thresholds, version)
           VALUES (:project, :owner, :backup, :lead, :hours, :channels, :told, :thresholds,
             :version)
           ON CONFLICT (project_id) DO UPDATE SET owner_id = excluded.owner_id,
             backup_id = excluded.backup_id, lead_id = excluded.lead_id,
             hours_json = excluded.hours_json,
             client_channel_ids_json = excluded.client_channel_ids_json,
             client_told = excluded.client_told, client_thresholds = excluded.client_thresholds,
             version = excluded.version""",
        {
            "project": agreement.project_id,
            "owner": agreement.owner_id,
            "backup": agreement.backup_id,
            "lead": agreement.lead_id,
            "hours": _hours_text(agreement.hours),
            "channels": json.dumps(agreement.client_channel_ids),
            "told": agreement.client_told.value,
            "thresholds": int(agreement.client_thresholds),
            "version": agreement.version,
        },
    )


def delete_agreement(tx: Tx, project_id: str) -> None:
    """Let a client be answered for as all others are."""
    tx.run("DELETE FROM agreement WHERE project_id = :project", {"project": project_id})


def agreements(tx: Tx) -> list[Agreement]:
    """All agreements; that of the agency, which holds for all others, is first."""
    return [_agreement(row) for row in tx.rows("SELECT * FROM agreement ORDER BY project_id")]


def _agreement(row: Row) -> Agreement:
    return Agreement(
        row["project_id"],
        row["owner_id"],
        row["backup_id"],
        row["lead_id"],
        _hours(row["hours_json"]),
        tuple(json.loads(row["client_channel_ids_json"])),
        ClientTold(row["client_told"]),
        bool(row["client_thresholds"]),
        row["version"],
    )


def _hours_text(hours: Hours | None) -> str:
    if hours is None:
        return ""
    return json.dumps(
        [hours.time_zone, hours.opens_minute, hours.closes_minute, list(hours.weekdays)]
    )


def _hours(text: str) -> Hours | None:
    if not text:
        return None
    zone, opens, closes, weekdays = json.loads(text)
    return Hours(zone, opens, closes, tuple(weekdays))
