"""What every command shares: how it is told to talk, and its connection to the control plane.

Where the control plane is: `--control-plane`, else BURSAR_CONTROL_PLANE, else what a running
`bursar up` wrote into the data folder, else 127.0.0.1:7240. The token: `--token-file`, else
BURSAR_TOKEN, else the owner's token in the data folder. The data folder: `--data`, else
BURSAR_DATA, else ./bursar-data. A token never stands on a command line, where every process of the
machine could read it.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from rich.console import Console, RenderableType
from rich.text import Text

from clients.admin import DEFAULT_ADDRESS, Bursar, connect
from clients.cli.folder import DEFAULT, Folder, read_secret
from clients.cli.limits import TABLE_WIDTH_CHARACTERS
from clients.cli.output import json_text
from protos.values.errors import UnauthenticatedError


@dataclass(slots=True)
class Session:
    """One run of the command."""

    as_json: bool = False
    """Data as JSON."""
    quiet: bool = False
    """No talk on stderr but errors."""
    yes: bool = False
    """Dangerous things were agreed to."""
    data: str = ""
    """The data folder, when given."""
    control_plane: str = ""
    """The control plane's address, when given."""
    token_file: str = ""
    """The file with the admin token, when given."""
    ca: str = ""
    """The file with the certificate authorities, when given."""
    plain: bool = False
    """Send the token in clear text to another machine too."""
    _bursar: Bursar | None = None

    @property
    def folder(self) -> Folder:
        """The data folder."""
        return Folder(Path(self.data or os.environ.get("BURSAR_DATA") or DEFAULT))

    @property
    def address(self) -> str:
        """Where the control plane is."""
        told = self.control_plane or os.environ.get("BURSAR_CONTROL_PLANE", "")
        running = self.folder.read_state().get("control_plane")
        return told or (running if isinstance(running, str) else "") or DEFAULT_ADDRESS

    def token(self) -> str:
        """The admin token. Raises UnauthenticatedError when there is none."""
        if self.token_file:
            return read_secret(Path(self.token_file), "the admin token")
        from_environment = os.environ.get("BURSAR_TOKEN", "").strip()
        if from_environment:
            return from_environment
        path = self.folder.owner_token
        if path.exists():
            return read_secret(path, "the owner's token")
        raise UnauthenticatedError(
            f"there is no admin token: {path} does not exist. Start `bursar up` here, or name its"
            " data folder with --data, or give a token with --token-file or BURSAR_TOKEN"
        )

    @property
    def bursar(self) -> Bursar:
        """The connection to the control plane, made at the first use."""
        if self._bursar is None:
            self._bursar = connect(
                self.address, token=self.token(), ca=self.ca or None, plain=self.plain
            )
            click.get_current_context().find_root().call_on_close(self._bursar.close)
        return self._bursar

    # --- Data: stdout ---------------------------------------------------------------------------

    def show(self, value: object, *shown: RenderableType) -> None:
        """Write the value as JSON, or what is shown of it to people."""
        if self.as_json:
            click.echo(json_text(value))
            return
        console = self.console()
        for part in shown:
            console.print(part, soft_wrap=isinstance(part, str | Text), markup=False)

    def console(self) -> Console:
        """Where people's data goes."""
        width = None if sys.stdout.isatty() else TABLE_WIDTH_CHARACTERS
        return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)

    # --- Talk: stderr ---------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell people something that is no data, such as the next step."""
        if not self.quiet and not self.as_json:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Tell people something they must not miss."""
        click.echo(text, err=True)

    def confirm(self, question: str) -> None:
        """Ask before something dangerous. Raises UsageError where nobody can answer."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Add --yes to say so; nothing was done.")
        if not click.confirm(question, err=True):
            raise click.Abort


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Remember an option in the session, unless it was only its default."""
    session = ctx.ensure_object(Session)
    assert param.name is not None
    if ctx.get_parameter_source(param.name) is not ParameterSource.DEFAULT:
        setattr(session, param.name, value)
    return value


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_keep, **settings)


def _talk_options() -> list[click.Parameter]:
    return [
        _option("--json", "as_json", is_flag=True, help="Write data as JSON."),
        _option("-q", "--quiet", "quiet", is_flag=True, help="Write nothing but data and errors."),
    ]


def _connection_options() -> list[click.Parameter]:
    return [
        _option(
            "--data",
            metavar="FOLDER",
            help="The data folder of `bursar up`  [env BURSAR_DATA; default ./bursar-data]",
        ),
        _option(
            "--control-plane",
            metavar="HOST:PORT",
            help="The control plane  [env BURSAR_CONTROL_PLANE; default: from the data folder]",
        ),
        _option(
            "--token-file",
            metavar="FILE",
            help="Holds the admin token  [or env BURSAR_TOKEN; default: owner.token in the data"
            " folder]",
        ),
        _option("--ca", metavar="FILE", help="Certificate authorities of the control plane."),
        _option(
            "--plain", is_flag=True, help="Speak to another machine without TLS (private bridge)."
        ),
    ]


def _yes_option() -> click.Parameter:
    return _option("-y", "--yes", "yes", is_flag=True, help="Do not ask.")


class Command(click.Command):
    """A command with the options that all have."""

    def __init__(
        self, *args: Any, connects: bool = True, dangerous: bool = False, **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        if dangerous:
            self.params.append(_yes_option())
        self.params += _talk_options()
        if connects:
            self.params += _connection_options()


class Group(click.Group):
    """A group of commands, named by its noun."""

    command_class = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += [*_talk_options(), *_connection_options()]


Function = TypeVar("Function", bound=Callable[..., Any])

pass_session = click.make_pass_decorator(Session, ensure=True)
"""Gives a command its session as the first argument."""
