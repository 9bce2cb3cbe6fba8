"""`python -m tests.bench.statements`: what statements and sums cost, in CPU time.

Twelve clients with three months of calls are frozen and rendered in every form; and sums are asked
of an agency of 500 clients whose roll-ups have millions of rows (`--rows`; they are made first).
Nothing is asserted: figures stand in control_plane/README.md.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from control_plane.core.pages import Asked
from control_plane.core.usage import UsageQuestion
from control_plane.statements.files import FORMS
from control_plane.store import rollups
from control_plane.store.engine import Tx
from control_plane.store.statements import Kept
from control_plane.usecases import calls, statements
from tests.control_plane.desk import DAY_MS, NOON, Desk
from tests.control_plane.usecases.test_statements import at, book, build, client, set_price, used

CLIENTS = 12
AGENCY_CLIENTS = 500
AGENCY_DAYS = 90
ZONES = ("Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "UTC", "Asia/Kolkata")
BUCKET_MS = 900_000


def cpu_ms(fn: Callable[[], object]) -> float:
    """The CPU milliseconds that a function takes."""
    begun = time.process_time()
    fn()
    return (time.process_time() - begun) * 1_000


def render_all(folder: Path, calls_each: int) -> None:
    """Freeze and render the last month of twelve clients."""
    desk, dice = Desk(folder), random.Random(1)
    set_price(desk)
    made = [client(desk, ZONES[n % len(ZONES)], f"Client {n}") for n in range(CLIENTS)]
    number = 0
    for project in made:
        some = []
        for _ in range(calls_each):
            number += 1
            started = at("UTC", "2026-08-02T00:00:00") + dice.randrange(90 * DAY_MS)
            workflow = f"workflow {dice.randrange(8)}"
            some.append(used(number, project, started, workflow=workflow))
        book(desk, *some)
    frozen: list[Kept] = []
    took = cpu_ms(lambda: frozen.extend(build(desk, project, "2026-10") for project in made))
    print(f"freeze {CLIENTS} clients of {calls_each} calls in three months: {took:,.0f} ms")
    whole = [
        desk.read(lambda tx, k=kept: statements.get_statement_file(tx, k.statement_id))  # type: ignore[misc]  # run at once
        for kept in frozen
    ]
    total = 0.0
    for name, render in FORMS.items():
        took = cpu_ms(lambda: [render(one.statement, one.lines) for one in whole])  # noqa: B023 - run at once
        total += took
        print(f"  as {name}: {took:,.0f} ms")
    print(f"render all of them in every form: {total:,.0f} ms")


def ask_all(folder: Path, rows: int) -> None:
    """Ask an agency's roll-ups what its pages ask."""
    desk, dice = Desk(folder), random.Random(2)
    ids = [desk.project(f"c{n:03}")[0].project_id for n in range(AGENCY_CLIENTS)]
    start = NOON // BUCKET_MS * BUCKET_MS - AGENCY_DAYS * DAY_MS
    each = rows // AGENCY_CLIENTS // AGENCY_DAYS
    sql = """INSERT OR IGNORE INTO rollup (bucket_unix_ms, project_id, key_id, workflow, model,
               provider, outcome, call_count, failed_count, estimated_count, input_count,
               output_count, cost_nano_usd)
             VALUES (:at, :project, :key, :workflow, :model, 'openai', 'ok', 1, 0, 0, 1200, 300,
               :cost)"""

    def fill(tx: Tx) -> None:
        for place, project_id in enumerate(ids):
            zone = ZONES[place % len(ZONES)]
            params = {"project": project_id, "zone": zone}
            tx.run("UPDATE project SET time_zone = :zone WHERE project_id = :project", params)
            rollups.drop_days(tx, project_id)
            for day in range(AGENCY_DAYS):
                tx.many(
                    sql,
                    [
                        {
                            "at": start + day * DAY_MS + dice.randrange(96) * BUCKET_MS,
                            "project": project_id,
                            "key": f"key_{n % 2}",
                            "workflow": f"workflow {n % 5}",
                            "model": f"model {n % 4}",
                            "cost": dice.randrange(10**8),
                        }
                        for n in range(each)
                    ],
                )
            rollups.make_days(tx, project_id, zone)

    print(f"made in {cpu_ms(lambda: desk.do_alone(fill)) / 1_000:,.0f} s")
    questions = {
        "all clients, this month": UsageQuestion(("project",)),
        "all clients by model": UsageQuestion(("model",)),
        "one client by workflow, model, key": UsageQuestion(("workflow", "model", "key"), ids[0]),
        "one client by day": UsageQuestion(("day",), ids[0]),
        "one client by day, 85 days": UsageQuestion(("day",), ids[0], NOON - 85 * DAY_MS),
    }
    for name, question in questions.items():
        asked = partial(calls.query_usage, question=question, now_unix_ms=NOON)
        desk.read(asked)
        print(f"  {name}: {cpu_ms(partial(desk.read, asked)):.1f} ms")
    listed = cpu_ms(lambda: desk.read(lambda tx: statements.list_statements(tx, Asked(), "", "")))
    print(f"  list of statements: {listed:.1f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3_000, help="of each of the twelve clients")
    parser.add_argument("--rows", type=int, default=0, help="of roll-ups; 0 leaves that out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        render_all(Path(folder) / "twelve", given.calls)
        if given.rows:
            ask_all(Path(folder) / "agency", given.rows)


if __name__ == "__main__":
    main()
