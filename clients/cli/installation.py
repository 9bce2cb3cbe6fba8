"""`bursar backup`, `version` and `completion`: the installation as a whole."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class
from rich.text import Text

from clients.cli.output import count_text
from clients.cli.session import Command, Session, pass_session


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Write over a file that is there.")
@pass_session
def backup(session: Session, *, file: Path, replace: bool) -> None:
    """Write a consistent copy of the database to FILE, while all goes on working."""
    made = session.bursar.installation.backup(file, replace=replace)
    session.show(
        {"path": str(made.path), "size_bytes": made.size_bytes, "sha256": made.sha256},
        Text(f"{made.path}: {count_text(made.size_bytes)} bytes, SHA-256 {made.sha256}"),
    )
    session.say(
        "The key that encrypts provider secrets is not in it: keep encryption.key of the data"
        " folder elsewhere, once. Without it only the provider secrets are lost."
    )


@click.command("version", cls=Command, connects=False)
@pass_session
def show_version(session: Session) -> None:
    """Show the version of this command."""
    try:
        found = version("bursar")
    except PackageNotFoundError:  # run from a tree that is not installed
        found = "unknown"
    session.show({"version": found}, found)


@click.command("completion", cls=Command, connects=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write a shell's completion script to stdout.

    \b
    bash:  eval "$(bursar completion bash)"      in ~/.bashrc
    zsh:   eval "$(bursar completion zsh)"       in ~/.zshrc
    fish:  bursar completion fish | source       in ~/.config/fish/config.fish
    """  # noqa: D301 - the \b keeps click from wrapping these lines
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "bursar", "_BURSAR_COMPLETE").source())


COMMANDS: Sequence[Any] = (backup, show_version, completion)
