"""A backup appears whole or not at all."""

import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from clients.admin import Bursar
from protos.bursar.admin import v1
from protos.values.errors import AlreadyExistsError, UnavailableError

CONTENT = b"bursar" * 10_000


def pieces(content: bytes, digest: bytes) -> list[v1.CreateBackupResponse]:
    half = len(CONTENT) // 2
    return [
        v1.CreateBackupResponse(content=content[:half], size_bytes=len(CONTENT)),
        v1.CreateBackupResponse(content=content[half:], sha256=digest),
    ]


def test_a_copy_that_arrived_whole_appears_for_its_owner_alone(
    script: Any, bursar: Bursar, tmp_path: Path
) -> None:
    digest = hashlib.sha256(CONTENT)
    script.on("CreateBackup", pieces(CONTENT, digest.digest()))
    made = bursar.installation.backup(tmp_path / "copy.db")
    assert made.path.read_bytes() == CONTENT
    assert made.sha256 == digest.hexdigest()
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]


@pytest.mark.parametrize("laid", ["a link", "a file for all"])
def test_a_copy_is_not_written_where_somebody_else_laid_something(
    script: Any, bursar: Bursar, tmp_path: Path, laid: str
) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"")
    theirs.chmod(0o666)
    partial = tmp_path / ".copy.db.partial"
    partial.hardlink_to(theirs) if laid == "a file for all" else partial.symlink_to(theirs)
    script.on("CreateBackup", pieces(CONTENT, hashlib.sha256(CONTENT).digest()))
    made = bursar.installation.backup(tmp_path / "copy.db")
    assert made.path.read_bytes() == CONTENT
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert theirs.read_bytes() == b""


@pytest.mark.parametrize("damage", ["bytes", "short", "no digest"])
def test_a_damaged_copy_leaves_nothing(
    script: Any, bursar: Bursar, tmp_path: Path, damage: str
) -> None:
    content = {"bytes": b"x" + CONTENT[1:], "short": CONTENT[:-1]}.get(damage, CONTENT)
    digest = b"" if damage == "no digest" else hashlib.sha256(CONTENT).digest()
    script.on("CreateBackup", pieces(content, digest))
    with pytest.raises(UnavailableError, match="whole"):
        bursar.installation.backup(tmp_path / "copy.db")
    assert not list(tmp_path.iterdir())


def test_a_broken_copy_leaves_the_one_before(
    script: Any, bursar: Bursar, tmp_path: Path, pieces_then_failing: Any
) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(b"before")
    broken = pieces_then_failing(pieces(CONTENT, b"")[:1], grpc.StatusCode.UNAVAILABLE)
    script.on("CreateBackup", broken)
    with pytest.raises(UnavailableError):
        bursar.installation.backup(path, replace=True)
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["copy.db"]


def test_a_file_that_is_there_is_not_written_over(bursar: Bursar, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(b"before")
    with pytest.raises(AlreadyExistsError):
        bursar.installation.backup(path)
    assert path.read_bytes() == b"before"
