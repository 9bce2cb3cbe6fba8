"""Every scenario of the lease protocol has its story, and the index names every story."""

import ast
import re
from pathlib import Path

from tests.house import tree

HERE = Path("tests/simulation/stories")
SCENARIOS = [number for number in range(1, 34) if number != 25]
"""All but the one about regions."""


def index() -> dict[int, list[str]]:
    """The tests that the index names, by scenario."""
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", tree.read(HERE / "README.md"), re.MULTILINE)
    return {int(number): re.findall(r"`(test_\w+)`", tests) for number, tests in rows}


def told_here() -> dict[str, str]:
    """The stories of this folder with their docstrings, by name."""
    return {
        node.name: ast.get_docstring(node) or ""
        for path in tree.modules()
        if path.parent == HERE and path.name.startswith("test_") and path.stem != "test_index"
        for node in tree.syntax(path).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def all_tests() -> set[str]:
    """The names of all tests in the tree."""
    return {
        node.name
        for path in tree.modules()
        if path.name.startswith("test_")
        for node in tree.syntax(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_scenario_has_a_test_that_exists() -> None:
    assert list(index()) == SCENARIOS
    known = all_tests()
    missing = {number: set(tests) - known for number, tests in index().items()}
    assert not {number: tests for number, tests in missing.items() if tests}
    assert all(index().values())


def test_every_story_is_in_the_index_under_its_own_number() -> None:
    numbers = {test: number for number, tests in index().items() for test in tests}
    for name, text in told_here().items():
        found = re.match(r"(\d+)[ab]?\. ", text)
        assert found is not None, f"{name} does not say which scenario it tells"
        assert numbers.get(name) == int(found[1]), f"{name} is not in the index, or elsewhere"
