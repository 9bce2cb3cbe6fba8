"""`python -m tests.simulation`: play many worlds, each from its seed, and hold them to the proof.

The exit status is 0 when nothing broke, 1 when something did, 2 when the command cannot be done.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.simulation import campaign
from tests.simulation.plan import plan
from tests.simulation.report import Report

VIOLATIONS_MAX = 3
"""After so many a campaign ends."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, and say what happens in it")
    parser.add_argument("--workers", type=int, help="processes; one for each core when left out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="leave the files of failing runs there"
    )
    parser.add_argument(
        "--no-cut", action="store_true", help="do not look for the smallest failing part"
    )
    return parser.parse_args()


def main() -> int:
    """Play, and report."""
    arguments = _arguments()
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)
    else:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
    if not seeds:
        print("at least one seed: name their number with --seeds", file=sys.stderr)
        return 2
    count = min(arguments.workers or campaign.workers(), len(seeds))
    report = Report()
    progress = campaign.Progress(len(seeds))
    for outcome in campaign.run_seeds(seeds, count):
        report.add(outcome)
        said = progress.line()
        if said and len(seeds) > 1:
            print(f"\r{said}    ", end="", file=sys.stderr, flush=True)
        if len(report.failed) >= VIOLATIONS_MAX:
            break
    print(file=sys.stderr)
    print("\n".join(report.lines()))
    for failed in report.failed:
        smallest = plan(failed.seed) if arguments.no_cut else campaign.cut(failed)
        print("\n" + "\n".join(campaign.story(failed, smallest)))
        if arguments.keep is not None:
            folder = arguments.keep / f"seed-{failed.seed}"
            campaign.keep(failed, folder)
            print(f"its files and all that happened are in {folder}")
    if arguments.json is not None:
        arguments.json.write_text(report.json())
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
