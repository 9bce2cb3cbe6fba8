"""A scripted server: it answers what a test tells it to, and remembers what it was asked."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from clients.admin import Bursar, clock, connect

STREAMS = {"TailCalls", "CreateBackup"}
Answer = Callable[[bytes, grpc.ServicerContext], Any]


@dataclass
class Script(grpc.GenericRpcHandler):
    """What each method answers, in turn, and every request as it came."""

    answers: dict[str, deque[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def on(self, method: str, *answers: Any) -> None:
        """Answer the next requests of a method: with messages, lists of them, or functions."""
        queue = self.answers.setdefault(method, deque())
        queue.extend(answer if callable(answer) else _always(answer) for answer in answers)

    def asked(self, method: str) -> list[bytes]:
        """The requests that a method got."""
        return [request for name, request in self.requests if name == method]

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        name = details.method.rsplit("/", 1)[-1]
        self.metadata.append({key: str(value) for key, value in details.invocation_metadata})

        def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.requests.append((name, request))
            answered = self.answers[name].popleft()(request, context)
            return bytes(answered.SerializeToString())

        def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            self.requests.append((name, request))
            for piece in self.answers[name].popleft()(request, context):
                yield piece.SerializeToString()

        if name in STREAMS:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


def _always(answer: Any) -> Answer:
    return lambda _request, _context: answer


def failing(code: grpc.StatusCode, text: str = "no") -> Answer:
    """An answer that is a status."""

    def answer(_request: bytes, context: grpc.ServicerContext) -> Any:
        context.abort(code, text)

    return answer


def pieces_then_failing(pieces: Iterable[Any], code: grpc.StatusCode) -> Answer:
    """A stream that breaks after some pieces."""

    def answer(_request: bytes, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from pieces
        context.abort(code, "broken")

    return answer


@pytest.fixture
def script() -> Iterator[Script]:
    """A server on a free port of this machine."""
    made = Script()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, handlers=[made], options=[("grpc.so_reuseport", 0)])
        made.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield made
        server.stop(grace=None).wait()


@pytest.fixture
def bursar(script: Script) -> Iterator[Bursar]:
    """A client of that server."""
    with connect(f"127.0.0.1:{script.port}", token="bursar_at_secret") as made:
        yield made


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Sequence[int]:
    """The pauses that were made, without waiting for them."""
    made: list[int] = []
    monkeypatch.setattr(clock, "pause_ms", made.append)
    return made


@pytest.fixture(name="failing")
def failing_fixture() -> Callable[..., Answer]:
    """Make an answer that is a status."""
    return failing


@pytest.fixture(name="pieces_then_failing")
def pieces_then_failing_fixture() -> Callable[..., Answer]:
    """Make a stream that breaks after some pieces."""
    return pieces_then_failing
