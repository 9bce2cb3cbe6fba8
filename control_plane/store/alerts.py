"""Alerts, their history, and who is still to be told of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from control_plane.core.alerts import TERMS, Alert, Event, Finding, Happening, Rule, Severity, State
from control_plane.core.pages import Slice
from control_plane.store.engine import Row, Tx, Value

_MUTED = "CASE WHEN muted_by = '' THEN 0 ELSE 1 END"


@dataclass(frozen=True, slots=True)
class Notice:
    """Somebody is to be told of an alert."""

    alert_id: str
    channel_id: str
    kind: str
    """TOLD, ESCALATED, ANSWERED, OVER or CLIENT."""
    due_unix_ms: int
    """Not before."""
    detail: str = ""
    """Who did not answer."""


def put(tx: Tx, alert: Alert) -> None:
    """Add an alert or replace it."""
    values: dict[str, Value] = {
        "alert_id": alert.alert_id,
        "rule": alert.rule.value,
        "subject": alert.subject,
        "project_id": alert.project_id,
        "severity": int(alert.severity),
        "state": alert.state.value,
        "found_unix_ms": alert.found_unix_ms,
        "measure": alert.measure,
        "facts_json": json.dumps(dict(alert.facts), ensure_ascii=False),
        "about": alert.group,
        "rank": alert.rank,
        "opened_unix_ms": alert.opened_unix_ms,
        "gone_unix_ms": alert.gone_unix_ms,
        "answered_by": alert.answered_by,
        "answered_unix_ms": alert.answered_unix_ms,
        "answered_measure": alert.answered_measure,
        "note": alert.note,
        "resolved_unix_ms": alert.resolved_unix_ms,
        "holds": int(alert.holds),
        "muted_by": alert.muted_by,
        "round_unix_ms": alert.round_unix_ms,
        "steps_done": alert.steps_done,
        "told": int(alert.told),
        "client_told": int(alert.client_told),
        "version": alert.version,
    }
    tx.run(
        f"""INSERT INTO alert ({", ".join(values)}) VALUES ({", ".join(f":{n}" for n in values)})
            ON CONFLICT (alert_id) DO UPDATE SET
              {", ".join(f"{n} = excluded.{n}" for n in values if n != "alert_id")}""",  # noqa: S608 - the names above
        values,
    )


def drop(tx: Tx, alert_id: str) -> None:
    """Forget an alert that nobody was told of."""
    tx.run("DELETE FROM alert WHERE alert_id = :alert", {"alert": alert_id})


def add_history(tx: Tx, lines: Iterable[Happening]) -> None:
    """Add lines to the history of alerts, in order."""
    tx.many(
        """INSERT INTO alert_event (alert_id, place, at_unix_ms, event, state, severity, detail)
           SELECT :alert, COALESCE(MAX(place), 0) + 1, :at, :event, :state, :severity, :detail
           FROM alert_event WHERE alert_id = :alert""",
        [
            {
                "alert": line.alert_id,
                "at": line.at_unix_ms,
                "event": line.event.value,
                "state": line.state.value,
                "severity": int(line.severity),
                "detail": line.detail,
            }
            for line in lines
        ],
    )


def history(tx: Tx, alert_id: str) -> list[Happening]:
    """The history of an alert, oldest first."""
    rows = tx.rows(
        "SELECT * FROM alert_event WHERE alert_id = :alert ORDER BY place", {"alert": alert_id}
    )
    return [
        Happening(
            alert_id,
            row["at_unix_ms"],
            Event(row["event"]),
            State(row["state"]),
            Severity(row["severity"]),
            row["detail"],
        )
        for row in rows
    ]


def get(tx: Tx, alert_id: str) -> Alert | None:
    """One alert."""
    row = tx.row("SELECT * FROM alert WHERE alert_id = :alert", {"alert": alert_id})
    return None if row is None else _from_row(row)


def going_on(tx: Tx) -> list[Alert]:
    """Alerts that are pending or live, by id."""
    rows = tx.rows("SELECT * FROM alert WHERE state <> 'RESOLVED' ORDER BY alert_id")
    return [_from_row(row) for row in rows]


def known_for(tx: Tx, findings: Iterable[Finding]) -> list[Alert]:
    """What folding findings needs: what goes on or still holds, and what was told once."""
    rows = tx.rows("SELECT * FROM alert WHERE state = 'RESOLVED' AND holds = 1 ORDER BY alert_id")
    # A later alert of a key stands in for the earlier ones; one that goes on stands in for all.
    by_key = {alert.key: alert for alert in map(_from_row, rows)}
    by_key.update({alert.key: alert for alert in going_on(tx)})
    for finding in findings:
        key = (finding.rule, finding.subject)
        if TERMS[finding.rule].once and key not in by_key:
            row = tx.row(
                """SELECT * FROM alert WHERE rule = :rule AND subject = :subject
                   ORDER BY alert_id DESC LIMIT 1""",
                {"rule": finding.rule.value, "subject": finding.subject},
            )
            if row is not None:
                by_key[key] = _from_row(row)
    return list(by_key.values())


def page(
    tx: Tx, asked: Slice, *, project_id: str, states: Sequence[State], gravest_first: bool
) -> list[Alert]:
    """Alerts in some states, the newest first.

    Or the gravest first, of one severity the newest, and at the end those that another speaks for.
    The key of a row is `place_of`.
    """
    place = f"{_MUTED}, severity" if gravest_first else "0, 0"
    order = f"{place}, " if gravest_first else ""
    muted, severity, after = asked.after or (0, 0, "")
    chosen = {f"state{number}": state.value for number, state in enumerate(states)}
    rows = tx.rows(
        f"""SELECT * FROM alert
            WHERE (:project = '' OR project_id = :project)
              AND (:after = '' OR ({place}) > (:muted, :severity)
                OR (({place}) = (:muted, :severity) AND alert_id < :after))
              AND state IN ({", ".join(f":{name}" for name in chosen)})
            ORDER BY {order}alert_id DESC LIMIT :limit""",  # noqa: S608 - names made here
        {
            "project": project_id,
            "muted": muted,
            "severity": severity,
            "after": after,
            "limit": asked.limit,
            **chosen,
        },
    )
    return [_from_row(row) for row in rows]


def place_of(alert: Alert, *, gravest_first: bool) -> tuple[int, int, str]:
    """Where an alert stands in a list: the key of `page`."""
    if gravest_first:
        return int(bool(alert.muted_by)), int(alert.severity), alert.alert_id
    return 0, 0, alert.alert_id


def opened_within(
    tx: Tx, project_id: str, rules: Sequence[Rule], start_unix_ms: int, end_unix_ms: int, limit: int
) -> list[Alert]:
    """Alerts of a project and some rules that opened in a time, oldest first."""
    named = {f"rule{number}": rule.value for number, rule in enumerate(rules)}
    rows = tx.rows(
        f"""SELECT * FROM alert
           WHERE project_id = :project AND opened_unix_ms >= :start AND opened_unix_ms < :end
             AND rule IN ({", ".join(":" + name for name in named)})
           ORDER BY opened_unix_ms, alert_id LIMIT :limit""",  # noqa: S608 - names of parameters
        {
            "project": project_id,
            "start": start_unix_ms,
            "end": end_unix_ms,
            "limit": limit,
            **named,
        },
    )
    return [_from_row(row) for row in rows]


def put_notice(tx: Tx, notice: Notice) -> None:
    """Note that somebody is to be told; again for the same changes when."""
    tx.run(
        """INSERT INTO notice (alert_id, channel_id, kind, due_unix_ms, detail)
           VALUES (:alert, :channel, :kind, :due, :detail)
           ON CONFLICT (alert_id, channel_id, kind)
           DO UPDATE SET due_unix_ms = excluded.due_unix_ms, detail = excluded.detail""",
        {
            "alert": notice.alert_id,
            "channel": notice.channel_id,
            "kind": notice.kind,
            "due": notice.due_unix_ms,
            "detail": notice.detail,
        },
    )


def drop_notices(tx: Tx, alert_id: str) -> None:
    """Nobody is to be told any more of an alert that was answered, except that it is over."""
    tx.run(
        "DELETE FROM notice WHERE alert_id = :alert AND kind IN ('TOLD', 'ESCALATED')",
        {"alert": alert_id},
    )


def take_due_notices(tx: Tx, now_unix_ms: int, limit: int) -> list[Notice]:
    """Take the notices whose time has come, the oldest first; whoever takes them tells them."""
    rows = tx.rows(
        """SELECT * FROM notice WHERE due_unix_ms <= :now
           ORDER BY due_unix_ms, alert_id, channel_id, kind LIMIT :limit""",
        {"now": now_unix_ms, "limit": limit},
    )
    found = [
        Notice(row["alert_id"], row["channel_id"], row["kind"], row["due_unix_ms"], row["detail"])
        for row in rows
    ]
    tx.many(
        "DELETE FROM notice WHERE alert_id = :alert AND channel_id = :channel AND kind = :kind",
        [{"alert": n.alert_id, "channel": n.channel_id, "kind": n.kind} for n in found],
    )
    return found


def note_told(tx: Tx, alert_id: str, channel_id: str, *, is_client: bool) -> None:
    """Note that a channel was told of an alert, so that it hears when it is over."""
    tx.run(
        """INSERT INTO alert_told (alert_id, channel_id, is_client) VALUES (:alert, :channel, :who)
           ON CONFLICT (alert_id, channel_id) DO NOTHING""",
        {"alert": alert_id, "channel": channel_id, "who": int(is_client)},
    )


def told_channels(tx: Tx, alert_id: str) -> dict[str, bool]:
    """The channels that were told of an alert, and whether each is the client's."""
    rows = tx.rows(
        "SELECT channel_id, is_client FROM alert_told WHERE alert_id = :alert ORDER BY channel_id",
        {"alert": alert_id},
    )
    return {row["channel_id"]: bool(row["is_client"]) for row in rows}


def _from_row(row: Row) -> Alert:
    return Alert(
        alert_id=row["alert_id"],
        rule=Rule(row["rule"]),
        subject=row["subject"],
        project_id=row["project_id"],
        severity=Severity(row["severity"]),
        state=State(row["state"]),
        found_unix_ms=row["found_unix_ms"],
        measure=row["measure"],
        facts=json.loads(row["facts_json"]),
        group=row["about"],
        rank=row["rank"],
        opened_unix_ms=row["opened_unix_ms"],
        gone_unix_ms=row["gone_unix_ms"],
        answered_by=row["answered_by"],
        answered_unix_ms=row["answered_unix_ms"],
        answered_measure=row["answered_measure"],
        note=row["note"],
        resolved_unix_ms=row["resolved_unix_ms"],
        holds=bool(row["holds"]),
        muted_by=row["muted_by"],
        round_unix_ms=row["round_unix_ms"],
        steps_done=row["steps_done"],
        told=bool(row["told"]),
        client_told=bool(row["client_told"]),
        version=row["version"],
    )
