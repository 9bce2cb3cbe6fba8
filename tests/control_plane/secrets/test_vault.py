"""The vault: a key outside the database, and what happens without it."""

import os
from pathlib import Path

import nacl.public
import pytest

from control_plane.core.providers import SealedSecret
from control_plane.secrets import Vault, VaultError, open_vault
from protos.values.errors import SecretsLockedError


def opened(folder: Path, *, in_use: bool = False) -> Vault:
    return open_vault(folder, os.urandom, in_use=in_use)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = opened(tmp_path)
    file = tmp_path / "encryption.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 32
    assert opened(tmp_path, in_use=True).key_id == first.key_id
    assert [path.name for path in tmp_path.iterdir()] == ["encryption.key"]


def test_what_was_encrypted_opens_only_in_its_context(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    sealed = vault.encrypt("sk-live", "openai 1")
    assert vault.encrypt("sk-live", "openai 1").ciphertext != sealed.ciphertext
    assert opened(tmp_path, in_use=True).open(sealed, "openai 1") == "sk-live"
    with pytest.raises(SecretsLockedError):
        vault.open(sealed, "openai 2")
    for place in range(len(sealed.ciphertext)):
        bent = bytearray(sealed.ciphertext)
        bent[place] ^= 1
        with pytest.raises(SecretsLockedError):
            vault.open(SealedSecret(sealed.key_id, bytes(bent)), "openai 1")


def test_another_key_explains_what_is_lost_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = opened(tmp_path / "a"), opened(tmp_path / "b")
    sealed = one.encrypt("sk-live", "x")
    with pytest.raises(SecretsLockedError) as caught:
        other.open(sealed, "x")
    for words in ("another key", one.key_id, other.key_id, "ledger", "provider set"):
        assert words in caught.value.message
    assert not other.opens([one.key_id])
    assert one.opens([one.key_id])
    assert other.opens([])


def test_a_missing_key_is_missed_and_not_made_anew(tmp_path: Path) -> None:
    sealed = opened(tmp_path).encrypt("sk-live", "x")
    (tmp_path / "encryption.key").unlink()
    vault = opened(tmp_path, in_use=True)
    assert vault.key_id == ""
    with pytest.raises(SecretsLockedError) as caught:
        vault.open(sealed, "x")
    assert "is missing" in caught.value.message
    assert not (tmp_path / "encryption.key").exists()


def test_a_key_that_came_back_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    opened(tmp_path)
    kept = (tmp_path / "encryption.key").read_bytes()
    (tmp_path / "encryption.key").unlink()
    vault = opened(tmp_path, in_use=True)
    (tmp_path / "encryption.key").write_bytes(kept)
    with pytest.raises(SecretsLockedError, match="start again"):
        vault.encrypt("sk-live", "x")
    assert (tmp_path / "encryption.key").read_bytes() == kept


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "encryption.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(VaultError, match="no encryption key"):
        opened(tmp_path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "encryption.key").chmod(0o640)
    with pytest.raises(VaultError, match="chmod 600"):
        opened(tmp_path)


def test_a_link_in_place_of_the_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x" * 32)
    (tmp_path / "encryption.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultError):
        opened(tmp_path)


def test_what_is_sealed_opens_for_its_sidecar_alone(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    key, other = nacl.public.PrivateKey.generate(), nacl.public.PrivateKey.generate()
    sealed = vault.seal_for(bytes(key.public_key), "sk-live")
    assert nacl.public.SealedBox(key).decrypt(sealed) == b"sk-live"
    with pytest.raises(nacl.exceptions.CryptoError):
        nacl.public.SealedBox(other).decrypt(sealed)


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    key = (tmp_path / "encryption.key").read_bytes()
    sealed = vault.encrypt("sk-live", "x")
    shown = repr(vault) + repr(sealed)
    assert "sk-live" not in shown
    assert key.hex() not in shown
    assert repr(key) not in shown
