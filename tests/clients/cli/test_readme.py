"""What is documented exists, and what exists is documented."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from clients.cli import exits
from clients.cli.app import cli

README = (Path(__file__).parents[3] / "clients" / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(bursar [a-z -]+)` \| .+ \|$", re.MULTILINE)


def commands(group: click.Group = cli, name: str = "bursar") -> Iterator[str]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}"


def test_every_command_is_documented_once_and_no_other() -> None:
    assert sorted(ROW.findall(README)) == sorted(commands())


def test_the_exit_codes_are_documented_as_they_are() -> None:
    for code, meaning in exits.MEANINGS.items():
        assert f"| {code} | {meaning} |" in README


def test_every_option_in_the_examples_exists() -> None:
    options = {
        option
        for name in commands()
        for parameter in command_of(name).params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named <= options, named - options


def command_of(name: str) -> click.Command:
    command: click.Command = cli
    for word in name.split()[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command
