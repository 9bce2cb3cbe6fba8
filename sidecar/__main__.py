"""Starts a sidecar: python -m sidecar --data FOLDER --control-plane HOST:PORT.

`python -m sidecar surfaces` starts none and tells what one serves.
"""

import os
import socket
import sys

import trio

from sidecar import inventory
from sidecar.app import StartError, run
from sidecar.config import ConfigError, parse

_FAILED = 1
_USAGE = 2


def main() -> int:
    """Run until asked to end; the exit status."""
    if not __debug__:
        sys.stderr.write(
            "sidecar: python -O strips the checks that guard money: start it without\n"
        )
        return _FAILED
    if sys.argv[1:2] == ["surfaces"]:
        return inventory.main(sys.argv[2:])
    try:
        config = parse(sys.argv[1:], os.environ, socket.gethostname())
    except ConfigError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return _USAGE
    try:
        trio.run(run, config)
    except StartError as error:
        return _say(error)
    except BaseExceptionGroup as group:
        refused, others = group.split(StartError)
        if others is not None or refused is None:
            raise
        return _say(_first(refused))
    return 0


def _say(error: BaseException) -> int:
    sys.stderr.write(f"sidecar: {error}\n")
    return _FAILED


def _first(group: BaseExceptionGroup[StartError]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


if __name__ == "__main__":
    sys.exit(main())
