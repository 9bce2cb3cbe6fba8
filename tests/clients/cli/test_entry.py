"""The command from its first instant: Ctrl-C while it imports ends it without a word."""

import subprocess
import sys

from clients.cli import exits
from clients.cli.__main__ import INTERRUPTED

_INTERRUPTED = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Interrupts(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
module, sys.argv[1:] = sys.argv[1], ["version"]
from clients.cli.__main__ import main
main()
"""


def interrupted_at(module: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + _INTERRUPTED, module],
        capture_output=True,
        text=True,
        check=False,
    )


def test_ctrl_c_while_it_imports_ends_it_without_a_word() -> None:
    assert INTERRUPTED == exits.INTERRUPTED == 130
    for module in ("clients.cli.app", "grpc", "clients.cli.workflows"):
        ended = interrupted_at(module)
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_where_ctrl_c_is_not_to_end_it_the_command_runs() -> None:
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    ended = interrupted_at("clients.cli.app", before=ignored)
    assert ended.returncode == 0, ended.stderr
