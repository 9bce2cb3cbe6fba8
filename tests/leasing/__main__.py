"""`python -m tests.leasing`: play every case, print the tables, say whether the targets hold.

The exit status is 0 when they hold, 1 when one does not, 2 when the command cannot be done.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.leasing import hot_row, report
from tests.leasing.figures import OURS, Figures, Job, measure
from tests.leasing.rivals import RIVALS
from tests.leasing.workloads import cases

LOSSES_PERCENT = (0, 1, 10)
HEAVY = ("agency-30-turn", "agency-30", "50-on-1000", "20-on-100-busy")
"""Cases that take longest: they begin first, so that no core waits at the end."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.leasing", description=__doc__)
    parser.add_argument("--case", action="append", choices=sorted(cases()), help="only this case")
    parser.add_argument("--loss", action="append", type=int, choices=range(101), metavar="PERCENT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="processes; one for each core when left out")
    parser.add_argument("--no-hot-row", action="store_true", help="leave the real process out")
    parser.add_argument("--only-hot-row", action="store_true", help="measure nothing else")
    return parser.parse_args()


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Every run, the longest first."""
    chosen = arguments.case or list(cases())
    for name in sorted(chosen, key=lambda name: name not in HEAVY):
        for loss in arguments.loss or LOSSES_PERCENT:
            yield Job(name, OURS, loss, arguments.seed)
        for rival in RIVALS if cases()[name].before is None else ():
            yield Job(name, rival, 0, arguments.seed)


def _play(arguments: argparse.Namespace) -> list[Figures]:
    chosen = list(jobs(arguments))
    workers = arguments.workers or len(os.sched_getaffinity(0))
    found = []
    with ProcessPoolExecutor(workers) as pool:
        for place, figures in zip(itertools.count(1), pool.map(measure, chosen), strict=False):
            found.append(figures)
            print(f"\r{place} of {len(chosen)} runs ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    order = {name: place for place, name in enumerate(cases())}
    return sorted(found, key=lambda each: order[each.job.case])


def main() -> int:
    """Play, and report."""
    arguments = _arguments()
    reached: list[report.Target] = []
    if not arguments.only_hot_row:
        found = _play(arguments)
        for part in (report.table, report.refusals, report.rivals_table):
            print("\n".join(part(found)), end="\n\n")
        reached += report.targets(found)
    if not arguments.no_hot_row:
        print("\n".join(hot_row.measure()), end="\n\n")
    for each in reached:
        print(f"{'holds ' if each.held else 'MISSED'}  {each.claim}\n        {each.measured}")
    return 0 if all(each.held for each in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
