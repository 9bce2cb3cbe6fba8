"""Serves the installation: its description, and copies of its data."""

import asyncio
import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Final

import grpc.aio

from control_plane import limits
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from control_plane.store import schema
from control_plane.store.engine import Tx
from control_plane.store.sqlite import database_name
from control_plane.usecases import installation, learning
from control_plane.usecases.acts import Act
from control_plane.usecases.learning import Learning
from protos.bursar.admin import v1
from protos.values.errors import UnavailableError

_COPY_PREFIX: Final = ".backup-"

Context = grpc.aio.ServicerContext[object, object]


class InstallationServicer(v1.InstallationServiceServicer):
    """Describes the installation and copies its data."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._backups = 0
        # Only this process uses the folder: what is there was left by one that was killed.
        for left in transactions.deps.config.data.glob(f"{_COPY_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    async def GetInstallation(
        self, request: v1.GetInstallationRequest, context: Context
    ) -> v1.Installation:
        deps = self._transactions.deps
        told = await self._transactions.read(
            request, lambda tx: installation.get_installation(tx, deps.vault)
        )
        meta = told.meta
        return v1.Installation(
            software_version=software_version(),
            generation=meta.generation,
            mode="LEARNING" if meta.learning else "NORMAL",
            policy_version=meta.policy_version,
            time_zone=meta.time_zone,
            now_time=instant_to_wire(self._transactions.now_unix_ms()),
            database=database_name(),
            schema_version=schema.steps()[-1].name,
            secrets_unlocked=told.secrets_unlocked,
            encryption_key_id=told.encryption_key_id,
            backup_time=instant_or_none_to_wire(meta.backup_unix_ms or None),
            public_url=deps.config.public_url,
            disk_free_bytes=await asyncio.to_thread(_free_bytes, deps.config.data),
            learning=learning_to_wire(told.learning),
        )

    async def FinishLearning(
        self, request: v1.FinishLearningRequest, context: Context
    ) -> v1.Learning:
        named = tuple(request.sidecar_ids)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Learning,
            lambda tx, act: learning_to_wire(
                learning.finish_learning(tx, named, request.reason, act)
            ),
        )

    async def BeginWatermark(
        self, request: v1.BeginWatermarkRequest, context: Context
    ) -> v1.Learning:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Learning,
            lambda tx, act: learning_to_wire(learning.begin_watermark(tx, request.reason, act)),
        )

    async def CreateBackup(
        self, request: v1.CreateBackupRequest, context: Context
    ) -> AsyncIterator[v1.CreateBackupResponse]:
        if self._backups >= limits.BACKUPS_MAX:
            raise UnavailableError("a copy is being made: ask again when it is done")
        self._backups += 1
        try:
            async for piece in self._backup(request):
                yield piece
        finally:
            self._backups -= 1

    async def _backup(
        self, request: v1.CreateBackupRequest
    ) -> AsyncIterator[v1.CreateBackupResponse]:
        def note(tx: Tx, act: Act) -> v1.CreateBackupResponse:
            installation.create_backup(tx, act)
            return v1.CreateBackupResponse()

        await self._transactions.change(request, request.request_id, v1.CreateBackupResponse, note)
        store, data = self._transactions.deps.store, self._transactions.deps.config.data
        # Beside the data and not in /tmp: it needs as much room, and must be as private.
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=_COPY_PREFIX, dir=data))
        try:
            copy = folder / "copy.db"
            size = await asyncio.wrap_future(store.backup(copy))
            async with contextlib.aclosing(_pieces(copy, size)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def learning_to_wire(told: Learning) -> v1.Learning:
    """What is known of a database that may be old."""
    return v1.Learning(
        in_progress=told.in_progress,
        missing_sidecars=told.missing,
        unknown_nano_usd=told.unknown_nano_usd,
        watermark_trouble=told.watermark_trouble,
        grants_time=instant_or_none_to_wire(told.grants_unix_ms),
    )


async def _pieces(path: Path, size_bytes: int) -> AsyncGenerator[v1.CreateBackupResponse, None]:
    """A file in pieces; the first tells its size, the last its digest."""
    digest = hashlib.sha256()
    sent = 0
    with await asyncio.to_thread(path.open, "rb") as file:
        while sent < size_bytes:
            content = await asyncio.to_thread(file.read, limits.BACKUP_PIECE_BYTES)
            assert content, "a copy does not shrink"
            digest.update(content)
            last = sent + len(content) >= size_bytes
            yield v1.CreateBackupResponse(
                content=content,
                size_bytes=size_bytes if sent == 0 else 0,
                sha256=digest.digest() if last else b"",
            )
            sent += len(content)


def software_version() -> str:
    """The version of the software that runs."""
    try:
        return metadata.version("bursar")
    except metadata.PackageNotFoundError:
        return "unknown"


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
