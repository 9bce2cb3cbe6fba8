"""The vault: one key outside the database, and what it encrypts.

Rules:

1. The key is 32 random bytes in a file of its own, readable by its owner alone. A copy of the
   database, such as a backup, is worth nothing without it; a copy of the key is worth nothing
   without the database.
2. The key itself encrypts nothing: what encrypts is a key derived from it for this one purpose.
3. A ciphertext is bound to its context (which provider, which address, which version), so that one
   cannot be put in another's place.
4. A vault that cannot open what is there says so and stops nobody: calls, caps and the ledger go
   on. It never replaces a key by itself, for the true one may come back. Setting a provider's
   secret again is a decision, and makes a new key when there is none.
5. No text of an error, log line or repr holds a secret or a key.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import nacl.exceptions
import nacl.public
import nacl.secret

from control_plane.core.providers import SealedSecret
from protos.values.errors import SecretsLockedError

KEY_FILE = "encryption.key"
"""The key's file in the data folder."""
KEY_BYTES = 32
"""Size of the key, and of its file."""
NONCE_BYTES = nacl.secret.Aead.NONCE_SIZE
_CONTEXT_CHARACTERS_MAX = 1_024


class VaultError(Exception):
    """The key's file cannot be used; the message says what to do."""


class Vault:
    """Encrypts and opens provider secrets with the key of one installation."""

    def __init__(self, path: Path, key: bytes | None, random_bytes: Callable[[int], bytes]) -> None:
        """Take the key, or None when its file is missing; use `open_vault` to find out."""
        self._path = path
        self._key = key
        self._random_bytes = random_bytes
        self._lock = threading.Lock()

    @property
    def key_id(self) -> str:
        """The id of the key; empty when its file is missing."""
        return "" if self._key is None else _key_id(self._key)

    def opens(self, key_ids: Collection[str]) -> bool:
        """Whether everything that is encrypted with these keys can be opened."""
        return all(key_id == self.key_id for key_id in key_ids)

    def encrypt(self, secret: str, context: str) -> SealedSecret:
        """Encrypt a secret for its context; makes the key when there is none yet.

        Raises SecretsLockedError when the key cannot be made.
        """
        with self._lock:
            if self._key is None:
                try:
                    self._key = _make_key_file(self._path, self._random_bytes(KEY_BYTES))
                except VaultError as error:
                    raise SecretsLockedError(str(error)) from error
            key = self._key
        box = nacl.secret.Aead(_encryption_key(key))
        nonce = self._random_bytes(NONCE_BYTES)
        return SealedSecret(
            _key_id(key), bytes(box.encrypt(secret.encode(), _bound(context), nonce))
        )

    def open(self, sealed: SealedSecret, context: str) -> str:
        """Open a secret. Raises SecretsLockedError when this is not the key it was made with."""
        key = self._key
        if key is None or _key_id(key) != sealed.key_id:
            raise SecretsLockedError(self._explanation(sealed.key_id), key_id=sealed.key_id)
        try:
            plain = nacl.secret.Aead(_encryption_key(key)).decrypt(
                sealed.ciphertext, _bound(context)
            )
        except nacl.exceptions.CryptoError:
            raise SecretsLockedError(
                "a provider's secret does not belong to its row: the database was changed by "
                "something else. Set the provider's secret again",
                key_id=sealed.key_id,
            ) from None
        return plain.decode()

    def seal_for(self, public_key: bytes, secret: str) -> bytes:
        """Seal a secret so that only the holder of an X25519 key can open it."""
        box = nacl.public.SealedBox(nacl.public.PublicKey(public_key))
        return bytes(box.encrypt(secret.encode()))

    def __repr__(self) -> str:
        return f"Vault(key_id={self.key_id!r})"

    def _explanation(self, key_id: str) -> str:
        state = "is missing" if self._key is None else f"holds another key ({self.key_id})"
        return (
            f"provider secrets are locked: {self._path.name} {state}, they were encrypted with "
            f"{key_id}. Lost are only the provider secrets; projects, keys, budgets, leases and "
            "the ledger are whole, and sidecars go on with the secrets that they have. Put the "
            "right file back and start again, or set each provider's secret again "
            "(bursar provider set)"
        )


def open_vault(folder: Path, random_bytes: Callable[[int], bytes], *, in_use: bool) -> Vault:
    """Open the vault of a data folder; makes its key when nothing is encrypted yet.

    `in_use` says that the database holds secrets: then a missing key is not made but missed.
    Raises VaultError when there is a file that cannot be used.
    """
    path = folder / KEY_FILE
    try:
        return Vault(path, _read_key_file(path), random_bytes)
    except FileNotFoundError:
        key = None if in_use else _make_key_file(path, random_bytes(KEY_BYTES))
        return Vault(path, key, random_bytes)


def _read_key_file(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            mode = os.fstat(descriptor).st_mode
            content = os.read(descriptor, KEY_BYTES + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise VaultError(f"{path} cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise VaultError(
            f"{path} can be read by others (mode {mode & 0o777:o}): run chmod 600 on it, and set "
            "the provider secrets again if somebody else may have read it"
        )
    if len(content) != KEY_BYTES:
        raise VaultError(
            f"{path} is no encryption key: it must have {KEY_BYTES} bytes. Put the right file "
            "back, or move this one away and set each provider's secret again"
        )
    return content


def _make_key_file(path: Path, key: bytes) -> bytes:
    assert len(key) == KEY_BYTES
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    partial = path.with_name(path.name + ".new")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, flags, 0o600)
        try:
            written = os.write(descriptor, key)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        assert written == KEY_BYTES
        # A link fails where a rename would replace a key that somebody put back meanwhile.
        os.link(partial, path)
        partial.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise VaultError(f"{path} is there: start again to use it") from error
    except OSError as error:
        raise VaultError(f"{path} cannot be made ({error.strerror})") from error
    return key


def _key_id(key: bytes) -> str:
    return "kek_" + hashlib.blake2b(key=key, person=b"bursar key id", digest_size=8).hexdigest()


def _encryption_key(key: bytes) -> bytes:
    return hashlib.blake2b(key=key, person=b"bursar provider", digest_size=KEY_BYTES).digest()


def _bound(context: str) -> bytes:
    assert 0 < len(context) <= _CONTEXT_CHARACTERS_MAX
    return b"bursar provider secret 1\0" + context.encode()
