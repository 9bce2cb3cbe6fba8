"""Who a sidecar is: credential and sealing key, made before it joins, and the host it runs on."""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from nacl.public import PrivateKey

from protos.values.keys import SECRET_BYTES, SIDECAR_CREDENTIAL, key_digest, make_key
from sidecar.entropy import Entropy
from sidecar.runtime.folder import FolderError, read_whole, write_durably

_NAME = "identity.json"
_FORMAT = 1
_SEALING_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """What a sidecar proves itself with, and what it is called."""

    credential: str = field(repr=False)
    """Sent with every call to the control plane; bursar_sc_..."""
    sealing_key: bytes = field(repr=False)
    """The private X25519 key that provider secrets are sealed to."""
    sidecar_id: str = ""
    """Empty before it has joined."""
    display_name: str = ""
    """What people call it."""
    region: str = ""
    """Where it runs."""
    epoch: int = 0
    """The last epoch of its journal that is known; 0 before the first."""

    @property
    def joined(self) -> bool:
        """Whether the control plane knows it."""
        return bool(self.sidecar_id)

    @property
    def credential_digest(self) -> bytes:
        """What the control plane stores of the credential."""
        return key_digest(self.credential)

    @property
    def sealing_public_key(self) -> bytes:
        """What secrets are sealed with."""
        return bytes(PrivateKey(self.sealing_key).public_key)


def make(entropy: Entropy) -> Identity:
    """A new sidecar, which has not joined yet."""
    return Identity(
        credential=make_key(SIDECAR_CREDENTIAL, entropy.random_bytes(SECRET_BYTES)),
        sealing_key=entropy.random_bytes(_SEALING_KEY_BYTES),
    )


def load(folder: Path) -> Identity | None:
    """The identity in a data folder; None when there is none. Raises FolderError."""
    content = read_whole(folder / _NAME)
    if content is None:
        return None
    try:
        fields = json.loads(content)
        if fields["format"] != _FORMAT:
            raise ValueError("it is of another format")
        return Identity(
            credential=fields["credential"],
            sealing_key=bytes.fromhex(fields["sealing_key"]),
            sidecar_id=fields["sidecar_id"],
            display_name=fields["display_name"],
            region=fields["region"],
            epoch=fields["epoch"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FolderError(
            f"{folder / _NAME} cannot be read ({type(error).__name__}). Restore it, or remove it "
            "and let the sidecar join again with a new token."
        ) from None


def save(folder: Path, identity: Identity) -> None:
    """Keep an identity, readable by its owner only. Raises FolderError; then the old one stays."""
    fields = {
        "format": _FORMAT,
        "credential": identity.credential,
        "sealing_key": identity.sealing_key.hex(),
        "sidecar_id": identity.sidecar_id,
        "display_name": identity.display_name,
        "region": identity.region,
        "epoch": identity.epoch,
    }
    try:
        write_durably(folder / _NAME, json.dumps(fields, indent=1).encode())
    except OSError as error:
        raise FolderError(
            f"{folder / _NAME} cannot be written: {error.strerror}. Make room there, or check its "
            "owner and rights."
        ) from error


def named(identity: Identity, sidecar_id: str, display_name: str, region: str) -> Identity:
    """The identity, with what the control plane calls it."""
    return replace(identity, sidecar_id=sidecar_id, display_name=display_name, region=region)


@dataclass(frozen=True, slots=True)
class Host:
    """The machine, and the boot of it, that a process runs in."""

    machine_id: str
    """Empty when it cannot be told."""
    boot_id: str
    """Empty when it cannot be told; then every start counts as another boot."""


def this_host() -> Host:
    """The host that this process runs on."""
    if not sys.platform.startswith("linux"):
        return Host("", "")
    return Host(
        _first_line(Path("/etc/machine-id")),
        _first_line(Path("/proc/sys/kernel/random/boot_id")),
    )


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
