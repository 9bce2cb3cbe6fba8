"""What the generator promises, on a contract small enough to read here."""

import subprocess
import sys
from pathlib import Path

import pytest

from protos import generate

NOUN = """\
syntax = "proto3";
package bursar.admin.v1;
message Thing { string thing_id = 1; enum State { STATE_UNSPECIFIED = 0; } }
enum Colour { COLOUR_UNSPECIFIED = 0; }
"""
SERVICE = """\
syntax = "proto3";
package bursar.admin.v1;
import "protos/bursar/admin/v1/thing.proto";
service ThingService { rpc GetThing(GetThingRequest) returns (Thing); }
message GetThingRequest { string thing_id = 1; }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root" / "protos" / "bursar" / "admin" / "v1"
    folder.mkdir(parents=True)
    (folder / "thing.proto").write_text(NOUN)
    (folder / "thing_service.proto").write_text(SERVICE)
    return tmp_path / "root"


def admin(root: Path, name: str) -> Path:
    return root / "protos" / "bursar" / "admin" / "v1" / name


def test_a_message_gets_code_and_types_and_only_a_service_gets_stubs(root: Path) -> None:
    assert generate.main([], root=root) == 0
    made = {Path(name).name for name in generate.committed(root)}
    assert {"thing_pb2.py", "thing_pb2.pyi", "thing_service_pb2_grpc.pyi"} <= made
    assert "thing_pb2_grpc.py" not in made


def test_the_facade_names_every_message_enum_and_service(root: Path) -> None:
    generate.main([], root=root)
    facade = admin(root, "__init__.py").read_text()
    names = {line.rsplit(" ", 1)[1] for line in facade.splitlines() if " as " in line}
    assert names == {
        "Colour",
        "GetThingRequest",
        "Thing",
        "ThingServiceAsyncStub",
        "ThingServiceServicer",
        "ThingServiceStub",
        "add_ThingServiceServicer_to_server",
    }


def test_the_facade_can_be_imported_and_speaks(root: Path) -> None:
    generate.main([], root=root)
    (root / "protos" / "__init__.py").write_text("")
    program = (
        "from protos.bursar.admin import v1;"
        "print(v1.__doc__, v1.Thing.DESCRIPTOR.full_name, v1.ThingServiceStub.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    sentence = generate.SENTENCES["protos/bursar/admin/v1"]
    assert done.stdout == f"{sentence} bursar.admin.v1.Thing ThingServiceStub\n"


def test_every_generated_file_carries_the_stamp(root: Path) -> None:
    generate.main([], root=root)
    for name, content in generate.committed(root).items():
        assert content.decode().startswith(generate.STAMP), name


def test_check_is_content_with_what_generate_made(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.main([], root=root)
    capsys.readouterr()
    assert generate.main(["--check"], root=root) == 0
    assert capsys.readouterr().err == ""


def test_check_names_what_is_stale_missing_or_left_over(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.main([], root=root)
    admin(root, "thing_pb2.py").write_text("# edited\n")
    admin(root, "thing_pb2.pyi").unlink()
    admin(root, "gone_pb2.py").write_text("")
    assert generate.main(["--check"], root=root) == 1
    said = capsys.readouterr().err.splitlines()
    assert "protos/bursar/admin/v1/thing_pb2.py: differs" in said
    assert "protos/bursar/admin/v1/thing_pb2.pyi: missing" in said
    assert "protos/bursar/admin/v1/gone_pb2.py: no proto calls for it" in said
    assert admin(root, "thing_pb2.py").read_text() == "# edited\n"


def test_generating_removes_what_no_proto_calls_for(root: Path) -> None:
    generate.main([], root=root)
    admin(root, "thing_service.proto").unlink()
    generate.main([], root=root)
    assert not admin(root, "thing_service_pb2.py").exists()
    assert generate.main(["--check"], root=root) == 0


def test_a_broken_proto_is_named_and_changes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.main([], root=root)
    before = generate.committed(root)
    admin(root, "thing.proto").write_text(NOUN + "message {")
    assert generate.main([], root=root) == 2
    assert "protos/bursar/admin/v1/thing.proto" in capsys.readouterr().err
    assert generate.committed(root) == before


def test_a_package_without_a_sentence_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = root / "protos" / "bursar" / "stranger" / "v1"
    stranger.mkdir(parents=True)
    (stranger / "thing.proto").write_text(NOUN)
    assert generate.main(["--check"], root=root) == 2
    assert "SENTENCES" in capsys.readouterr().err


def test_what_is_committed_is_what_the_protos_call_for() -> None:
    assert generate.main(["--check"]) == 0
