"""Serves sidecars: decode, run the use case in a transaction, encode, tell other sidecars."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import grpc

from control_plane import limits
from control_plane.core.leases import LeaseKey
from control_plane.core.reports import Answer, Report, Status
from control_plane.rpc import policy_wire, sidecar_wire
from control_plane.rpc.deps import Deps
from control_plane.rpc.hub import Directives
from control_plane.rpc.under_way import UnderWay
from control_plane.store import installation, sidecars
from control_plane.store.engine import StoreBusyError, Tx
from control_plane.telemetry import event
from control_plane.usecases import policy
from control_plane.usecases.join import Join, join
from control_plane.usecases.register import drain, register
from control_plane.usecases.sync import sync
from protos.bursar.sidecar import v1
from protos.values import keys
from protos.values.errors import UnauthenticatedError

T = TypeVar("T")
Context = grpc.aio.ServicerContext[object, object]


class SidecarServicer(v1.SidecarServiceServicer):
    """The sidecar's side of the lease protocol."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._known: dict[bytes, str] = {}
        self._under_way = UnderWay()

    async def Join(self, request: v1.JoinRequest, context: Context) -> v1.JoinResponse:
        asked = Join(
            join_token=request.join_token,
            credential_digest=request.credential_digest,
            sealing_public_key=request.sealing_public_key,
            display_name=request.display_name,
        )
        now = self._deps.clock.unix_ms()
        joined = await self._write(lambda tx: join(tx, asked, self._deps.entropy, now))
        event("sidecar joined", sidecar=joined.sidecar_id, called=joined.display_name)
        return v1.JoinResponse(
            sidecar_id=joined.sidecar_id, display_name=joined.display_name, region=joined.region
        )

    async def Register(self, request: v1.RegisterRequest, context: Context) -> v1.RegisterResponse:
        sidecar_id = await self._who(context)
        asked = sidecar_wire.registration_from_wire(request)
        now = self._deps.clock.unix_ms()
        answer = await self._write(
            lambda tx: register(tx, sidecar_id, asked, self._deps.levels, now)
        )
        event(
            "sidecar registered",
            sidecar=sidecar_id,
            epoch=answer.epoch,
            status=answer.status.value,
        )
        response = sidecar_wire.registered_to_wire(answer, now)
        if answer.status is not Status.FENCED:
            snapshot = await self._snapshot(sidecar_id, request.policy_version)
            if snapshot is not None:
                response.policy.CopyFrom(snapshot)
        return response

    async def Sync(self, request: v1.SyncRequest, context: Context) -> v1.SyncResponse:
        sidecar_id = await self._who(context)
        report = sidecar_wire.report_from_wire(request)
        return await self._finish(self._synced(sidecar_id, report))

    async def _synced(self, sidecar_id: str, report: Report) -> v1.SyncResponse:
        """Book a report, and tell others what came of it: also when its sender hangs up."""
        now = self._deps.clock.unix_ms()
        try:
            answer = await self._write(
                lambda tx: sync(
                    tx, sidecar_id, report, self._deps.levels, now, self._deps.hub.watching
                )
            )
        except StoreBusyError:
            return v1.SyncResponse(
                status=v1.SyncStatus.SYNC_STATUS_BUSY,
                sync_no=report.sync_no,
                next_sync_ms=limits.SYNC_BACKOFF_MS,
            )
        self._tell_others(sidecar_id, report, answer)
        if report.records:
            self._deps.hub.ledger_moved()
        return sidecar_wire.answer_to_wire(answer, now)

    async def Watch(
        self, request: v1.WatchRequest, context: Context
    ) -> AsyncIterator[v1.WatchResponse]:
        sidecar_id = await self._who(context)
        if not await self._in_charge(sidecar_id, request.incarnation):
            return  # Else it would end the stream of the process that is.
        stream = self._deps.hub.subscribe(sidecar_id, request.incarnation)
        version = request.policy_version
        try:
            while (directives := await stream.wait(self._beat_ms(sidecar_id))) is not None:
                if directives.policy:
                    snapshot = await self._snapshot(sidecar_id, version)
                    if snapshot is not None:
                        version = snapshot.version
                        yield v1.WatchResponse(policy=snapshot)
                for response in self._spoken(directives):
                    yield response
        finally:
            self._deps.hub.unsubscribe(stream)

    def _beat_ms(self, sidecar_id: str) -> int:
        waits = self._deps.levels.waits(sidecar_id, self._deps.clock.unix_ms())
        return limits.HEARTBEAT_WAITING_MS if waits else limits.HEARTBEAT_MS

    async def Drain(self, request: v1.DrainRequest, context: Context) -> v1.DrainResponse:
        sidecar_id = await self._who(context)
        now = self._deps.clock.unix_ms()
        stranded = await self._write(
            lambda tx: drain(
                tx, sidecar_id, request.epoch, request.incarnation, self._deps.levels, now
            )
        )
        event("sidecar drained", sidecar=sidecar_id, stranded_nano_usd=stranded)
        return v1.DrainResponse(stranded_nano_usd=stranded)

    async def _who(self, context: Context) -> str:
        """The sidecar that shows its credential. Revocation is checked again in the use case."""
        text = _bearer(context)
        if not keys.is_key(text, keys.SIDECAR_CREDENTIAL):
            raise UnauthenticatedError("that is no sidecar credential: join first")
        digest = keys.key_digest(text)
        known = self._known.get(digest)
        if known is None:
            found = await self._read(lambda tx: sidecars.by_digest(tx, digest))
            if found is None:
                raise UnauthenticatedError("the sidecar credential is unknown here: join again")
            known = self._known[digest] = found.sidecar_id
        return known

    async def _in_charge(self, sidecar_id: str, incarnation: str) -> bool:
        """Whether a process is the one that speaks for its sidecar, and may hold money.

        Of a revoked sidecar none is asked for: its first look at the policy refuses it.
        """
        sidecar = await self._read(lambda tx: sidecars.get(tx, sidecar_id))
        if sidecar is None or sidecar.revoked_unix_ms:
            return True
        return sidecar.incarnation == incarnation and sidecar.state != "FENCED"

    async def _snapshot(self, sidecar_id: str, known_version: int) -> v1.Policy | None:
        """The policy for a sidecar, if it is newer than the version that it has."""
        now = self._deps.clock.unix_ms()

        def read(tx: Tx) -> v1.Policy | None:
            sidecar = sidecars.get(tx, sidecar_id)
            if sidecar is None or sidecar.revoked_unix_ms:
                raise UnauthenticatedError(
                    "this sidecar's credential was revoked: let it join again"
                )
            if installation.get(tx).policy_version <= known_version:
                return None
            snapshot = policy.snapshot(tx, sidecar, self._deps.vault, now)
            return policy_wire.policy_to_wire(snapshot)

        return await self._read(read)

    def _spoken(self, directives: Directives) -> list[v1.WatchResponse]:
        """Directives as messages; a nudge after what it may replace, a heartbeat always last."""
        spoken = [_recall(lease, keep) for lease, keep in directives.recalls]
        spoken += [
            v1.WatchResponse(left=sidecar_wire.left_to_wire(left)) for left in directives.lefts
        ]
        if directives.offer is not None:
            spoken.append(v1.WatchResponse(offer=sidecar_wire.offer_to_wire(directives.offer)))
        if directives.nudge:
            spoken.append(v1.WatchResponse(nudge=v1.Nudge()))
        now = self._deps.clock.unix_ms()
        spoken.append(v1.WatchResponse(heartbeat=v1.Heartbeat(now_unix_ms=now)))
        return spoken

    def _tell_others(self, sidecar_id: str, report: Report, answer: Answer) -> None:
        for alarm in answer.alarms:
            event(
                "alarm",
                level=logging.ERROR,
                kind=alarm.kind,
                sidecar=alarm.holder.sidecar_id,
                epoch=alarm.holder.epoch,
                budget=alarm.key.budget_id,
                period=alarm.key.period_id,
                call=alarm.call_id,
                amount_nano_usd=alarm.amount_nano_usd,
                detail=alarm.detail,
            )
        if report.demands:
            # From now on it beats faster, and is relied on.
            self._deps.hub.beat(sidecar_id)
        for recall in answer.recalls:
            self._deps.hub.recall(recall.sidecar_id, recall.key, recall.keep_nano_usd)
        self._deps.hub.nudge(answer.nudges)
        for left in answer.lefts:
            self._deps.hub.left(left)
        for offer in answer.offers:
            self._deps.hub.offer(offer)
        if answer.status in (Status.FENCED, Status.GAP, Status.LEARNING):
            event(
                "sync not ok",
                sidecar=sidecar_id,
                status=answer.status.value,
                from_seq=report.from_seq,
                acked_seq=answer.acked_seq,
            )

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._under_way.finish(work)

    async def _write(self, fn: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._deps.store.write(fn))

    async def _read(self, fn: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._deps.store.read(fn))


def _recall(lease: LeaseKey, keep_nano_usd: int) -> v1.WatchResponse:
    return v1.WatchResponse(
        recall=v1.Recall(lease=sidecar_wire.lease_key_to_wire(lease), keep_nano_usd=keep_nano_usd)
    )


def _bearer(context: Context) -> str:
    """The credential in the metadata; "" when there is none."""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization" and isinstance(value, str):
            scheme, _, text = value.partition(" ")
            return text.strip() if scheme.lower() == "bearer" else ""
    return ""
