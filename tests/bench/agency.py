"""An agency with a large ledger: clients, calls, every roll-up that booking them would have left.

Calls are written by one statement for many of them, and quarter hours are summed from the calls
themselves; days, spans and tasks are then made by the store's own code. `test_pages.py` holds the
sums against what booking the same calls one by one would have left. What was built once is kept
in a folder, and taken as it is while nothing has changed that it was built by.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

from control_plane.core.usage import local_day
from control_plane.entropy import Entropy
from control_plane.store import rollups, schema
from control_plane.store.engine import Tx, Value
from tests.control_plane.desk import DAY_MS, USD, Desk
from tests.control_plane.usecases.test_statements import AUCKLAND
from tests.control_plane.usecases.test_statements import build as freeze
from tests.control_plane.web.agency import Client, add_alert, add_client, foresee, refuse, spend

DAYS = 61
"""From the first of the month before until now."""
LAST_DAY_MS = 7 * DAY_MS
"""The desk's clock goes on so far, to the thirtieth, so that two whole months were booked."""
WORKFLOWS, WORKFLOWS_EACH = 40, 5
ZONES = ("Europe/Berlin", "Europe/Berlin", "Europe/London", "America/New_York", AUCKLAND)
STATEMENTS, STOPPED, SIDECARS = 10, 3, 5
BUCKETS_OF_DAY = 8
ALERT = "alr_01jdesk0000000000000000000"
_BATCH = 250_000

_SERIES = """
INSERT INTO series WITH RECURSIVE counted(n) AS (
  SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :many) SELECT n FROM counted"""
# Of n: the client changes with each call, then workflow and model; a day has eight busy quarters.
_CALLS = """
INSERT INTO call (position, call_id, sidecar_id, epoch, seq, started_unix_ms, ended_unix_ms,
  booked_unix_ms, project_id, key_id, secret_id, workflow, execution, step, region, provider,
  surface, requested_model, answered_model, alias, tier, streamed, outcome, error_kind, status,
  first_byte_ms, quantities_json, price_version, worst_nano_usd, cost_nano_usd, charge_nano_usd,
  estimated, parent_call_id, provider_request_id, clamped_output_count)
SELECT n + 1, 'call_' || printf('%026d', n + 1), 'sdc', 1, n + 1, started,
  started + 200 + n * 7919 % 9000, started + 10000, project_id, key_id, 'sec', workflow, '', '',
  '', 'openai', '/v1/chat/completions', model, model, '', '', 0, outcome, '',
  CASE WHEN outcome = 'ok' THEN 200 ELSE 502 END, 300,
  CASE WHEN outcome = 'ok' THEN '{"input":900,"output":200}' ELSE '{}' END, '', 4000000, cost,
  NULL, 0, '', '', 0
FROM (
  SELECT n, project_id, key_id, 'workflow ' || ((number * 3 + turn) % :workflows) AS workflow,
    CASE WHEN turn = n / :clients % (2 * :each) THEN 'gpt-4o' ELSE 'gpt-4o-mini' END AS model,
    CASE WHEN n % 53 = 0 THEN 'upstream_error' ELSE 'ok' END AS outcome,
    CASE WHEN n % 53 = 0 THEN 0 ELSE 800000 + number * 1000 + n % 997 END AS cost,
    :start + place / :daily * 86400000 + place % :daily * :buckets / :daily * 7200000
      + n % 900000 AS started
  FROM (SELECT :first + series.n AS n, (:first + series.n) / :clients AS place,
          (:first + series.n) / :clients % :each AS turn
        FROM series WHERE series.n < :count)
    JOIN known ON known.number = n % :clients)"""
_QUARTERS = """
INSERT INTO rollup (bucket_unix_ms, project_id, key_id, workflow, model, provider, outcome,
  call_count, failed_count, estimated_count, input_count, output_count, cost_nano_usd,
  charge_nano_usd, charged_cost_nano_usd, held_nano_usd, held_cost_nano_usd)
SELECT started_unix_ms / 900000 * 900000 AS bucket, project_id, key_id, workflow, requested_model,
  provider, outcome, COUNT(*), SUM(outcome <> 'ok'), 0, SUM(900 * (outcome = 'ok')),
  SUM(200 * (outcome = 'ok')), SUM(cost_nano_usd), 0, 0,
  SUM(worst_nano_usd * (outcome = 'ok')), SUM(cost_nano_usd * (outcome = 'ok'))
FROM call WHERE project_id = :project
GROUP BY bucket, project_id, key_id, workflow, requested_model, provider, outcome"""


def build(desk: Desk, clients: int, calls: int) -> None:
    """Fill an empty database; its clock is moved to the last day of a month first."""
    made = [
        add_client(desk, f"Client {n:04d} GmbH", 500 * USD, ZONES[n % len(ZONES)])
        for n in range(clients)
    ]
    desk.pass_ms(LAST_DAY_MS)
    for number, client in enumerate(made):
        spend(desk, client, (number % 100) * 5 * USD)
        foresee(desk, client, 300 + number % 300)
    _log(desk, made, calls)
    for client in made:
        desk.do_alone(lambda tx, of=client: _sum(tx, of))  # type: ignore[misc]  # run at once
    add_alert(desk, made[clients // 2], ALERT)
    for client in made[:STOPPED]:
        refuse(desk, client, 37)
    for number in range(SIDECARS):
        desk.sidecar(f"host {number}")
    for client in (made * STATEMENTS)[clients // 2 :][:STATEMENTS]:
        freeze(desk, client.project)


def _log(desk: Desk, made: list[Client], calls: int) -> None:
    known: list[dict[str, Value]] = [
        {"n": n, "id": client.id, "key": client.key_id} for n, client in enumerate(made)
    ]

    def prepare(tx: Tx) -> None:
        tx.run("CREATE TEMP TABLE series (n INTEGER PRIMARY KEY)")
        tx.run(_SERIES, {"many": min(_BATCH, max(1, calls))})
        tx.run("CREATE TEMP TABLE known (number INTEGER PRIMARY KEY, project_id TEXT, key_id TEXT)")
        tx.many("INSERT INTO known VALUES (:n, :id, :key)", known)

    desk.do_alone(prepare)
    indexes = desk.do_alone(_without_indexes)
    sizes: dict[str, Value] = {
        "clients": len(made),
        "workflows": WORKFLOWS,
        "each": WORKFLOWS_EACH,
        "buckets": BUCKETS_OF_DAY,
        "daily": -(-calls // len(made) // (DAYS - 1)) or 1,
        "start": local_day("UTC", desk.now - (DAYS - 1) * DAY_MS).start_unix_ms,
    }
    for first in range(0, calls, _BATCH):
        part = {**sizes, "first": first, "count": min(_BATCH, calls - first)}
        desk.do_alone(lambda tx, of=part: tx.run(_CALLS, of))  # type: ignore[misc]  # run at once
    for sql in indexes:
        desk.do_alone(lambda tx, of=sql: tx.run(of))  # type: ignore[misc]  # run at once


def _without_indexes(tx: Tx) -> list[str]:
    """Drop the ledger's indexes, which are made more quickly at the end; how they are made."""
    rows = tx.rows(
        """SELECT name, sql FROM sqlite_master
           WHERE type = 'index' AND tbl_name = 'call' AND sql <> ''"""
    )
    for row in rows:
        tx.run(f"DROP INDEX {row['name']}")
    return [row["sql"] for row in rows]


def _sum(tx: Tx, client: Client) -> None:
    rollups.drop_days(tx, client.id)
    tx.run(_QUARTERS, {"project": client.id})
    rollups.make_days(tx, client.id, client.project.time_zone)


def opened(folder: Path, clients: int, calls: int) -> tuple[Desk, bool]:
    """A desk over the agency, built unless the folder holds it; and whether it was built now.

    The folder is named by its size, the schema and this file; what is kept of other schemas goes.
    """
    parts = [*schema.steps(), Path(__file__).read_bytes()]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    name = f"desk-{clients}-{calls}"
    place = folder / f"{name}-{digest}"
    for other in folder.glob(f"{name}-*"):
        if other != place or not (other / "built.json").exists():
            shutil.rmtree(other)
    built = place / "built.json"
    is_new = not built.exists()
    desk = Desk(place)
    if is_new:
        build(desk, clients, calls)
        built.write_text(json.dumps({"now_unix_ms": desk.now}))
    else:
        desk.clock.now_unix_ms = json.loads(built.read_text())["now_unix_ms"]
        desk.entropy = Entropy(os.urandom)
    return desk, is_new
