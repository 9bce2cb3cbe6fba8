"""The make targets that a stranger types first."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house import tree


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which nothing was installed yet."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(tree.ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["up", "test", "check", "bench", "chaos", "protos", "fmt"])
def test_a_target_makes_the_environment_first_when_it_is_missing(clone: Path, target: str) -> None:
    planned = make(clone, "--dry-run", target, "PYTHON=some-python")
    assert planned.returncode == 0, planned.stderr
    steps = planned.stdout
    assert steps.index("some-python -m venv .venv") < steps.index("requirements.lock")


@pytest.mark.parametrize("target", ["up", "test", "check", "bench", "chaos"])
def test_a_target_leaves_a_fresh_environment_alone(clone: Path, target: str) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".ready").touch()
    planned = make(clone, "--dry-run", target)
    assert planned.returncode == 0, planned.stderr
    assert "-m venv" not in planned.stdout


def test_without_a_new_enough_python_it_says_what_to_do(clone: Path) -> None:
    done = make(clone, "test", "PYTHON=")
    assert done.returncode != 0
    assert "Bursar needs Python 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_a_target_stays_thin() -> None:
    rules = re.split(r"\n(?=[$.\w()/-]+:)", tree.read(Path("Makefile")))
    named = {rule.split(":")[0]: rule.count("\n\t") for rule in rules if "\n\t" in rule}
    del named["$(READY)"]
    assert not {name: lines for name, lines in named.items() if lines > 2}
