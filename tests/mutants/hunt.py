"""`python -m tests.mutants.hunt`: play seeds in this tree until one goes wrong.

Runs inside a copy of the tree, in a process of its own. The last line that it prints is JSON: what
was found, nothing if nothing was.
"""

import argparse
import json
import signal
import sqlite3
import sys
from types import FrameType
from typing import Any

from tests.mutants.seeds import Found, play_seed

SEED_CPU_S = 30
"""A seed takes well under a second; a bug that makes it turn in circles is caught by this."""


class EndlessError(BaseException):
    """A seed did not come to its end."""


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise EndlessError


def bounded(seed: int) -> Found | None:
    """Play one seed within a bound of time."""
    signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, SEED_CPU_S)
    try:
        return play_seed(seed)
    except BaseException:
        if signal.getitimer(signal.ITIMER_PROF)[0]:
            raise
        return Found(seed, "endless", f"no end within {SEED_CPU_S} s", 0, outside=False)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def take_checks_out() -> None:
    """Let SQLite take what a CHECK forbids, so that only the outside truth judges."""
    connect = sqlite3.connect

    def unchecked(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        return connection

    sqlite3.connect = unchecked  # type: ignore[assignment]  # the same function, less strict


def main() -> int:
    """Play the seeds that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.hunt", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--bare", action="store_true", help="without the CHECKs of the database")
    parser.add_argument("--all", action="store_true", help="go on after the first")
    asked = parser.parse_args()
    if asked.bare:
        take_checks_out()
    found: list[Found] = []
    for seed in asked.seeds:
        one = bounded(seed)
        if one is not None:
            found.append(one)
            if not asked.all:
                break
    print(json.dumps([one.as_json() for one in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
