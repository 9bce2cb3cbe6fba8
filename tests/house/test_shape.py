"""Taste that matters is executable: sizes, names, and words that do not belong in a tree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house import tree

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
HIDING_NAMES = {
    *("base", "common", "helper", "helpers", "manager", "misc", "tools", "util", "utils"),
}
# Written in two halves, so that this file does not hold what it forbids.
STRANGERS = {
    "a package registry": [
        *("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com"),
        *("yarn" + "pkg.com", "proxy." + "golang.org", "crates" + ".io"),
    ],
    "a path of one machine": ["/" + "work/", "/" + "root/", "/" + "tmp/v/"],
    "unfinished work": ["TO" + "DO", "FIX" + "ME", "XX" + "X:"],
}
MOCKS = {"unittest.mock", "mock", "pytest_mock"}
ISSUE = re.compile(r"\b[Ii]ssues? #?\d")


def imported(path: Path) -> Iterator[str]:
    """Every name that a module imports, dotted."""
    for node in ast.walk(tree.syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_file_is_short_enough_to_hold_in_mind() -> None:
    counted = {str(path): tree.read(path).count("\n") for path in tree.texts() if path.suffix}
    del counted["requirements.lock"]
    assert not {path: lines for path, lines in counted.items() if lines > FILE_LINES_MAX}


def test_a_function_is_short_enough_to_read_at_once() -> None:
    sizes = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in tree.modules()
        for node in ast.walk(tree.syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: size for name, size in sizes.items() if size > FUNCTION_LINES_MAX}


def test_no_module_hides_behind_a_name_that_says_nothing() -> None:
    names = {part.removesuffix(".py") for path in tree.modules() for part in path.parts}
    assert not names & HIDING_NAMES, "name the one idea that the module holds"


def test_the_project_speaks_of_itself_alone() -> None:
    said = {path: tree.read(path) for path in tree.texts() if path.name != "LICENSE"}
    for what, words in STRANGERS.items():
        found = {str(path): word for path, text in said.items() for word in words if word in text}
        assert not found, f"these name {what}"
    assert not [str(path) for path, text in said.items() if ISSUE.search(text)]


def test_nothing_of_ours_is_mocked() -> None:
    offenders = [str(path) for path in tree.modules() if MOCKS & set(imported(path))]
    assert not offenders, "fake the edge, not our own code"


def test_every_file_is_utf_8_with_unix_line_ends() -> None:
    for path in tree.texts():
        assert b"\r" not in (tree.ROOT / path).read_bytes(), path
        tree.read(path)
