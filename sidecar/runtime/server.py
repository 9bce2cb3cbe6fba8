"""Listens for callers, serves each connection request by request, and ends it well.

Rules:
1. One task per connection, and one watch for all of them: it compares deadlines and looks for
   callers that hung up, four times a second.
2. Nothing that one connection raises may reach another.
3. The end has two steps: `stop` takes no new connection and no new request, `drain` waits for the
   calls in hand and, when time is up, breaks them off; each is settled either way.
"""

import logging
import resource
import select
import ssl
from collections.abc import Iterable
from functools import partial

import trio

from sidecar.clock import Clock
from sidecar.http import limits
from sidecar.http.codec import BadMessageError
from sidecar.providers import envelopes
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.caller import Caller, CallerGoneError, FaultError, Room, Why
from sidecar.runtime.drains import Drains
from sidecar.runtime.proxy import Proxy
from sidecar.runtime.sockets import PlainStream
from sidecar.runtime.upstream import Upstreams

_log = logging.getLogger(__name__)
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_BACKLOG_CONNECTIONS = 1_024
_SWEEPS_PER_EXPIRY = 20
_OTHER_FILES = 256
"""Files that are no connections: the journal, the log, the way to the control plane."""
_FAILED = envelopes.wire_fault(
    500,
    "internal_error",
    "the sidecar made a mistake; its log says which. If the call had begun, it is settled",
)
_TOO_MANY = envelopes.wire_fault(
    503,
    "overloaded",
    f"this sidecar has {limits.CALLERS_MAX_CONNECTIONS} connections, the most that it takes",
    retry=True,
)


class Server:
    """Serves callers until it is told to end."""

    def __init__(
        self,
        admission: AdmissionPort,
        upstreams: Upstreams,
        clock: Clock,
        allowed_hosts: frozenset[bytes],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take what calls need; `tls` makes the listeners speak TLS."""
        self._drains = Drains(self._perhaps_empty)
        self._proxy = Proxy(admission, upstreams, clock, allowed_hosts, self._drains)
        self._upstreams = upstreams
        self._tls = tls
        self._room = Room()
        self._callers: set[Caller] = set()
        self._ending = False
        self._accepting = trio.CancelScope()
        self._empty = trio.Event()

    async def serve(
        self,
        listeners: Iterable[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve the listeners until cancelled, or until `drain` is through."""
        try:
            async with trio.open_nursery() as nursery:
                self._drains.begin(nursery)
                nursery.start_soon(self._watch)
                task_status.started()
                with self._accepting:
                    accepted = partial(trio.serve_listeners, handler_nursery=nursery)
                    await accepted(self._handle, list(listeners))
                await self._empty.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._upstreams.close()

    def stop(self) -> None:
        """Take no new connection, and no new request on those that are open.

        A request that has come and was not read yet is answered: whoever sent it waits.
        """
        self._ending = True
        self._accepting.cancel()
        idle = {caller.file_number: caller for caller in self._callers if caller.is_idle}
        waiting = _ready(idle, select.POLLIN)
        for caller in list(self._callers):
            caller.keep = False
            if caller.is_idle and caller.file_number not in waiting:
                caller.cancel(Why.GONE)
        self._perhaps_empty()

    def _perhaps_empty(self) -> None:
        if self._ending and not self._callers and not self._drains.running:
            self._empty.set()

    async def drain(self, grace_ms: int) -> None:
        """Wait for the calls in hand; after the grace break them off, and wait till they settle."""
        self.stop()
        with trio.move_on_after(grace_ms / 1000):
            await self._empty.wait()
        for caller in list(self._callers):
            caller.cancel(Why.ENDING)
        self._drains.cancel()
        await self._empty.wait()

    @property
    def connections(self) -> int:
        """Callers' connections, idle or not."""
        return len(self._callers)

    # --- One connection --------------------------------------------------------------------------

    async def _handle(self, accepted: trio.SocketStream) -> None:
        """Serve one connection; nothing is raised but a cancellation from outside."""
        stream: PlainStream | trio.SSLStream[trio.SocketStream]
        if self._tls is None:
            stream = PlainStream.adopt(accepted)
        else:
            stream = trio.SSLStream(accepted, self._tls, server_side=True, https_compatible=True)
        caller = Caller(stream, self._room)
        crowded = len(self._callers) >= limits.CALLERS_MAX_CONNECTIONS
        self._callers.add(caller)
        try:
            with caller.scope:
                if crowded:
                    caller.keep = False
                    await caller.answer_fault(_TOO_MANY, read_rest=False)
                else:
                    await self._serve(caller)
            if caller.scope.cancelled_caught:
                with trio.move_on_after(limits.LINGER_MS / 1000):
                    await caller.tell_expiry()
        except (CallerGoneError, EOFError):
            pass
        except Exception:  # noqa: BLE001 - one connection's mistake must not reach another
            _log.exception("a connection ended by a mistake of the sidecar")
        finally:
            self._callers.discard(caller)
            self._perhaps_empty()
            await caller.close()

    async def _serve(self, caller: Caller) -> None:
        """Answer request after request. Raises EOFError, CallerGoneError at the end."""
        while True:
            await self._answer(caller)
            if not (caller.keep and caller.reader.ended) or self._ending:
                return
            caller.start_next()

    async def _answer(self, caller: Caller) -> None:
        try:
            head = await caller.read_head()
            await self._proxy.answer(caller, head)
        except FaultError as error:
            if caller.head_sent:
                raise CallerGoneError from None
            await caller.answer_fault(error.fault)
        except BadMessageError as error:
            caller.keep = False
            if caller.head_sent:
                raise CallerGoneError from None
            code = "request_too_large" if error.status == 431 else "invalid_request"
            fault = envelopes.wire_fault(error.status, code, f"bad HTTP: {error.message}")
            await caller.answer_fault(fault, read_rest=False)
        except (CallerGoneError, EOFError):
            raise
        except Exception:  # noqa: BLE001 - the caller is told, the log says what
            _log.exception("a request ended by a mistake of the sidecar")
            caller.keep = False
            if caller.head_sent:
                raise CallerGoneError from None
            await caller.answer_fault(_FAILED, read_rest=False)

    # --- The watch -------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Cancel what took too long and what nobody waits for."""
        sweeps = 0
        while True:
            await trio.sleep(limits.HANG_UP_CHECK_MS / 1000)
            now = trio.current_time()
            watched: dict[int, Caller] = {}
            for caller in self._callers:
                caller.look(now)
                if caller.watched:
                    watched[caller.file_number] = caller
            if watched:
                _cancel_gone(watched)
            sweeps += 1
            if sweeps % _SWEEPS_PER_EXPIRY == 0:
                self._upstreams.expire()


def _cancel_gone(watched: dict[int, Caller]) -> None:
    """Cancel the callers whose other side has closed."""
    for number in _ready(watched, _HUNG_UP):
        watched[number].cancel(Why.GONE)


def _ready(numbers: Iterable[int], events: int) -> list[int]:
    """Those of some sockets at which one of these events has come."""
    poll = select.poll()
    for number in numbers:
        poll.register(number, events)
    return [number for number, _ in poll.poll(0)]


def allow_connections() -> int:
    """Let this process hold as many sockets as its limits name; returns how many files it may.

    Systems begin with 1,024 open files a process, which 500 open streams would use up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CALLERS_MAX_CONNECTIONS + limits.UPSTREAM_MAX_CONNECTIONS + _OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


async def listen(host: str, port: int) -> list[trio.SocketListener]:
    """Open the sockets to listen on. Raises OSError."""
    allow_connections()
    return list(
        await partial(trio.open_tcp_listeners, backlog=_BACKLOG_CONNECTIONS)(port, host=host)
    )
