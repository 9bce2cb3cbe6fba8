"""`bursar serve`, `sidecar` and `rehearse`: one process, in this process's place.

Their options are their own: `bursar serve --help` shows the control plane's.
"""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import clients

_AS_IS: Mapping[str, Any] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
ROOT = Path(clients.__file__).resolve().parents[1]
"""Where the packages of this program are."""


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules; nothing from the working folder gets in."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(without: Collection[str] = ()) -> dict[str, str]:
    """The environment of this process but for some names, with our own packages found first."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _become(module: str, arguments: Sequence[str]) -> None:
    command = python(module, *arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environment())  # noqa: S606 - a list written here, no shell


@click.command("serve", context_settings=dict(_AS_IS), add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: Sequence[str]) -> None:
    """Run a control plane (`bursar serve --help` shows its options)."""
    _become("control_plane", arguments)


@click.command("sidecar", context_settings=dict(_AS_IS), add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sidecar(arguments: Sequence[str]) -> None:
    """Run a sidecar (`bursar sidecar --help` shows its options)."""
    _become("sidecar", arguments)


@click.command("rehearse", context_settings=dict(_AS_IS), add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def rehearse(arguments: Sequence[str]) -> None:
    """Run a provider that serves both wire formats offline (`bursar rehearse --help`)."""
    _become("clients.rehearsal", arguments)


COMMANDS: Sequence[Any] = (serve, sidecar, rehearse)
