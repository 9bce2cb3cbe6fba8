"""Plants a bug: copies the tree and changes one line of the copy's product code.

A mutant is data, so that a test can hold the whole table to the code as it stands: the old text
must occur exactly once, one line of it changes, and the changed file must still be Python.
"""

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAYED = ("protos", "control_plane", "sidecar", "tests")
"""What a run of the simulation needs of the tree."""
SHORT_LIVED = shutil.ignore_patterns("*.pyc.*")
"""Modules that another process is just compiling: gone again before they can be copied."""
PRODUCT = ("protos/values", "control_plane", "sidecar")
"""Where bugs are planted, and whose guards can be taken out."""


class StaleMutantError(Exception):
    """The code moved on: a mutant's old text is not there any more, or not only once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of one file, and what stands there instead."""

    path: str
    """From the root of the tree."""
    old: str
    """The text as it stands, as much of it as makes it unique."""
    new: str
    """The same text with one line changed, added or left out."""

    @property
    def lines_changed(self) -> int:
        """How many lines differ, the larger side counting."""
        old, new = self.old.split("\n"), self.new.split("\n")
        while old and new and old[0] == new[0]:
            del old[0], new[0]
        while old and new and old[-1] == new[-1]:
            del old[-1], new[-1]
        return max(len(old), len(new))

    def applied_to(self, source: str) -> str:
        """The file's text with the change in it. Raises StaleMutantError."""
        found = source.count(self.old)
        if found != 1:
            raise StaleMutantError(
                f"{self.path} holds this text {found} times instead of once; "
                f"say in the table what the code says now:\n{self.old}"
            )
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug that somebody could write."""

    name: str
    """M1 to M13 and V1 to V10 are those of the lease protocol's table."""
    words: str
    """What is wrong."""
    change: Change
    seeds: int
    """Within how many seeds the simulation must find it."""
    unguarded: tuple[Change, ...] = ()
    """Further lines that the same bug needs to go unnoticed by our own guards."""
    directed: str = ""
    """A test that holds what chance meets too rarely: the place of a story that must fail."""
    masked: str = ""
    """Why nothing outside can see it while the rest of the protocol stands."""


def planted_sources(mutant: Mutant, *, bare: bool) -> dict[str, str]:
    """The files that a mutant changes, by path. Raises StaleMutantError, SyntaxError."""
    sources: dict[str, str] = {}
    for change in (mutant.change, *(mutant.unguarded if bare else ())):
        source = sources.get(change.path)
        if source is None:
            source = (ROOT / change.path).read_text(encoding="utf-8")
        sources[change.path] = change.applied_to(source)
    for path, source in sources.items():
        compile(source, path, "exec")
    return sources


def copy_tree(folder: Path, *, bare: bool) -> None:
    """Copy what a run needs; `bare` takes the product's own assertions out of the copy.

    Compiled modules come along, so that only what differs is compiled anew.
    """
    for room in PLAYED:
        shutil.copytree(ROOT / room, folder / room, ignore=SHORT_LIVED)
    shutil.copy2(ROOT / "pyproject.toml", folder)
    if bare:
        for place in PRODUCT:
            for path in (folder / place).rglob("*.py"):
                path.write_text(without_assertions(path.read_text(encoding="utf-8")), "utf-8")


def plant(mutant: Mutant, tree: Path, folder: Path, *, bare: bool) -> None:
    """Copy a tree that `copy_tree` made and change it."""
    shutil.copytree(tree, folder)
    for path, source in planted_sources(mutant, bare=bare).items():
        (folder / path).write_text(without_assertions(source) if bare else source, "utf-8")


class _Unasserted(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> ast.Pass:
        return ast.copy_location(ast.Pass(), node)


def without_assertions(source: str) -> str:
    """The same program, as `python -O` would run it, save that the tests keep their assertions."""
    return ast.unparse(_Unasserted().visit(ast.parse(source)))
