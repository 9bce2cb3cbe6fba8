"""The data folder, and the identity that is kept in it."""

import os
import stat
from pathlib import Path

import pytest

from protos.values.keys import SIDECAR_CREDENTIAL, is_key
from sidecar.entropy import SystemEntropy
from sidecar.runtime import identity
from sidecar.runtime.folder import FolderError, claim, read_whole, write_durably


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    lock = claim(tmp_path / "new" / "folder")
    assert stat.S_IMODE((tmp_path / "new" / "folder").stat().st_mode) == 0o700
    lock.release()


def test_a_second_process_is_told_that_the_folder_is_in_use(tmp_path: Path) -> None:
    lock = claim(tmp_path)
    with pytest.raises(FolderError, match="Another sidecar is using"):
        claim(tmp_path)
    lock.release()
    claim(tmp_path).release()


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FolderError, match="is not a folder"):
        claim(file / below if below else file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match="Check its owner"):
        claim(tmp_path)


def test_a_file_is_replaced_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_whole(path) is None
    for content in (b"one", b"two"):
        write_durably(path, content)
        assert read_whole(path) == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_identity_is_kept_as_it_was_made(tmp_path: Path) -> None:
    assert identity.load(tmp_path) is None
    made = identity.make(SystemEntropy())
    assert is_key(made.credential, SIDECAR_CREDENTIAL)
    assert not made.joined
    joined = identity.named(made, "sdc_1", "one", "eu")
    identity.save(tmp_path, joined)
    assert identity.load(tmp_path) == joined
    assert joined.joined
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600


def test_two_sidecars_are_never_the_same() -> None:
    one, two = identity.make(SystemEntropy()), identity.make(SystemEntropy())
    assert one.credential != two.credential
    assert one.sealing_public_key != two.sealing_public_key


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff"])
def test_an_identity_that_cannot_be_read_is_no_reason_to_become_another(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "identity.json").write_bytes(content)
    with pytest.raises(FolderError, match="join again"):
        identity.load(tmp_path)


def test_this_host_is_known_by_machine_and_boot() -> None:
    host = identity.this_host()
    assert host == identity.this_host()
    assert len(host.boot_id) in (0, 36)
