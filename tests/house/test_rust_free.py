"""The data plane carries no Rust: the closure of the base dependencies, and what really loads.

The walk installs nothing: it follows installed metadata from the base dependencies in
pyproject.toml, refuses names known to carry Rust, and looks inside every native library for what
the Rust compiler leaves there.
"""

import json
import subprocess
import sys
import sysconfig
import tomllib
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house import tree

BASE: list[str] = tomllib.loads(tree.read(Path("pyproject.toml")))["project"]["dependencies"]
KNOWN_RUST = {
    *("bcrypt", "cryptography", "fastuuid", "hf-xet", "jiter", "orjson", "pydantic-core"),
    *("rpds-py", "safetensors", "tiktoken", "tokenizers", "uv", "watchfiles"),
}
RUST_MARKS = (b"/rustc/", b"rust_begin_unwind", b"rust_eh_personality", b"rust_panic")
NATIVE = {".so", ".dylib", ".pyd", ".dll"}
# A .pth file runs at every start of the interpreter, so each one is known by name.
KNOWN_PTH = {
    "_editable_impl_bursar.pth",  # the tree itself, as an editable install
    "distutils-precedence.pth",  # comes with every virtual environment of Python 3.11
}


@cache
def closure() -> dict[str, Distribution]:
    """Every distribution that installing the base brings along, by canonical name."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(line), "") for line in BASE]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        first_time = name not in found
        if first_time:
            found[name] = distribution(name)
        for wanted in ("", *requirement.extras) if first_time else requirement.extras:
            waiting += [(Requirement(line), wanted) for line in found[name].requires or ()]
    return found


def native_libraries(dist: Distribution) -> list[Path]:
    paths = [Path(str(dist.locate_file(file))) for file in dist.files or ()]
    return [path for path in paths if path.suffix in NATIVE]


def rust_marks(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [mark for mark in RUST_MARKS if mark in content]


def test_no_base_dependency_is_known_to_carry_rust() -> None:
    assert "grpcio" in closure()
    assert not KNOWN_RUST & closure().keys()


def test_no_native_library_of_the_base_was_made_by_the_rust_compiler() -> None:
    libraries = [path for dist in closure().values() for path in native_libraries(dist)]
    assert any("cygrpc" in path.name for path in libraries), "the walk must see gRPC's own library"
    assert not {path.name: marks for path in libraries if (marks := rust_marks(path))}


@pytest.mark.parametrize("name", ["cryptography", "pydantic-core", "jiter"])
def test_the_detector_knows_rust_when_it_sees_it(name: str) -> None:
    libraries = native_libraries(distribution(name))
    assert any(rust_marks(path) for path in libraries), "the marks no longer tell Rust from C"


LOADED_WHEN_PRESENT = (
    # grpc imports its sister packages by itself where they are installed.
    *("grpc.health", "grpc.reflection", "grpc.tools"),
    *("grpc_health", "grpc_reflection", "grpc_tools"),
    # setuptools starts this with the interpreter, through a .pth file.
    "_distutils_hack",
)
PROGRAM = """
import json, sys
import sidecar.app
import protos.telemetry.export, protos.telemetry.prometheus  # loaded where somebody looks on
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print(json.dumps({name: file for name, file in files.items() if file}))
"""


def loaded_by_the_sidecar() -> dict[str, Path]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tree.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, str] = json.loads(done.stdout)
    return {name: Path(file).resolve() for name, file in loaded.items()}


def test_the_sidecar_loads_nothing_outside_the_closure_of_the_base() -> None:
    packages = Path(sysconfig.get_path("purelib")).resolve()
    owned = {
        Path(str(dist.locate_file(file))).resolve()
        for dist in closure().values()
        for file in dist.files or ()
    }
    loaded = loaded_by_the_sidecar()
    assert "grpc" in loaded
    assert "trio" in loaded
    foreign = {name for name, file in loaded.items() if file.is_relative_to(packages)} - {
        name for name, file in loaded.items() if file in owned
    }
    brought_along = {name for name in foreign if name.startswith(LOADED_WHEN_PRESENT)}
    assert not foreign - brought_along, "the sidecar loads what its installation does not bring"


def test_the_sidecar_loads_no_other_room() -> None:
    rooms = {name.split(".")[0] for name in loaded_by_the_sidecar()} & set(tree.ROOMS)
    assert rooms == {"protos", "sidecar"}


def test_nothing_unknown_runs_when_the_interpreter_starts() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    assert not {path.name for path in packages.glob("*.pth")} - KNOWN_PTH
