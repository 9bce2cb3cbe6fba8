"""What checks of playbooks look at, of one client or of all: sets of names, never rows of calls."""

from collections.abc import Sequence

from control_plane.store import spans
from control_plane.store.engine import Tx

_OF = "(:project = '' OR project.project_id = :project) AND project.state <> 'ARCHIVED'"
_MARKERS = {
    "capped": """EXISTS (SELECT 1 FROM budget WHERE budget.project_id = project.project_id
      AND budget.archived_unix_ms IS NULL AND budget.cap_nano_usd IS NOT NULL)""",
    "keyed": """EXISTS (SELECT 1 FROM api_key JOIN key_secret
        ON key_secret.key_id = api_key.key_id
      WHERE api_key.project_id = project.project_id AND api_key.revoked_unix_ms IS NULL
        AND key_secret.revoked_unix_ms IS NULL
        AND (key_secret.expires_unix_ms IS NULL OR key_secret.expires_unix_ms > :now))""",
    "called": "EXISTS (SELECT 1 FROM rollup WHERE rollup.project_id = project.project_id)",
    "carded": """EXISTS (SELECT 1 FROM rate_card
      WHERE rate_card.project_id = project.project_id AND rate_card.valid_from_unix_ms <= :now)""",
    "received": """EXISTS (SELECT 1 FROM statement_settings
      WHERE statement_settings.project_id = project.project_id AND recipients_json <> '[]')""",
}


def holding(tx: Tx, what: str, project_id: str, now_unix_ms: int) -> frozenset[str]:
    """Clients of which one of the markers of this module holds; "" looks at all clients."""
    rows = tx.rows(
        f"SELECT project_id FROM project WHERE {_OF} AND {_MARKERS[what]}",  # noqa: S608 - named above
        {"project": project_id, "now": now_unix_ms},
    )
    return frozenset(row["project_id"] for row in rows)


def used(
    tx: Tx, project_id: str, since_unix_ms: int, spans_since: Sequence[str]
) -> list[tuple[str, str, str, str]]:
    """Client, workflow, provider and model of all that was used since an instant.

    Of all clients it is read from months and five days, and begins with the first of them.
    """
    if project_id or not spans.are_all_kept(tx):
        rows = tx.rows(
            f"""SELECT DISTINCT project.project_id AS id, workflow, provider, model
                FROM project JOIN rollup_day ON rollup_day.project_id = project.project_id
                  AND rollup_day.start_unix_ms >= :since
                WHERE {_OF} ORDER BY id, workflow, provider, model""",  # noqa: S608 - named above
            {"project": project_id, "since": since_unix_ms},
        )
    else:
        listed = {f"span{number}": span for number, span in enumerate(spans_since)}
        rows = tx.rows(
            f"""SELECT DISTINCT project_id AS id, workflow, provider, model FROM span_workflow
                WHERE time_zone IN (SELECT time_zone FROM rollup_zone)
                  AND span IN ({", ".join(f":{name}" for name in listed)})
                ORDER BY id, workflow, provider, model""",  # noqa: S608 - names of parameters
            listed,
        )
    return [(row["id"], row["workflow"], row["provider"], row["model"]) for row in rows]


def unpriced(tx: Tx, project_id: str, since_unix_ms: int) -> list[tuple[str, str]]:
    """Client and model of calls that were refused for want of a price."""
    rows = tx.rows(
        f"""SELECT DISTINCT project.project_id AS id, model
            FROM project JOIN refusal_rollup ON refusal_rollup.project_id = project.project_id
              AND refusal_rollup.bucket_unix_ms >= :since
            WHERE {_OF} AND reason = 'model_not_priced' AND model <> ''
            ORDER BY id, model""",  # noqa: S608 - named above
        {"project": project_id, "since": since_unix_ms},
    )
    return [(row["id"], row["model"]) for row in rows]


def agreed(tx: Tx, project_id: str) -> frozenset[tuple[str, str]]:
    """Client and workflow of all that was agreed on."""
    rows = tx.rows(
        """SELECT project_id, workflow FROM workflow_roi
           WHERE :project = '' OR project_id = :project""",
        {"project": project_id},
    )
    return frozenset((row["project_id"], row["workflow"]) for row in rows)
