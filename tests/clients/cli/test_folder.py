"""One `up` per folder, files that only their owner reads, and clear words when something is odd."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clients.cli.folder import Folder, read_secret, write_private
from protos.values.errors import FailedPreconditionError, InvalidArgumentError


def said(_text: str) -> None:
    """Nobody listens."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "data")
    made.create()
    return made


def test_a_folder_is_made_for_its_owner_alone(folder: Folder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "taken"
    file.write_text("mine")
    with pytest.raises(InvalidArgumentError, match=rf"{file} is a file.*--data"):
        Folder(file / below).create()
    assert file.read_text() == "mine"


def test_a_second_one_is_told_who_is_first(folder: Folder) -> None:
    with folder.locked(said):
        folder.write_state({"pid": os.getpid()})
        with (
            pytest.raises(FailedPreconditionError, match=rf"process {os.getpid()}.*--port-base"),
            folder.locked(said),
        ):
            pass
    with folder.locked(said):
        pass


def test_the_lock_ends_with_its_process(folder: Folder) -> None:
    program = (
        "import os, sys; from pathlib import Path; from clients.cli.folder import Folder\n"
        "with Folder(Path(sys.argv[1])).locked(print): os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder.path)], check=False)
    assert done.returncode == 9
    with folder.locked(said):
        pass


def test_the_lock_lasts_as_long_as_a_child_and_then_the_next_one_goes_on(folder: Folder) -> None:
    with folder.locked(said) as lock:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,))
    assert child.stdin is not None
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder.write_state({"pid": gone.pid})
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        assert child.stdin is not None
        child.stdin.close()

    with folder.locked(tell):
        assert child.wait(10) == 0
    assert "still ending" in told[0]


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_state_that_cannot_be_read_is_none(folder: Folder, content: str) -> None:
    folder.state.write_text(content)
    assert folder.read_state() == {}


def test_a_state_is_read_back_and_cleared(folder: Folder) -> None:
    folder.write_state({"control_plane": "127.0.0.1:1"})
    assert folder.read_state() == {"control_plane": "127.0.0.1:1"}
    folder.clear_state()
    folder.clear_state()
    assert folder.read_state() == {}


def test_a_private_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "demo.key"
    before = os.umask(0)
    try:
        write_private(path, "secret\n")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["demo.key"]


@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "x" * 5000])
def test_a_file_without_one_secret_is_refused_without_showing_it(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(InvalidArgumentError, match="on one line") as caught:
        read_secret(path, "the admin token")
    assert "two" not in str(caught.value)


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("bursar_at_x\r\n")
    assert read_secret(path, "the admin token") == "bursar_at_x"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="No such file"):
        read_secret(tmp_path / "none", "the admin token")
