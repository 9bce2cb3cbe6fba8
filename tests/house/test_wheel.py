"""What is installed is what is shipped: the wheel, the lock file and the ranges agree."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house import tree

PROJECT = tomllib.loads(tree.read(Path("pyproject.toml")))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

BY_HAND = "fuzz"
"""The extra that no test needs, pinned where it is named, and so in no lock."""


def locked() -> dict[str, str]:
    lines = tree.read(Path("requirements.lock")).splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=tree.ROOT, check=True, capture_output=True)
    (wheel,) = folder.iterdir()
    return zipfile.ZipFile(wheel).namelist()


def test_every_dependency_is_locked_to_a_version_inside_its_range() -> None:
    pins = locked()
    extras = (lines for name, lines in EXTRAS.items() if name != BY_HAND)
    wanted = [*PROJECT["dependencies"], *(line for lines in extras for line in lines)]
    for requirement in map(Requirement, wanted):
        if requirement.name != PROJECT["name"]:
            pin = pins.get(canonicalize_name(requirement.name))
            assert pin is not None, f"{requirement.name} is not in requirements.lock: make lock"
            assert requirement.specifier.contains(pin), f"{requirement} is locked to {pin}"


def test_what_is_installed_by_hand_is_pinned() -> None:
    assert all("==" in line for line in EXTRAS[BY_HAND])


def test_what_the_dependencies_bring_along_is_locked_too() -> None:
    pins = locked()
    brought = [
        Requirement(line) for name in pins if is_installed(name) for line in requires(name) or ()
    ]
    assert brought
    here = [one for one in brought if not one.marker or one.marker.evaluate({"extra": ""})]
    loose = {one.name for one in here} - {"pip"}  # every virtual environment brings its own pip
    assert not {name for name in loose if canonicalize_name(name) not in pins}, "make lock"


def test_the_environment_is_what_the_lock_file_says() -> None:
    assert {name: version(name) for name in locked() if is_installed(name)} == locked()


def test_the_lock_file_holds_exact_versions_and_no_addresses() -> None:
    text = tree.read(Path("requirements.lock"))
    assert "://" not in text
    assert "@" not in text
    assert "--" not in text


def test_the_wheel_ships_the_rooms_and_no_tests(shipped: list[str]) -> None:
    tops = {name.split("/")[0] for name in shipped if ".dist-info/" not in name}
    assert tops == set(tree.ROOMS) - {"tests"}


def test_the_wheel_ships_every_file_that_the_program_reads(shipped: list[str]) -> None:
    data = {
        path.as_posix()
        for path in tree.files()
        if path.parts[0] in tops_of_the_wheel() and path.parts[:2] != ("clients", "typescript")
    }
    assert data <= set(shipped)
    assert any(name.endswith(".proto") for name in shipped)
    assert any(name.endswith("licenses/LICENSE") for name in shipped)


def tops_of_the_wheel() -> list[str]:
    return [room for room in tree.ROOMS if room != "tests"]
