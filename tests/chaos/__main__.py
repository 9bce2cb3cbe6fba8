"""`python -m tests.chaos`: play rounds, tell each, and judge them all.

The exit status is 0 when every round is as it must be, 1 when one is not, 2 when the command cannot
be done.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import trio

from tests.chaos import campaign, report
from tests.chaos.campaign import Order, Round
from tests.chaos.deck import KINDS
from tests.chaos.failing_disk import UnavailableError, enter_own_mounts

ROUNDS = 20
REPOSITORY = Path(__file__).resolve().parents[2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many (default {ROUNDS})")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next follow")
    parser.add_argument("--only", default="", choices=KINDS, help="only this kind of fault")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument(
        "--folder", type=Path, default=REPOSITORY / "build", help="where everything lies meanwhile"
    )
    parser.add_argument("--keep", action="store_true", help="leave data and logs in place")
    return parser.parse_args()


def _tell(one: Round) -> None:
    print(report.line(one), flush=True)
    if not one.ok:
        print("\n".join(report.failure(one)), flush=True)


def main() -> int:
    """Play and report."""
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        print("chaos stops processes and mounts disks as Linux does", file=sys.stderr)
        return 2
    try:
        enter_own_mounts()
        own_mounts = True
    except UnavailableError:
        own_mounts = False
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=arguments.folder))
    order = Order(
        rounds=arguments.rounds,
        seed=arguments.seed,
        only=arguments.only,
        keep=arguments.keep,
        own_mounts=own_mounts,
    )
    try:
        findings = trio.run(campaign.run, order, folder, _tell)
    finally:
        if not any(folder.iterdir()):
            shutil.rmtree(folder)
    print("\n".join(report.table(findings)))
    if arguments.json is not None:
        report.write_json(findings, arguments.json)
    return 1 if findings.failures else 0


if __name__ == "__main__":
    sys.exit(main())
