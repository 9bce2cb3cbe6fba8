"""How long each page of the desk takes: `python -m tests.bench.pages [--clients N] [--calls N]`.

Every route that is a page is asked for over an agency with a large ledger (`agency.py`), as a
browser does but without a socket: what is measured is the desk, the database and the templates. The
CPU time of this process is what is judged, on however busy a machine; the time on the clock stands
beside it. A new page is measured by itself; one whose path names what the agency has nothing of
ends the run, and says so.
"""

import argparse
import gc
import html
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.core.principals import Role
from control_plane.store.engine import Tx
from control_plane.web import rendering
from control_plane.web.application import ROUTES
from control_plane.web.routes import Page
from tests.bench import agency, processes
from tests.control_plane.desk import DAY_MS, Desk
from tests.control_plane.web.conftest import Browser, browser_of

TARGET_MS = 100
ROUNDS = 11
CLIENTS, CALLS = 500, 5_000_000
FOLDER = processes.REPOSITORY / "build"
OF_MOST_SPANS_DAYS = 12
"""So long before the thirtieth a month up to the same day is of the most spans: five."""
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/": ("?name=Client 02", "?page=10"),
    "/alerts": ("?client={project_id}", "?all=1"),
    "/calls": ("?client={project_id}", "?client={project_id}&workflow={workflow}"),
    "/keys": ("?client={project_id}",),
    "/statements": ("?client={project_id}", "?month={month}"),
    "/review": ("?month={month}", "?page=10"),
    "/models": ("?name=workflow 1", "?page=2"),
}
"""Pages are asked for without a query, and with these."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one page took, in milliseconds, over all rounds."""

    path: str
    """As the route writes it, with the query."""
    cpu_ms: tuple[float, ...]
    wall_ms: tuple[float, ...]
    size_bytes: int

    @property
    def is_quick(self) -> bool:
        """Whether the slowest answer met the target."""
        return max(self.cpu_ms) <= TARGET_MS

    def line(self) -> str:
        """One row of the table."""
        figures = [
            f"{figure:.0f}"
            for taken in (self.cpu_ms, self.wall_ms)
            for figure in (statistics.median(taken), max(taken))
        ]
        return f"| `{self.path}` | {' | '.join(figures)} | {self.size_bytes // 1024} |"


def known_values(desk: Desk) -> dict[str, str]:
    """What stands for the names in paths: a client of the middle, and what belongs to it."""

    def read(tx: Tx) -> dict[str, str]:
        def one(sql: str, **params: str) -> str:
            row = tx.row(sql, params)
            assert row is not None
            return str(row["id"])

        of = one("SELECT project_id AS id FROM alert ORDER BY alert_id LIMIT 1")
        call = "FROM call WHERE project_id = :of ORDER BY position DESC LIMIT 1"
        statement = "FROM statement WHERE project_id = :of LIMIT 1"
        budget = "SELECT budget_id AS id FROM budget WHERE project_id = :of LIMIT 1"
        return {
            "project_id": of,
            "budget_id": one(budget, of=of),
            "workflow": one(f"SELECT workflow AS id {call}", of=of),
            "call_id": one(f"SELECT call_id AS id {call}", of=of),
            "alert_id": one("SELECT alert_id AS id FROM alert ORDER BY alert_id LIMIT 1"),
            "statement_id": one(f"SELECT statement_id AS id {statement}", of=of),
            "month": one(f"SELECT month AS id {statement}", of=of),
        }

    return desk.read(read)


def asked_paths(known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each page's path as its route writes it, and with the names replaced."""
    for route in ROUTES:
        if isinstance(route, Page):
            for query in ("", *QUERIES.get(route.path, ())):
                path = route.path + query
                unknown = set(re.findall(r"\{(\w+)\}", path)) - set(known)
                if unknown:
                    raise SystemExit(f"{path}: the agency has no {', '.join(sorted(unknown))}")
                yield path, path.format_map(known)


def measure(browser: Browser, path: str, asked: str) -> Timing:
    """Ask for a page so many times."""
    cpu, wall, size = [], [], 0
    for _ in range(ROUNDS):
        begin, begin_wall = time.process_time(), time.monotonic()
        answer = browser.get(asked)
        cpu.append((time.process_time() - begin) * 1_000)
        wall.append((time.monotonic() - begin_wall) * 1_000)
        assert answer.status_code == 200, (path, answer.status_code, html.unescape(answer.text))
        size = len(answer.content)
    return Timing(path, tuple(cpu), tuple(wall), size)


def report(folder: Path, clients: int, calls: int) -> Iterator[str]:
    """Build, measure and tell, line by line."""
    begin = time.process_time()
    desk, is_new = agency.opened(folder, clients, calls)
    took = f"built in {time.process_time() - begin:.0f} CPU s" if is_new else "built before"
    yield f"## Pages of the desk: {clients:,} clients, {calls:,} calls ({took})"
    yield ""
    yield f"Of {ROUNDS} requests each, the first included; the target is {TARGET_MS} ms of CPU."
    yield ""
    yield "| page | CPU ms, median | worst | clock ms, median | worst | KB |"
    yield "|---|---|---|---|---|---|"
    browser = browser_of(desk, Role.OWNER)
    # As the control plane does once it has started.
    rendering.compile_all()
    gc.collect()
    gc.freeze()
    slow = []
    asked_for = list(asked_paths(known_values(desk)))
    for path, asked in asked_for:
        timing = measure(browser, path, asked)
        slow += [path] * (not timing.is_quick)
        yield timing.line()
    desk.clock.now_unix_ms -= OF_MOST_SPANS_DAYS * DAY_MS
    for path in ("/", "/review"):
        timing = measure(browser, f"{path} on the 18th", path)
        slow += [timing.path] * (not timing.is_quick)
        yield timing.line()
    desk.store.close()
    yield ""
    yield f"slower than {TARGET_MS} ms at its worst: {', '.join(slow) or 'none'}"


def main() -> int:
    """Build, measure and tell; the exit status says whether all was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the agency is kept")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for line in report(asked.folder, asked.clients, asked.calls):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
