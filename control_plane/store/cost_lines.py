"""Calls as cost lines need them: in the order of time, a piece at a time."""

from dataclasses import replace

from control_plane.core.log import LoggedCall, LoggedCorrection
from control_plane.store import call_log
from control_plane.store.engine import Tx

Place = tuple[int, int]
"""Of a call among those of its project: when it began, and its position."""


def piece(tx: Tx, project_id: str, start: Place, end_unix_ms: int, limit: int) -> list[LoggedCall]:
    """Calls of a project that began after a place, oldest first.

    A call whose price was set right carries the last correction alone.
    """
    rows = tx.rows(
        """SELECT call.*, (
             SELECT price_version FROM correction WHERE correction.call_id = call.call_id
             ORDER BY number DESC LIMIT 1) AS corrected_version
           FROM call
           WHERE project_id = :project AND started_unix_ms >= :start AND started_unix_ms < :end
             AND (started_unix_ms > :start OR position > :position)
           ORDER BY started_unix_ms, position LIMIT :limit""",
        {
            "project": project_id,
            "start": start[0],
            "position": start[1],
            "end": end_unix_ms,
            "limit": limit,
        },
    )
    found = []
    for row in rows:
        logged = call_log.booked(row)
        if row["corrected_version"] is not None:
            entry = LoggedCorrection(row["corrected_version"], 0, 0, "", "", 0)
            logged = replace(logged, corrections=(entry,))
        found.append(logged)
    return found
