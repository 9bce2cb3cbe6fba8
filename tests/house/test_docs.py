"""Docs that run: every command, option, target, import and link that a document shows exists."""

import ast
import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from tests.house import tree

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#\s]+)[^)]*\)")
TARGET = re.compile(r"^(?P<name>[a-z-]+):", re.MULTILINE)
ASSIGNMENT = re.compile(r"^[A-Z_]+=")
SEPARATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<"}
# What a reader has anyway, or brings along; anything else in a shell block must be ours.
OTHER_PROGRAMS = {"cd", "curl", "docker", "export", "git", "mkdir", "pip", "ssh", "systemctl"}
LANGUAGES = {"sh", "python", "text", "json", "toml", "yaml", "http", "ini"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document."""

    where: str
    language: str
    body: str


def documents() -> list[Path]:
    return [path for path in tree.texts() if path.suffix == ".md"]


def blocks(*languages: str) -> Iterator[Block]:
    for path in documents():
        text = tree.read(path)
        for match in FENCE.finditer(text):
            if not languages or match["language"] in languages:
                line = text.count("\n", 0, match.start()) + 1
                yield Block(f"{path}:{line}", match["language"], match["body"])


def commands(body: str) -> Iterator[list[str]]:
    """Every single command of a shell block, as words."""
    for line in body.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        lexer.whitespace_split = True
        for is_separator, words in itertools.groupby(lexer, SEPARATORS.__contains__):
            if not is_separator:
                command = list(itertools.dropwhile(ASSIGNMENT.match, words))
                if command:
                    yield command


def bursar() -> click.Group:
    """The whole `bursar` command."""
    app = importlib.import_module("clients.cli.app")
    groups = [value for value in vars(app).values() if isinstance(value, click.Group)]
    (group,) = [group for group in groups if group.name in {"bursar", "main", "cli"}]
    return group


def parse(words: list[str]) -> None:
    """Parse a command line as `bursar` would, down to its last option, and run nothing."""
    command: click.Command = bursar()
    name, context = "bursar", None
    while True:
        context = command.make_context(name, words, parent=context)
        if not isinstance(command, click.Group):
            return
        found_name, found, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found_name is not None
        assert found is not None
        name, command = found_name, found


def complaint(command: list[str]) -> str | None:
    """Say what is wrong with one documented command; None when nothing is."""
    program, *words = command
    program = program.removeprefix(".venv/bin/")
    if program == "make":
        targets = {match["name"] for match in TARGET.finditer(tree.read(Path("Makefile")))}
        unknown = [word for word in words if "=" not in word and word not in targets]
        return f"no such target: {unknown}" if unknown else None
    if program == "bursar":
        try:
            parse(words)
        except click.exceptions.Exit:
            return None
        except click.ClickException as error:
            return error.format_message()
        return None
    if program in {"python", "python3"} and words[:1] == ["-m"]:
        return None if exists(words[1]) else f"no module {words[1]}"
    return None if program in OTHER_PROGRAMS else f"{program} is not ours and not known"


def exists(module: str, name: str | None = None) -> bool:
    try:
        found = importlib.import_module(module)
        if name is not None and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


def test_every_block_says_what_it_is() -> None:
    assert not [block.where for block in blocks() if block.language not in LANGUAGES]


def test_every_documented_command_exists_with_its_options() -> None:
    shown = [(block.where, command) for block in blocks("sh") for command in commands(block.body)]
    assert ["make", "up"] in [command for _, command in shown]
    assert ["make", "test"] in [command for _, command in shown]
    wrong = {where: error for where, command in shown if (error := complaint(command))}
    assert not wrong


@pytest.mark.parametrize(
    "line", ["make coffee", "bursar no-such-noun", "bursar up --no-such-option", "frobnicate"]
)
def test_a_command_that_does_not_exist_would_be_noticed(line: str) -> None:
    (command,) = commands(line)
    assert complaint(command)


def test_every_documented_python_program_imports_what_exists() -> None:
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block.body, filename=block.where)):
            if isinstance(node, ast.Import):
                assert all(exists(alias.name) for alias in node.names), block.where
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None, block.where
                names = [alias.name for alias in node.names]
                assert all(exists(node.module, name) for name in names), block.where


def test_every_link_inside_the_tree_leads_somewhere() -> None:
    broken = [
        f"{path}: {match['target']}"
        for path in documents()
        for match in LINK.finditer(FENCE.sub("", tree.read(path)))
        if "://" not in match["target"] and not (tree.ROOT / path.parent / match["target"]).exists()
    ]
    assert not broken
