"""Messages on their way, in the transaction of what they tell of.

`put` belongs into the transaction that made the message true: then it is sent if that is committed,
and not otherwise. Whoever sends claims first; see core.deliveries for what may become of it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from control_plane import limits
from control_plane.core.alerts import Severity
from control_plane.core.deliveries import (
    Delivery,
    DeliveryState,
    Message,
    Outcome,
    Part,
    Purpose,
    settle,
)
from control_plane.core.pages import Slice
from control_plane.store.engine import Row, Tx, Value

_LAST_POSITION = 2**62
OLDEST_DONE = """SELECT delivery_id FROM delivery WHERE state NOT IN ('QUEUED', 'SENDING')
  ORDER BY position LIMIT :count"""
"""Read in their order until there are enough: an index of states would have all of them sorted, for
each message that is queued while the outbox is full."""


def put(tx: Tx, delivery: Delivery, parts: Sequence[Part] = ()) -> bool:
    """Queue a message with its files; False when one with the same `once` was queued before.

    There must be `room` for it. When the outbox is full, the oldest that is done goes.
    """
    if delivery.once:
        row = tx.row("SELECT 1 AS found FROM delivery WHERE once = :once", {"once": delivery.once})
        if row is not None:
            return False
    assert sum(len(part.content) for part in parts) <= limits.DELIVERY_PARTS_BYTES_MAX
    assert room(tx) > 0, "whoever queues asks for room first"
    _drop_done(tx, 1 + _count(tx) - limits.DELIVERIES_MAX)
    message = delivery.message
    values: dict[str, Value] = {
        "delivery_id": delivery.delivery_id,
        "position": _next_position(tx),
        "purpose": delivery.purpose.value,
        "message_json": json.dumps(
            [message.subject, message.what, message.lines, message.link, message.html],
            ensure_ascii=False,
        ),
        "created_unix_ms": delivery.created_unix_ms,
        "channel_id": delivery.channel_id,
        "address": delivery.address,
        "project_id": delivery.project_id,
        "alert_id": delivery.alert_id,
        "severity": int(delivery.severity),
        "thread": delivery.thread,
        "once": delivery.once,
        "repeats": int(delivery.repeats),
        "state": delivery.state.value,
        "attempt_count": delivery.attempt_count,
        "lost_sight_count": delivery.lost_sight_count,
        "next_unix_ms": delivery.next_unix_ms,
        "changed_unix_ms": delivery.changed_unix_ms or delivery.created_unix_ms,
        "error": delivery.error,
        "remote_id": delivery.remote_id,
    }
    tx.run(
        f"""INSERT INTO delivery ({", ".join(values)})
            VALUES ({", ".join(f":{name}" for name in values)})""",  # noqa: S608 - the names above
        values,
    )
    tx.many(
        """INSERT INTO delivery_part (delivery_id, place, file_name, media_type, content)
           VALUES (:delivery, :place, :file_name, :media_type, :content)""",
        [
            {
                "delivery": delivery.delivery_id,
                "place": place,
                "file_name": part.file_name,
                "media_type": part.media_type,
                "content": part.content,
            }
            for place, part in enumerate(parts)
        ],
    )
    return True


def room(tx: Tx) -> int:
    """How many more messages may wait."""
    row = tx.row("SELECT COUNT(*) AS n FROM delivery WHERE state IN ('QUEUED', 'SENDING')")
    assert row is not None
    return max(0, limits.WAITING_DELIVERIES_MAX - int(row["n"]))


def any_due(tx: Tx, now_unix_ms: int) -> bool:
    """Whether a message waits whose time has come."""
    row = tx.row(
        "SELECT 1 AS due FROM delivery WHERE state = 'QUEUED' AND next_unix_ms <= :now LIMIT 1",
        {"now": now_unix_ms},
    )
    return row is not None


def claim(tx: Tx, now_unix_ms: int, limit: int) -> list[Delivery]:
    """Take messages in hand whose time has come, the gravest and then the oldest first.

    Of a thread at a channel only the first that is not done goes: mails of an incident arrive in
    the order in which they were written.
    """
    rows = tx.rows(
        """SELECT * FROM delivery WHERE state = 'QUEUED' AND next_unix_ms <= :now
             AND (thread = '' OR NOT EXISTS (
               SELECT 1 FROM delivery AS earlier
               WHERE earlier.alert_id = delivery.alert_id AND earlier.thread = delivery.thread
                 AND earlier.channel_id = delivery.channel_id
                 AND earlier.address = delivery.address
                 AND earlier.position < delivery.position
                 AND earlier.state IN ('QUEUED', 'SENDING')))
           ORDER BY severity, position LIMIT :limit""",
        {"now": now_unix_ms, "limit": limit},
    )
    tx.many(
        """UPDATE delivery SET state = 'SENDING', attempt_count = attempt_count + 1,
             changed_unix_ms = :now
           WHERE delivery_id = :delivery AND state = 'QUEUED'""",
        [{"delivery": row["delivery_id"], "now": now_unix_ms} for row in rows],
    )
    return [
        replace(
            found,
            state=DeliveryState.SENDING,
            attempt_count=found.attempt_count + 1,
            changed_unix_ms=now_unix_ms,
        )
        for found in map(_from_row, rows)
    ]


def finish(
    tx: Tx,
    delivery: Delivery,
    outcome: Outcome,
    now_unix_ms: int,
    *,
    error: str = "",
    remote_id: str = "",
) -> Delivery:
    """Note what came of a message in hand."""
    settled = settle(delivery, outcome, now_unix_ms)
    after = replace(
        delivery,
        state=settled.state,
        next_unix_ms=settled.next_unix_ms,
        changed_unix_ms=now_unix_ms,
        error=error,
        remote_id=remote_id or delivery.remote_id,
        lost_sight_count=delivery.lost_sight_count + (outcome is Outcome.LOST_SIGHT),
    )
    changed = tx.run(
        """UPDATE delivery SET state = :state, next_unix_ms = :next, changed_unix_ms = :now,
             error = :error, remote_id = :remote, lost_sight_count = :lost
           WHERE delivery_id = :delivery AND state = 'SENDING'""",
        {
            "delivery": after.delivery_id,
            "state": after.state.value,
            "next": after.next_unix_ms,
            "now": now_unix_ms,
            "error": after.error,
            "remote": after.remote_id,
            "lost": after.lost_sight_count,
        },
    )
    assert changed == 1, "only whoever claimed a message finishes it"
    return after


def in_hand(tx: Tx) -> list[Delivery]:
    """Messages that a process has in hand, or had when it died."""
    rows = tx.rows("SELECT * FROM delivery WHERE state = 'SENDING' ORDER BY position")
    return [_from_row(row) for row in rows]


def distrust(tx: Tx, now_unix_ms: int) -> int:
    """Hold what waits in a database that is an old copy: it may have been sent since then."""
    return tx.run(
        """UPDATE delivery SET state = 'UNKNOWN', changed_unix_ms = :now, error = :why
           WHERE state IN ('QUEUED', 'SENDING')""",
        {"now": now_unix_ms, "why": "the database is an old copy: it may have been sent before"},
    )


def send_again(tx: Tx, delivery_id: str, now_unix_ms: int) -> bool:
    """Queue a message again that failed or may have arrived; False when it is neither."""
    changed = tx.run(
        """UPDATE delivery SET state = 'QUEUED', next_unix_ms = :now, changed_unix_ms = :now,
             created_unix_ms = :now, attempt_count = 0
           WHERE delivery_id = :delivery AND state IN ('FAILED', 'UNKNOWN')""",
        {"delivery": delivery_id, "now": now_unix_ms},
    )
    return bool(changed)


def get(tx: Tx, delivery_id: str) -> Delivery | None:
    """One message."""
    row = tx.row("SELECT * FROM delivery WHERE delivery_id = :id", {"id": delivery_id})
    return None if row is None else _from_row(row)


def parts_of(tx: Tx, delivery_id: str) -> list[Part]:
    """The files of a message."""
    rows = tx.rows(
        "SELECT * FROM delivery_part WHERE delivery_id = :id ORDER BY place", {"id": delivery_id}
    )
    return [Part(row["file_name"], row["media_type"], row["content"]) for row in rows]


def page(tx: Tx, asked: Slice, *, alert_id: str, state: str) -> list[Delivery]:
    """Messages, the newest first."""
    rows = tx.rows(
        """SELECT * FROM delivery
           WHERE (:alert = '' OR alert_id = :alert) AND (:state = '' OR state = :state)
             AND position < :after
           ORDER BY position DESC LIMIT :limit""",
        {
            "alert": alert_id,
            "state": state,
            "after": asked.after[0] if asked.after else _LAST_POSITION,
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def given_up_since(tx: Tx, since_unix_ms: int) -> list[Row]:
    """Channels with messages that were given up and no success after them: id, count, error."""
    return list(
        tx.rows(
            """SELECT failed.channel_id AS channel_id, COUNT(*) AS n, MAX(failed.error) AS error
               FROM delivery AS failed
               WHERE failed.state = 'FAILED' AND failed.changed_unix_ms >= :since
                 AND failed.channel_id <> '' AND NOT EXISTS (
                   SELECT 1 FROM delivery AS later WHERE later.state = 'SENT'
                     AND later.channel_id = failed.channel_id
                     AND later.changed_unix_ms > failed.changed_unix_ms)
               GROUP BY failed.channel_id""",
            {"since": since_unix_ms},
        )
    )


def drop_before(tx: Tx, before_unix_ms: int, limit: int) -> int:
    """Forget old messages that are done, with their files; how many."""
    rows = tx.rows(
        """SELECT delivery_id FROM delivery
           WHERE state IN ('SENT', 'FAILED', 'UNKNOWN') AND changed_unix_ms < :before
           ORDER BY position LIMIT :limit""",
        {"before": before_unix_ms, "limit": limit},
    )
    return _drop(tx, rows)


def _drop_done(tx: Tx, count: int) -> None:
    """Forget the oldest messages that are done; never one that waits."""
    if count > 0:
        _drop(tx, tx.rows(OLDEST_DONE, {"count": count}))


def _drop(tx: Tx, rows: Sequence[Row]) -> int:
    ids = [{"id": row["delivery_id"]} for row in rows]
    tx.many("DELETE FROM delivery_part WHERE delivery_id = :id", ids)
    return tx.many("DELETE FROM delivery WHERE delivery_id = :id", ids)


def _count(tx: Tx) -> int:
    row = tx.row("SELECT COUNT(*) AS n FROM delivery")
    assert row is not None
    return int(row["n"])


def _next_position(tx: Tx) -> int:
    row = tx.row("SELECT COALESCE(MAX(position), 0) + 1 AS next FROM delivery")
    assert row is not None
    return int(row["next"])


def _from_row(row: Row) -> Delivery:
    subject, what, lines, link, html = json.loads(row["message_json"])
    return Delivery(
        delivery_id=row["delivery_id"],
        position=row["position"],
        purpose=Purpose(row["purpose"]),
        message=Message(subject, what, tuple((name, said) for name, said in lines), link, html),
        created_unix_ms=row["created_unix_ms"],
        channel_id=row["channel_id"],
        address=row["address"],
        project_id=row["project_id"],
        alert_id=row["alert_id"],
        severity=Severity(row["severity"]),
        thread=row["thread"],
        once=row["once"],
        repeats=bool(row["repeats"]),
        state=DeliveryState(row["state"]),
        attempt_count=row["attempt_count"],
        lost_sight_count=row["lost_sight_count"],
        next_unix_ms=row["next_unix_ms"],
        changed_unix_ms=row["changed_unix_ms"],
        error=row["error"],
        remote_id=row["remote_id"],
    )
