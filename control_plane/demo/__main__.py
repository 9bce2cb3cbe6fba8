"""Makes the demo: python -m control_plane.demo --data FOLDER.

The folder must be empty. Progress goes to stderr, what came of it to stdout as JSON. A demo that
was not finished is taken away again.
"""

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from control_plane.app import OWNER_TOKEN_FILE
from control_plane.clock import SystemClock
from control_plane.demo.fill import Demo, DemoClock, Filled, folder_is_free
from control_plane.demo.months import DAY_MS, HOUR_MS
from control_plane.entropy import Entropy
from control_plane.secrets import open_vault
from control_plane.store import StoreOpenError
from control_plane.store.sqlite import open_inline

USAGE_STATUS: Final = 2
START_STATUS: Final = 1
MONTHS_MAX: Final = 12
_LINE_HOURS: Final = 24
"""After how many hours of the past progress is told."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_STATUS, f"demo: {message}; see --help\n")


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    made = _Parser(prog="python -m control_plane.demo", description=__doc__, allow_abbrev=False)
    made.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="an empty folder")
    made.add_argument(
        "--months",
        type=int,
        default=3,
        metavar="N",
        help="whole months before this one (default 3)",
    )
    made.add_argument("--seed", type=int, default=1, metavar="N", help="of the dice (default 1)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Make the demo; the exit status."""
    asked = parser().parse_args(arguments)
    if not 1 <= asked.months <= MONTHS_MAX:
        parser().error(f"--months takes 1 to {MONTHS_MAX}")
    if not folder_is_free(asked.data):
        sys.stderr.write(
            f"demo: {asked.data} is not empty, and a demo mixes with nothing: name another folder\n"
        )
        return START_STATUS
    try:
        filled = make(asked.data, asked.months, asked.seed)
    except StoreOpenError as error:
        sys.stderr.write(f"demo: {error}\n")
        return START_STATUS
    except BaseException:
        shutil.rmtree(asked.data, ignore_errors=True)
        raise
    sys.stdout.write(json.dumps(asdict(filled)) + "\n")
    return 0


def make(data: Path, months: int, seed: int) -> Filled:
    """Fill a folder. Raises StoreOpenError."""
    end = SystemClock().unix_ms() // HOUR_MS * HOUR_MS
    clock = DemoClock(start_of(end, months))
    store = open_inline(data, clock)
    try:
        entropy = Entropy()
        open_vault(data, entropy.random_bytes, in_use=False)
        demo = Demo(store, clock, entropy, seed, lambda text: _keep(data / OWNER_TOKEN_FILE, text))
        demo.settle_in()
        begun = clock.now_unix_ms
        for hours, now in enumerate(demo.live_until(end)):
            if hours % _LINE_HOURS == 0:
                _tell(demo.filled, now, (now - begun) * 100 // (end - begun))
        demo.leave()
        _tell(demo.filled, end, 100)
        sys.stderr.write("\n")
        return demo.filled
    finally:
        store.close()


def start_of(end_unix_ms: int, months: int) -> int:
    """The first of a month so many before that of `end`, in UTC, and a day: for zones ahead."""
    at = datetime.fromtimestamp(end_unix_ms / 1000, UTC)
    number = at.year * 12 + at.month - 1 - months
    first = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp() * 1000) - DAY_MS


def _tell(filled: Filled, now_unix_ms: int, percent: int) -> None:
    day = datetime.fromtimestamp(now_unix_ms / 1000, UTC).date().isoformat()
    sys.stderr.write(f"\r{percent:3d} %  {day}  {filled.calls:,} calls  ")
    sys.stderr.flush()


def _keep(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
