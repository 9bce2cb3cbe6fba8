"""What surrounds every RPC: authentication, a deadline, errors on the wire, a line in the log.

Rules:

1. Who calls and whether he may is decided before the request is even read, and whoever is let in
   sends it at once: an RPC that nobody has to prove anything for takes no place for long.
2. An admin method that the table of roles does not know is refused.
3. Every unary RPC ends within a bound, whatever deadline its caller set. A change that was begun is
   carried out all the same; it is found again by its request_id.
4. The log tells method, caller, code and time; never a message, a credential or a field. What went
   well is told only in detail: who changed what stands in the audit log.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Final, Never, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from control_plane import limits
from control_plane.clock import Clock
from control_plane.core import access
from control_plane.core.observer import Nobody, Observer
from control_plane.core.principals import Principal
from control_plane.rpc import callers, status
from control_plane.rpc.deps import Deps
from control_plane.store.engine import ConflictError, QueryError, Store
from control_plane.telemetry import event, log
from control_plane.usecases import principals
from protos.telemetry.traces import Started
from protos.values import keys
from protos.values.errors import BursarError, InvalidArgumentError, PermissionDeniedError

OPEN_METHODS: Final = frozenset({"/grpc.health.v1.Health/Check"})
"""Methods that need no credential: they tell nothing, and end at once."""
PRINCIPALS_ONLY: Final = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.reflection.v1.ServerReflection",
    }
)
"""Open to every principal: what is served is public, but nobody else's business."""
SIDECAR_SERVICE: Final = "bursar.sidecar.v1.SidecarService"
"""Its own servicer authenticates sidecars, in the transaction of each RPC."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"
Requests: TypeAlias = "AsyncIterable[Any]"
Context = grpc.aio.ServicerContext[Any, Any]
_NOBODY: Final = Nobody()
_REFUSED: Final = "other"
"""What an RPC is counted as that was refused before its method was looked up."""


class Surrounding(grpc.aio.ServerInterceptor):
    """Authenticates, bounds, translates errors and logs, in this order from the outside."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        unary_deadline_s: float = limits.UNARY_DEADLINE_S,
        observer: Observer = _NOBODY,
    ) -> None:
        """Take what tokens are looked up in, what time is told by, and who watches."""
        self.observer = observer
        self._store = store
        self._clock = clock
        self._unary_deadline_s = unary_deadline_s

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handler of one RPC."""
        path = handler_call_details.method
        call = _Call(self, path, handler_call_details.invocation_metadata)
        try:
            caller = await self._permit(call)
        except Exception as error:  # noqa: BLE001 - every refusal has to reach the caller
            return call.refusing(error)
        handler = await continuation(handler_call_details)
        if handler is None:
            return call.refusing(_unknown(path))
        return call.surrounded(handler, caller)

    async def _permit(self, call: "_Call") -> callers.Caller | None:
        service, method = call.service, call.method
        package, _, name = service.rpartition(".")
        if call.path in OPEN_METHODS or service == SIDECAR_SERVICE:
            return None
        token = callers.credential_of(call.metadata, keys.ADMIN_TOKEN)
        now_unix_ms = self._clock.unix_ms()
        if service in PRINCIPALS_ONLY:
            principal = await self.read(lambda tx: principals.authenticate(tx, token, now_unix_ms))
            return callers.Caller(principal, name, method, token)
        if package != access.PACKAGE:
            raise PermissionDeniedError(f"nobody may call {service}", method=method)
        principal = await self.read(
            lambda tx: principals.permit(tx, token, name, method, now_unix_ms)
        )
        return callers.Caller(principal, name, method, token)

    async def read(self, fn: Callable[[Any], Principal]) -> Principal:
        """Run a reading transaction."""
        return await asyncio.wrap_future(self._store.read(fn))

    @property
    def clock(self) -> Clock:
        """What time is told by."""
        return self._clock

    @property
    def unary_deadline_s(self) -> float:
        """How long a unary RPC may take."""
        return self._unary_deadline_s


def interceptors(deps: Deps) -> list[grpc.aio.ServerInterceptor]:
    """What surrounds every RPC of a server, from the outside to the inside."""
    return [Surrounding(deps.store, deps.clock, observer=deps.observer)]


class _Call:
    """One RPC with what surrounds it."""

    def __init__(self, around: Surrounding, path: str, metadata: callers.Metadata | None) -> None:
        self._around = around
        self.path = path
        service, _, self.method = path.removeprefix("/").rpartition("/")
        self.service = service
        self.metadata = metadata
        self._who = "-"
        self._counted_as = _REFUSED
        self._span: Started | None = None
        self._began_ns = around.clock.monotonic_ns()

    def refusing(self, error: Exception) -> Handler:
        """A handler that refuses without reading what is sent."""

        async def refuse(_requests: Any, context: Context) -> None:
            await self._fail(error, context)

        # As a handler of streams it is called before anything was sent.
        return grpc.stream_unary_rpc_method_handler(cast("Any", refuse))

    def surrounded(self, handler: Handler, caller: callers.Caller | None) -> Handler:
        """The handler with everything around it."""
        if caller is not None:
            self._who = caller.principal.principal_id
        if handler.unary_unary is not None:
            self._counted_as = self.path.removeprefix("/")
            return grpc.stream_unary_rpc_method_handler(
                cast("Any", self._unary(handler.unary_unary, caller)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        self._counted_as = ""  # How long a stream was open says nothing of how it went.
        if handler.unary_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                cast("Any", self._stream(handler.unary_stream, caller)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        # Only reflection streams its requests; it has no errors and no caller of ours.
        return handler

    def _unary(self, behaviour: Any, caller: callers.Caller | None) -> Any:
        async def serve(requests: Requests, context: Context) -> Any:
            self._span = self._around.observer.begin(_traceparent(self.metadata))
            if caller is not None:
                callers.enter(caller)
            try:
                async with asyncio.timeout(self._seconds_left(context)):
                    answer = behaviour(await _only(requests), context)
                    if inspect.isawaitable(answer):
                        answer = await answer
            except Exception as error:  # noqa: BLE001 - translated, logged, never lost
                await self._fail(error, context)
            self._write(grpc.StatusCode.OK)
            return answer

        return serve

    def _stream(self, behaviour: Any, caller: callers.Caller | None) -> Any:
        async def serve(requests: Requests, context: Context) -> AsyncIterator[Any]:
            if caller is not None:
                callers.enter(caller)
            answers: Any = None
            try:
                answers = behaviour(await _only(requests), context)
                if inspect.isawaitable(answers):
                    await answers
                else:
                    async for answer in answers:
                        yield answer
            except Exception as error:  # noqa: BLE001 - translated, logged, never lost
                await self._fail(error, context)
            finally:
                if hasattr(answers, "aclose"):
                    await answers.aclose()
            self._write(grpc.StatusCode.OK)

        return serve

    def _seconds_left(self, context: Context) -> float:
        asked = cast("float | None", context.time_remaining())
        bound = self._around.unary_deadline_s
        return bound if asked is None else min(bound, asked)

    async def _fail(self, error: Exception, context: Context) -> Never:
        """Tell the caller, in the log's one line and on the wire."""
        if isinstance(error, grpc.aio.AbortError):
            self._write(None)
            raise error
        if isinstance(error, TimeoutError):
            self._write(grpc.StatusCode.DEADLINE_EXCEEDED)
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "not done in time; a change may still be carried out: ask again with the same "
                "request_id",
            )
        if isinstance(error, BursarError) and type(error) is not BursarError:
            code, told = status.code_of(error), status.status_of(error)
        else:
            code, told = grpc.StatusCode.INTERNAL, status.internal_status()
            log.error(
                "rpc failed",
                exc_info=_without_values(error),
                extra={"fields": {"method": self.path}},
            )
        self._write(code)
        await context.abort(
            code,
            told.message,
            trailing_metadata=((status.DETAILS_KEY, told.SerializeToString()),),
        )
        raise AssertionError("abort raises")

    def _write(self, code: grpc.StatusCode | None) -> None:
        took_us = (self._around.clock.monotonic_ns() - self._began_ns) // 1_000
        if self._counted_as:
            told = "UNKNOWN" if code is None else code.name
            self._around.observer.ended(self._counted_as, told, took_us, self._span)
        event(
            "rpc",
            level=logging.DEBUG if code is grpc.StatusCode.OK else logging.INFO,
            method=self.path,
            caller=self._who,
            code="ABORTED BY HANDLER" if code is None else code.name,
            us=took_us,
        )


def _traceparent(metadata: callers.Metadata | None) -> str:
    for name, value in metadata or ():
        if name == "traceparent" and isinstance(value, str):
            return value
    return ""


async def _only(requests: Requests) -> Any:
    """The one request of an RPC. Raises InvalidArgumentError when none comes, or none that is."""
    try:
        async with asyncio.timeout(limits.REQUEST_WAIT_S):
            return await anext(aiter(requests))
    except StopAsyncIteration:
        raise InvalidArgumentError("the request is missing", field="request") from None
    except TimeoutError:
        raise InvalidArgumentError(
            f"the request did not come within {limits.REQUEST_WAIT_S} s", field="request"
        ) from None
    except DecodeError:
        raise InvalidArgumentError(
            "the request is no message of this method: use a client of the server's version",
            field="request",
        ) from None


def _unknown(path: str) -> BursarError:
    method = path.rpartition("/")[2]
    return PermissionDeniedError(f"there is no method {method[:100]!r} here", method=method[:100])


def _without_values(error: Exception) -> Exception:
    """The error with its place; its text only where it cannot hold what was sent."""
    said = str(error) if isinstance(error, QueryError | ConflictError) else ""
    return RuntimeError(f"{type(error).__name__} {said}".rstrip()).with_traceback(
        error.__traceback__
    )
