"""Run a module that ends when its parent does: `python -m clients.cli.tether FD MODULE ARGUMENTS`.

FD is the reading end of a pipe whose writing end only the parent holds. When the parent is gone,
however it went, reading ends, and this process gets the SIGTERM that it would have got from it.
"""

import os
import runpy
import signal
import sys
import threading


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Watch the pipe and become the module."""
    descriptor, module = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_watch, args=(descriptor,), daemon=True, name="tether").start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
