"""Calls gRPC's blocking stubs from trio tasks, without asyncio and without a thread per call.

1. A unary call is a gRPC future whose callback, on one of gRPC's threads, wakes the task through
   the event loop's token.
2. A server stream has one thread of its own that reads it, and hands over one message at a time:
   HTTP/2 flow control presses back on a sender that is too fast.
3. Cancelling the scope cancels the RPC, and returns only when gRPC has let go of it. A cancelled
   call may have been carried out all the same: whatever is called this way must bear repeating.
4. The scope's deadline goes along as the RPC's deadline. Where both pass at once the scope wins.

An interceptor that hides the call (some tracing ones return a bare generator) makes a stream that
cannot be cancelled; such a stream is refused.
"""

import contextlib
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import grpc
import trio

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Metadata = Sequence[tuple[str, str | bytes]]
_PUMP_NAME = "grpc-stream"


def code_of(error: BaseException) -> grpc.StatusCode | None:
    """The status of a failed call; None when there is none."""
    code = getattr(error, "code", None)
    found = code() if callable(code) else None
    return found if isinstance(found, grpc.StatusCode) else None


def words_of(error: BaseException) -> str:
    """A failed call's status and details, for people."""
    code = code_of(error)
    if code is None:
        return type(error).__name__
    details = getattr(error, "details", None)
    return f"{code.name}: {details() if callable(details) else ''}"


def _effective_timeout(timeout_s: float | None) -> tuple[float | None, float | None]:
    """The RPC's timeout, and the scope's deadline where that is what binds."""
    deadline = trio.current_effective_deadline()
    if deadline == math.inf:
        return timeout_s, None
    left_s = max(deadline - trio.current_time(), 0.0)
    if timeout_s is not None and timeout_s < left_s:
        return timeout_s, None
    return left_s, deadline


async def _let_the_scope_win(error: BaseException, deadline: float | None) -> None:
    """Raise Cancelled instead of returning when the RPC only ran out of the scope's time."""
    if deadline is not None and code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED:
        await trio.sleep_until(deadline)
        await trio.lowlevel.checkpoint()


def _wake(
    token: trio.lowlevel.TrioToken, function: Callable[..., object], *arguments: object
) -> None:
    with contextlib.suppress(trio.RunFinishedError):  # the loop is gone: nobody is left to tell
        token.run_sync_soon(function, *arguments)


async def unary(
    method: "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]",
    request: RequestT,
    *,
    timeout_s: float | None = None,
    metadata: Metadata | None = None,
) -> ResponseT:
    """Call a unary method. Raises grpc.RpcError, which also tells code and details."""
    await trio.lowlevel.checkpoint_if_cancelled()
    token = trio.lowlevel.current_trio_token()
    done = trio.Event()
    timeout_s, deadline = _effective_timeout(timeout_s)
    future = method.future(request, timeout=timeout_s, metadata=_pairs(metadata))
    future.add_done_callback(lambda _: _wake(token, done.set))
    try:
        await done.wait()
    except BaseException:
        future.cancel()
        with trio.CancelScope(shield=True):
            await done.wait()
        raise
    if future.cancelled():
        raise grpc.FutureCancelledError
    error = future.exception()
    if error is not None:
        await _let_the_scope_win(error, deadline)
        raise error
    return future.result()


def _pairs(metadata: Metadata | None) -> Any:
    return None if metadata is None else tuple(metadata)


class _Pump:
    """Reads a stream on a thread of its own, one message ahead of who consumes it."""

    def __init__(self, call: Any, token: trio.lowlevel.TrioToken) -> None:
        self._call = call
        self._token = token
        self._credit = threading.Semaphore(1)
        self._stopping = False
        self._send, self._receive = trio.open_memory_channel[Any](1)
        self._finished = trio.Event()
        self._failure: BaseException | None = None
        threading.Thread(target=self._read, name=_PUMP_NAME, daemon=True).start()

    def _read(self) -> None:
        failure: BaseException | None = None
        try:
            for message in self._call:
                self._credit.acquire()
                if self._stopping:
                    break
                _wake(self._token, self._deliver, message)
        except BaseException as error:  # noqa: BLE001 - raised again in the task that consumes
            failure = error
        finally:
            _wake(self._token, self._close, failure)

    def _deliver(self, message: Any) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self._send.send_nowait(message)

    def _close(self, failure: BaseException | None) -> None:
        self._failure = failure
        self._send.close()
        self._finished.set()

    async def messages(self, deadline: float | None) -> AsyncGenerator[Any, None]:
        """The messages as they come. Raises what ended the stream."""
        async for message in self._receive:
            self._credit.release()
            yield message
        if self._failure is not None:
            await _let_the_scope_win(self._failure, deadline)
            raise self._failure

    async def stop(self) -> None:
        """Cancel the RPC and wait until its thread is gone."""
        self._stopping = True
        self._call.cancel()
        self._credit.release()
        with trio.CancelScope(shield=True):
            await self._finished.wait()
        self._receive.close()


@contextlib.asynccontextmanager
async def stream(
    method: "grpc.UnaryStreamMultiCallable[RequestT, ResponseT]",
    request: RequestT,
    *,
    timeout_s: float | None = None,
    metadata: Metadata | None = None,
) -> AsyncGenerator[AsyncIterator[ResponseT], None]:
    """Open a server stream for the length of an `async with`, which gives its messages."""
    token = trio.lowlevel.current_trio_token()
    timeout_s, deadline = _effective_timeout(timeout_s)
    call = method(request, timeout=timeout_s, metadata=_pairs(metadata))
    if not hasattr(call, "cancel"):
        raise TypeError("an interceptor hid the gRPC call: its stream could not be cancelled")
    pump = _Pump(call, token)
    try:
        async with contextlib.aclosing(pump.messages(deadline)) as messages:
            yield messages
    finally:
        await pump.stop()
