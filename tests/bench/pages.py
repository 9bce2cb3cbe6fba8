"""How long each page of the desk takes: `python -m tests.bench.pages [--clients N] [--calls N]`.

Builds an agency in an empty database: clients with budgets, a ledger of so many calls over 60 days,
and the roll-ups that booking them would have left. Then every page is asked for, as a browser does
but without a socket, and the CPU time of this process is told: what is measured is the desk, the
database and the templates, on however busy a machine.
"""

import argparse
import html
import re
import sys
import tempfile
import time
from pathlib import Path

from control_plane.store.engine import Tx
from control_plane.web.application import ROUTES
from control_plane.web.routes import Page
from tests.control_plane.desk import DAY_MS, USD, Desk
from tests.control_plane.web.agency import Client, add_client, foresee, spend
from tests.control_plane.web.conftest import Browser

DAYS = 60
WORKFLOWS = 5
MODELS = 2
BUCKETS_OF_DAY = 8
TARGET_MS = 100
ROUNDS = 5

_SERIES = """
INSERT INTO series WITH RECURSIVE counted(n) AS (
  SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :many) SELECT n FROM counted"""
_CALLS = """
INSERT INTO call (position, call_id, sidecar_id, epoch, seq, started_unix_ms, ended_unix_ms,
  booked_unix_ms, project_id, key_id, secret_id, workflow, execution, step, region, provider,
  surface, requested_model, answered_model, alias, tier, streamed, outcome, error_kind, status,
  first_byte_ms, quantities_json, price_version, worst_nano_usd, cost_nano_usd, charge_nano_usd,
  estimated, parent_call_id, provider_request_id, clamped_output_count)
SELECT :first + n, 'call_' || printf('%026d', :first + n), 'sdc', 1, :first + n,
  :start + (:first + n) * :step, :start + (:first + n) * :step + 900, :now,
  (SELECT project_id FROM known WHERE number = (:first + n) % :clients), 'key', 'sec',
  'workflow ' || (n % 5), '', '', '', 'openai', '/v1/chat/completions', 'gpt-5-mini',
  'gpt-5-mini', '', '', 0, 'ok', '', 200, 300, '{"input":900,"output":200}', 'v1', 4000000,
  800000, 1000000, 0, '', '', 0
FROM series WHERE n < :count"""
_QUARTERS = """
INSERT INTO rollup (bucket_unix_ms, project_id, key_id, workflow, model, provider, outcome,
  call_count, failed_count, estimated_count, input_count, output_count, cost_nano_usd,
  charge_nano_usd, charged_cost_nano_usd)
SELECT (:start + day.n * 86400000 + bucket.n * 7200000) / 900000 * 900000, project_id, 'key',
  'workflow ' || workflow.n, 'model ' || model.n, 'openai', 'ok', 4, 0, 0, 4000, 800, 3000000,
  4000000, 3000000
FROM known, series day, series bucket, series workflow, series model
WHERE day.n < :days AND bucket.n < :buckets AND workflow.n < :workflows AND model.n < :models"""
_DAYS = """
INSERT INTO rollup_day (project_id, start_unix_ms, key_id, workflow, model, provider, outcome,
  time_zone, call_count, failed_count, estimated_count, input_count, output_count, cost_nano_usd,
  charge_nano_usd, charged_cost_nano_usd)
SELECT project_id, :midnight + day.n * 86400000, 'key', 'workflow ' || workflow.n,
  'model ' || model.n, 'openai', 'ok', 'UTC', 32, 0, 0, 32000, 6400, 24000000, 32000000, 24000000
FROM known, series day, series workflow, series model
WHERE day.n < :days AND workflow.n < :workflows AND model.n < :models"""
_TOTALS = """
INSERT INTO rollup_day_total (project_id, start_unix_ms, time_zone, call_count, failed_count,
  estimated_count, input_count, output_count, cost_nano_usd, charge_nano_usd,
  charged_cost_nano_usd)
SELECT project_id, start_unix_ms, time_zone, SUM(call_count), 0, 0, SUM(input_count),
  SUM(output_count), SUM(cost_nano_usd), SUM(charge_nano_usd), SUM(charged_cost_nano_usd)
FROM rollup_day GROUP BY project_id, start_unix_ms, time_zone"""
_BATCH = 250_000


def build(desk: Desk, clients: int, calls: int) -> list[Client]:
    """Fill the database; the clients."""
    made = [add_client(desk, f"Client {n:04d} GmbH", 500 * USD, "UTC") for n in range(clients)]
    for number, client in enumerate(made):
        spend(desk, client, (number % 100) * 5 * USD)
        foresee(desk, client, 300 + number % 300)
    start = desk.now - DAYS * DAY_MS

    def fill(tx: Tx) -> None:
        tx.run("CREATE TEMP TABLE series (n INTEGER PRIMARY KEY)")
        tx.run(_SERIES, {"many": _BATCH})
        tx.run("CREATE TEMP TABLE known (number INTEGER PRIMARY KEY, project_id TEXT)")
        tx.many(
            "INSERT INTO known VALUES (:n, :id)",
            [{"n": n, "id": client.id} for n, client in enumerate(made)],
        )
        sizes = {
            "start": start,
            "midnight": start // DAY_MS * DAY_MS,
            "days": DAYS,
            "buckets": BUCKETS_OF_DAY,
            "workflows": WORKFLOWS,
            "models": MODELS,
        }
        for statement in (_QUARTERS, _DAYS):
            tx.run(statement, sizes)
        tx.run(_TOTALS)

    def log(first: int, count: int) -> None:
        params = {
            "first": first,
            "count": count,
            "start": start,
            "step": max(1, DAYS * DAY_MS // max(1, calls)),
            "now": desk.now,
            "clients": clients,
        }
        desk.do_alone(lambda tx: tx.run(_CALLS, params))

    desk.do_alone(fill)
    for first in range(1, calls + 1, _BATCH):
        log(first, min(_BATCH, calls + 1 - first))
    desk.do_alone(lambda tx: tx.run("ANALYZE"))
    return made


def path_of(route: Page, client: Client) -> str:
    """A page's path with the ids of one client; "" for what this agency has nothing of."""
    known = {
        "project_id": client.id,
        "budget_id": client.budget.budget_id,
        "workflow": "workflow%201",
        "call_id": f"call_{1:026d}",
    }
    names = re.findall(r"\{(\w+)\}", route.path)
    if not set(names) <= set(known):
        return ""
    return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], route.path)


def measure(browser: Browser, path: str) -> tuple[int, int]:
    """The least CPU milliseconds that a page took, and its bytes."""
    best, size = sys.maxsize, 0
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        answer = browser.get(path)
        took = time.process_time_ns() - begin
        assert answer.status_code == 200, (path, answer.status_code, html.unescape(answer.text))
        best, size = min(best, took), len(answer.content)
    return best // 1_000_000, size


def main() -> int:
    """Build, measure and tell; the exit status says whether every page is quick enough."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--calls", type=int, default=5_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="desk-pages-") as folder:
        desk = Desk(Path(folder))
        begin = time.process_time()
        client = build(desk, asked.clients, asked.calls)[asked.clients // 2]
        print(
            f"built in {time.process_time() - begin:.0f} CPU s: {asked.clients} clients, "
            f"{asked.calls:,} calls"
        )
        browser = Browser(desk)
        browser.enter(desk.owner_token)
        print("| page | CPU ms | KB |\n|---|---|---|")
        slow = []
        for route in ROUTES:
            path = path_of(route, client) if isinstance(route, Page) else ""
            if path:
                took, size = measure(browser, path)
                slow += [route.path] * (took > TARGET_MS)
                print(f"| `{route.path}` | {took} | {size // 1024} |")
        desk.store.close()
    print(f"slower than {TARGET_MS} ms: {', '.join(slow) or 'none'}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
