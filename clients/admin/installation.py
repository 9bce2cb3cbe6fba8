"""The installation as a whole, and copies of its data."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clients.admin.instants import instant_from_wire, instant_or_none_from_wire
from clients.admin.limits import BACKUP_DEADLINE_MS
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.errors import AlreadyExistsError, UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """Whether the database may be an old copy, and what follows from that."""

    in_progress: bool
    """Nothing is granted until `grants_time`; then what may be missing is held beside."""
    missing_sidecars: tuple[str, ...]
    """The names of sidecars that have not told yet what they hold."""
    unknown_nano_usd: int
    """What may have been granted beyond this database and nobody has shown, over all periods."""
    watermark_trouble: str
    """Why the watermark cannot be trusted or written; "" when all is well."""
    grants_time: datetime | None
    """From when money is granted again though sidecars are missing, beside what is held for them;
    None when it does not learn, or when nothing is granted before every one has synced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationInfo:
    """One agency's Bursar, as its control plane sees itself."""

    software_version: str
    """The software's version."""
    generation: int
    """Changes at every promotion or restore of the database."""
    mode: str
    """NORMAL, or LEARNING while the database may be old."""
    policy_version: int
    """The latest policy version."""
    time_zone: str
    """The default time zone of new projects."""
    now_time: datetime
    """The control plane's clock."""
    database: str
    """What the data lies in, such as "SQLite 3.40.1"."""
    schema_version: str
    """The newest migration that was applied."""
    secrets_unlocked: bool
    """Whether provider secrets can be opened: the encryption key is there and is the right one."""
    encryption_key_id: str
    """The id of the encryption key."""
    backup_time: datetime | None
    """When the last backup was made; None for never."""
    public_url: str
    """Where clients of containers or other hosts reach it; "" on loopback."""
    disk_free_bytes: int
    """Bytes free on the disk of the data."""
    learning: Learning
    """What is known of a database that may be old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy of the database that arrived whole."""

    path: Path
    """Where it lies."""
    size_bytes: int
    """Its size."""
    sha256: str
    """Its digest, in hex; it was checked against the control plane's."""


class Installation:
    """Describes the installation and copies its data."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.InstallationServiceStub(wire.channel)

    def get(self) -> InstallationInfo:
        """Describe the installation."""
        request = v1.GetInstallationRequest()
        return installation_from_wire(self._wire.ask(self._stub.GetInstallation, request))

    def finish_learning(
        self, sidecar_ids: Iterable[str], *, reason: str = "", request_id: str = ""
    ) -> Learning:
        """Say that these sidecars, which never told what they hold, need not be waited for.

        Raises FailedPreconditionError when the database is not learning.
        """
        request = v1.FinishLearningRequest(
            request_id=request_id or self._wire.request_id(),
            sidecar_ids=sidecar_ids,
            reason=reason,
        )
        return learning_from_wire(self._wire.ask(self._stub.FinishLearning, request))

    def begin_watermark(self, *, reason: str = "", request_id: str = "") -> Learning:
        """Begin a new watermark in place of one that is gone for good, and learn.

        Raises FailedPreconditionError while the watermark can be trusted.
        """
        request = v1.BeginWatermarkRequest(
            request_id=request_id or self._wire.request_id(), reason=reason
        )
        return learning_from_wire(self._wire.ask(self._stub.BeginWatermark, request))

    def backup(self, path: Path, *, replace: bool = False, request_id: str = "") -> Backup:
        """Write a consistent copy of the database, while it goes on working.

        The copy holds everything but the key that encrypts provider secrets. It appears at `path`
        only when it is whole and its digest is right; only its owner may read it. Raises
        AlreadyExistsError when there is a file and `replace` is false.
        """
        if path.exists() and not replace:
            raise AlreadyExistsError(f"{path} exists; name another file", field="path")
        partial = path.with_name(f".{path.name}.partial")
        request = v1.CreateBackupRequest(request_id=request_id or self._wire.request_id())
        pieces = self._wire.stream(self._stub.CreateBackup, request, deadline_ms=BACKUP_DEADLINE_MS)
        try:
            with closing(pieces):
                made = _receive(pieces, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return Backup(path=path, size_bytes=made.size_bytes, sha256=made.sha256)


def _receive(pieces: Iterator[v1.CreateBackupResponse], path: Path) -> Backup:
    """Write pieces to a file and compare their digest. Raises UnavailableError when it is off."""
    digest = hashlib.sha256()
    size_bytes = told_bytes = 0
    told_digest = b""
    # What somebody else laid in its place, such as a link in a folder for all, is not written to.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            told_bytes = piece.size_bytes or told_bytes
            told_digest = piece.sha256 or told_digest
            digest.update(piece.content)
            size_bytes += len(piece.content)
            file.write(piece.content)
        file.flush()
        os.fsync(file.fileno())
    if digest.digest() != told_digest or size_bytes != told_bytes:
        raise UnavailableError("the copy did not arrive whole; nothing was written, try again")
    return Backup(path=path, size_bytes=size_bytes, sha256=digest.hexdigest())


def installation_from_wire(wire: v1.Installation) -> InstallationInfo:
    """Read the description of an installation."""
    return InstallationInfo(
        software_version=wire.software_version,
        generation=wire.generation,
        mode=wire.mode,
        policy_version=wire.policy_version,
        time_zone=wire.time_zone,
        now_time=instant_from_wire(wire.now_time),
        database=wire.database,
        schema_version=wire.schema_version,
        secrets_unlocked=wire.secrets_unlocked,
        encryption_key_id=wire.encryption_key_id,
        backup_time=instant_or_none_from_wire(wire.backup_time),
        public_url=wire.public_url,
        disk_free_bytes=wire.disk_free_bytes,
        learning=learning_from_wire(wire.learning),
    )


def learning_from_wire(wire: v1.Learning) -> Learning:
    """Read what is known of a database that may be old."""
    return Learning(
        in_progress=wire.in_progress,
        missing_sidecars=tuple(wire.missing_sidecars),
        unknown_nano_usd=wire.unknown_nano_usd,
        watermark_trouble=wire.watermark_trouble,
        grants_time=instant_or_none_from_wire(wire.grants_time),
    )
