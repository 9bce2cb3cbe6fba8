"""`python -m tests.bench`: measure, print, say whether the bars were met; then the desk's pages.

The exit status is 0 when everything was measured, whatever the bars say, 1 when a run was invalid
and its numbers must not be believed, 2 when the command cannot be done.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import campaign, cases, machine, pages, processes, report

QUICK_ROUNDS = 2
QUICK_WINDOW_MS = 1_000
QUICK_STREAMS = 200


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, for a first look")
    parser.add_argument("--rounds", type=int, help="at most so many rounds of each case")
    parser.add_argument("--seconds", type=float, help="the window of every run")
    parser.add_argument("--streams", type=int, help="open streams for the memory figures")
    parser.add_argument(
        "--budgets", type=int, choices=(1, 2, 3), default=1, help="capped budgets a call matches"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=(campaign.PASS_THROUGH, campaign.SIDECAR),
        help="measure only this system; may be repeated",
    )
    parser.add_argument(
        "--telemetry", action="store_true", help="measure only what telemetry costs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument(
        "--folder",
        type=Path,
        default=processes.REPOSITORY / "build",
        help="where journal and database are made; must lie on a disk",
    )
    parser.add_argument("--keep", action="store_true", help="leave data and logs in place")
    return parser.parse_args()


def _options(arguments: argparse.Namespace) -> campaign.Options:
    quick = arguments.quick
    window_ms = QUICK_WINDOW_MS if quick else None
    if arguments.seconds is not None:
        window_ms = int(arguments.seconds * 1_000)
    return campaign.Options(
        rounds=arguments.rounds or (QUICK_ROUNDS if quick else None),
        window_ms=window_ms,
        open_streams=arguments.streams or (QUICK_STREAMS if quick else cases.OPEN_STREAMS),
        budgets=arguments.budgets,
        telemetry_only=arguments.telemetry,
        systems=frozenset(arguments.only or (campaign.PASS_THROUGH, campaign.SIDECAR)),
    )


def main() -> int:
    """Measure and report."""
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        print("the benchmark reads /proc and needs Linux", file=sys.stderr)
        return 2
    kind = machine.file_system(arguments.folder)
    if kind in machine.MEMORY_FILE_SYSTEMS:
        print(
            f"{arguments.folder} is in memory ({kind}), where fsync costs nothing: "
            "name a folder on a disk with --folder",
            file=sys.stderr,
        )
        return 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    cores = machine.cores()
    if cores.others is not None:
        os.sched_setaffinity(0, {cores.others})
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.folder))
    try:
        facts = machine.facts(folder, cores)
        findings = campaign.Campaign(_options(arguments), cores, folder).run()
    except processes.ChildError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if arguments.keep:
            print(f"data and logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    made = report.Report(findings, facts, cores)
    print("\n".join(made.lines()))
    if arguments.json is not None:
        made.write_json(arguments.json)
    if not (arguments.quick or arguments.only or arguments.telemetry):
        for line in pages.report(arguments.folder, pages.CLIENTS, pages.CALLS):
            print(line, flush=True)
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
