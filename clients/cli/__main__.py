"""The `bursar` command from its first instant: `bursar`, or `python -m clients.cli`.

What it imports takes a moment, in which there is nothing yet to tell an impatient person.
"""

import os
import signal
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""128 and the number of the signal, as shells say it."""


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # An exception would be told by whatever is being imported, or be lost in a callback of C.
    os._exit(INTERRUPTED)


def main() -> NoReturn:
    """Run the command line of this process; Ctrl-C before it begins ends it without a word."""
    begins = signal.getsignal(signal.SIGINT)
    if begins is signal.default_int_handler:  # else whoever started it wants no Ctrl-C to end it
        signal.signal(signal.SIGINT, _leave)
    from clients.cli.app import main as run  # noqa: PLC0415 - the imports are what is guarded

    signal.signal(signal.SIGINT, begins)
    run()


if __name__ == "__main__":
    main()
