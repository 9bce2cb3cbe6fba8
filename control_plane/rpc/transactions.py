"""Carries admin requests into transactions: reads on a snapshot, changes exactly once.

Rules for a change:

1. The caller's token and role are proven again inside the transaction, so that a revocation that
   was answered before binds every change that commits after it.
2. The request's id and digest decide whether it is new. A repeated one gets the earlier answer; the
   answer is stored in the same transaction as the change, without its secret.
3. Sidecars are told only after the commit.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from control_plane import limits
from control_plane.core import fields
from control_plane.rpc import callers
from control_plane.rpc.callers import Caller
from control_plane.rpc.deps import Deps
from control_plane.rpc.kept_secrets import KeptSecrets
from control_plane.rpc.under_way import UnderWay
from control_plane.store.engine import Tx
from control_plane.usecases import principals
from control_plane.usecases.acts import Act
from control_plane.usecases.requests import earlier_answer, keep_answer
from protos.values.errors import InvalidArgumentError

T = TypeVar("T")
Answer = TypeVar("Answer", bound=Message)


class Transactions:
    """Runs use cases for the caller of the RPC in progress."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._kept = KeptSecrets()
        self._under_way = UnderWay()

    @property
    def deps(self) -> Deps:
        """The parts that requests are answered with."""
        return self._deps

    def now_unix_ms(self) -> int:
        """The time."""
        return self._deps.clock.unix_ms()

    async def read(self, request: Message, fn: Callable[[Tx], T]) -> T:
        """Run a use case that changes nothing."""
        check_request(request)
        return await asyncio.wrap_future(self._deps.store.read(fn))

    async def change(
        self,
        request: Message,
        request_id: str,
        answer_type: type[Answer],
        fn: Callable[[Tx, Act], Answer],
        *,
        shown_once: str = "",
    ) -> Answer:
        """Run a use case that changes something, once for each request id.

        `shown_once` names the field of the answer that is a secret and is stored nowhere.
        """
        check_request(request)
        fields.check_request_id(request_id)
        caller = callers.current()
        now_unix_ms = self.now_unix_ms()
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()

        def run(tx: Tx) -> tuple[Answer, bool]:
            act = self._act(tx, caller, request_id, now_unix_ms)
            earlier = earlier_answer(tx, act, digest)
            if earlier is not None:
                return answer_type.FromString(earlier), True
            answer = fn(tx, act)
            keep_answer(tx, act, digest, _without(answer, shown_once))
            return answer, False

        async def carry_out() -> Answer:
            answer, repeated = await asyncio.wrap_future(self._deps.store.write(run))
            principal_id = caller.principal.principal_id
            if shown_once and repeated:
                text = self._kept.find(principal_id, request_id, now_unix_ms)
                setattr(answer, shown_once, text)
            elif shown_once:
                self._kept.keep(principal_id, request_id, getattr(answer, shown_once), now_unix_ms)
            self._deps.hub.policy_changed()
            return answer

        return await self._under_way.finish(carry_out())

    def _act(self, tx: Tx, caller: Caller, request_id: str, now_unix_ms: int) -> Act:
        principal = principals.permit(tx, caller.token, caller.service, caller.method, now_unix_ms)
        deps = self._deps
        return Act(principal, caller.method, request_id, now_unix_ms, deps.entropy, deps.desk_url)


def check_request(request: Message) -> None:
    """Refuse a request that is too large, or that says something this server does not know."""
    size = request.ByteSize()
    if size > limits.ADMIN_REQUEST_BYTES_MAX:
        raise InvalidArgumentError(
            f"the request has {size} bytes, {limits.ADMIN_REQUEST_BYTES_MAX} are allowed",
            field="request",
        )
    known = type(request)()
    known.CopyFrom(request)
    known.DiscardUnknownFields()
    if known.ByteSize() != size:
        raise InvalidArgumentError(
            "the request has fields that this server does not know, and it will not guess what "
            "they mean: upgrade the server, or use a client of its version",
            field="request",
        )


def _without(answer: Message, field: str) -> bytes:
    if not field:
        return answer.SerializeToString()
    kept = type(answer)()
    kept.CopyFrom(answer)
    kept.ClearField(field)
    return kept.SerializeToString()
