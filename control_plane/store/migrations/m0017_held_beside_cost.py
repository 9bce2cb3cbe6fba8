"""How much was held for calls whose usage was told, beside what they cost: how tight bounds are.

Of calls from before, both sums are made from the ledger. Days are forgotten, and summed anew by
housekeeping; quarter hours answer meanwhile. Sums that could leave 64 bits stop at their bound, as
they do when they grow.
"""

_TABLES = ("rollup", "rollup_day", "rollup_day_total")


def _sum(column: str) -> str:
    whole, rest = f"SUM({column} / 1000000000)", f"SUM({column} % 1000000000)"
    return f"""COALESCE((
      SELECT CASE WHEN {whole} >= 1000000000 THEN 1000000000000000000
        ELSE {whole} * 1000000000 + {rest} END
      FROM call
      WHERE call.project_id = rollup.project_id
        AND call.started_unix_ms >= rollup.bucket_unix_ms
        AND call.started_unix_ms < rollup.bucket_unix_ms + 900000
        AND call.key_id = rollup.key_id AND call.workflow = rollup.workflow
        AND call.requested_model = rollup.model AND call.provider = rollup.provider
        AND call.outcome = rollup.outcome AND call.estimated = 0 AND call.worst_nano_usd > 0
    ), 0)"""  # noqa: S608 - names written in this module


STATEMENTS = (
    *(
        f"ALTER TABLE {table} ADD COLUMN {column} BIGINT NOT NULL DEFAULT 0"
        for table in _TABLES
        for column in ("held_nano_usd", "held_cost_nano_usd")
    ),
    f"""UPDATE rollup SET held_nano_usd = {_sum("worst_nano_usd")},
          held_cost_nano_usd = {_sum("cost_nano_usd")}
        WHERE outcome = 'ok'""",  # noqa: S608 - names written in this module
    *(
        f"DELETE FROM {table}"  # noqa: S608 - names written in this module
        for table in ("rollup_zone", "rollup_day", "rollup_day_total", "latency_day")
    ),
)
