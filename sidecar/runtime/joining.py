"""Joining: a one-time token for a credential that the sidecar made for itself and kept before.

So the same request may be repeated until it is answered, by this process or the next.
"""

from __future__ import annotations

from typing import Protocol

import grpc
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.limits import RECONNECT_MAX_MS, RECONNECT_MIN_MS, REGISTER_DEADLINE_MS
from sidecar.runtime import grpc_bridge, identity
from sidecar.runtime.grpc_bridge import code_of, words_of
from sidecar.runtime.identity import Identity
from sidecar.telemetry import Log

REFUSED_CODES = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
"""The control plane does not accept who asks."""
_FINAL_CODES = (
    *REFUSED_CODES,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
)


class JoinRefusedError(Exception):
    """The control plane does not let this sidecar join; the message says what to do."""


class Stub(Protocol):
    """The control plane's methods, as the generated stub has them."""

    Join: grpc.UnaryUnaryMultiCallable[wire.JoinRequest, wire.JoinResponse]
    Register: grpc.UnaryUnaryMultiCallable[wire.RegisterRequest, wire.RegisterResponse]
    Sync: grpc.UnaryUnaryMultiCallable[wire.SyncRequest, wire.SyncResponse]
    Watch: grpc.UnaryStreamMultiCallable[wire.WatchRequest, wire.WatchResponse]
    Drain: grpc.UnaryUnaryMultiCallable[wire.DrainRequest, wire.DrainResponse]


async def join(stub: Stub, me: Identity, token: str, log: Log) -> Identity:
    """Become a sidecar of the installation. Raises JoinRefusedError."""
    request = wire.JoinRequest(
        join_token=token,
        credential_digest=me.credential_digest,
        sealing_public_key=me.sealing_public_key,
        display_name=me.display_name,
    )
    pause_ms = RECONNECT_MIN_MS
    while True:
        try:
            answer = await grpc_bridge.unary(
                stub.Join, request, timeout_s=REGISTER_DEADLINE_MS / 1_000
            )
        except grpc.RpcError as error:
            if code_of(error) in _FINAL_CODES:
                raise JoinRefusedError(
                    f"The control plane refused to let this sidecar join ({words_of(error)}). "
                    "Make a new join token and start it again with that."
                ) from None
            log.warning("join_unanswered", cause=words_of(error))
        else:
            log.info("joined", sidecar_id=answer.sidecar_id, region=answer.region)
            return identity.named(me, answer.sidecar_id, answer.display_name, answer.region)
        await trio.sleep(pause_ms / 1_000)
        pause_ms = min(2 * pause_ms, RECONNECT_MAX_MS)
