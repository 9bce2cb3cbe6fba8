"""What surrounds an RPC: a deadline, errors without insides, a log without contents."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from control_plane import limits
from control_plane.clock import SystemClock
from control_plane.rpc.callers import credential_of
from control_plane.rpc.interceptors import Surrounding
from control_plane.store.engine import ConflictError
from control_plane.store.sqlite import open_store
from protos.bursar.admin import v1
from protos.bursar.sidecar import v1 as sidecar
from protos.values import keys
from protos.values.errors import NotFoundError, UnauthenticatedError
from tests.control_plane.served import Served, told


def test_health_needs_no_credential(served: Served) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    for service in ("", "bursar.admin.v1.KeyService", "bursar.sidecar.v1.SidecarService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_is_watched_by_principals_alone(served: Served) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    asked = health_pb2.HealthCheckRequest()
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.Watch(asked, timeout=10))
    assert told(caught.value).code is grpc.StatusCode.UNAUTHENTICATED
    watched = stub.Watch(asked, metadata=served.metadata, timeout=10)
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()


METHODS = (
    "/bursar.admin.v1.ProjectService/ListProjects",
    "/bursar.sidecar.v1.SidecarService/Join",
    "/grpc.health.v1.Health/Check",
)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_message_is_refused_by_name(served: Served, method: str) -> None:
    ask: Any = served.channel.unary_unary(method)
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"\xff" * 9, metadata=served.metadata, timeout=10)
    refused = told(caught.value)
    assert (refused.code, refused.fields["field"]) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "request",
    )


@pytest.mark.parametrize(
    ("method", "with_token", "code"),
    [
        (METHODS[0], False, grpc.StatusCode.UNAUTHENTICATED),
        *((method, True, grpc.StatusCode.INVALID_ARGUMENT) for method in METHODS),
    ],
)
def test_an_rpc_whose_request_never_comes_ends(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    with_token: bool,
    code: grpc.StatusCode,
) -> None:
    monkeypatch.setattr(limits, "REQUEST_WAIT_S", 0.05)
    over = threading.Event()

    def never() -> Iterator[bytes]:
        over.wait(20)
        yield b""

    ask: Any = served.channel.stream_unary(method)
    call = ask.future(never(), metadata=served.metadata if with_token else (), timeout=10)
    assert call.code() is code
    over.set()


def test_reflection_is_for_principals(served: Served) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.ServerReflectionInfo(iter(asked), timeout=10))
    assert told(caught.value).code is grpc.StatusCode.UNAUTHENTICATED
    answer = next(stub.ServerReflectionInfo(iter(asked), metadata=served.metadata, timeout=10))
    names = {service.name for service in answer.list_services_response.service}
    assert "bursar.admin.v1.BudgetService" in names


def test_a_sidecar_without_a_credential_is_told_so(served: Served) -> None:
    stub = sidecar.SidecarServiceStub(served.channel)
    refused = served.refused(stub.Sync, sidecar.SyncRequest())
    assert refused.reason == "UNAUTHENTICATED"


def test_log_lines_hold_no_credential_and_nothing_that_was_sent(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="bursar.control_plane")
    stub = served.stub(v1.ProjectServiceStub)
    served.refused(stub.GetProject, v1.GetProjectRequest(project="very private client"))
    served.project("Another private client")
    assert "rpc" in caplog.text
    lines = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "/bursar.admin.v1.ProjectService/GetProject" in lines
    assert served.token not in lines
    assert "private client" not in lines


def behave(kind: str) -> Callable[[Any, Any], Awaitable[bytes]]:
    async def serve(_request: Any, _context: Any) -> bytes:
        match kind:
            case "slow":
                await asyncio.Event().wait()
            case "missing":
                raise NotFoundError("no such thing", thing="x")
            case "conflict":
                raise ConflictError("UNIQUE constraint failed: project.name_key")
            case "broken":
                raise KeyError("sk-live-secret")
        return b"fine"

    return serve


async def stream(_request: Any, _context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    raise NotFoundError("the rest is gone")


def answer_of(tmp_path: Path, kind: str, deadline_s: float = 5) -> tuple[str, str]:
    """Call a method that behaves in some way through the interceptor; code and message."""
    clock = SystemClock()
    store = open_store(tmp_path / "data", clock)
    most_s = 0.05 if kind == "slow" else deadline_s

    async def run() -> tuple[str, str]:
        server = grpc.aio.server(interceptors=[Surrounding(store, clock, unary_deadline_s=most_s)])
        handlers: dict[str, Any] = {
            "Check": grpc.unary_stream_rpc_method_handler(stream)
            if kind == "stream"
            else grpc.unary_unary_rpc_method_handler(behave(kind)),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                if kind == "stream":
                    call: Any = channel.unary_stream("/grpc.health.v1.Health/Check")
                    answers = call(b"", timeout=deadline_s)
                    got = [answer async for answer in answers]
                    return "OK", repr(got)
                unary: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
                answer = await unary(b"", timeout=deadline_s)
                return "OK", answer.decode()
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""
        finally:
            await server.stop(None)

    try:
        return asyncio.run(run())
    finally:
        store.close()


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        ("fine", "OK", "fine"),
        ("slow", "DEADLINE_EXCEEDED", "same request_id"),
        ("missing", "NOT_FOUND", "no such thing"),
        ("conflict", "INTERNAL", "failed on its own"),
        ("broken", "INTERNAL", "failed on its own"),
        ("stream", "NOT_FOUND", "the rest is gone"),
    ],
)
def test_how_a_handler_ends_is_told(tmp_path: Path, kind: str, code: str, says: str) -> None:
    got, message = answer_of(tmp_path, kind)
    assert got == code
    assert says in message
    assert "sk-live" not in message
    assert "UNIQUE" not in message


GOOD = keys.make_key(keys.ADMIN_TOKEN, bytes(24))


@pytest.mark.parametrize("value", [f"Bearer {GOOD}", f"bearer {GOOD}", f"BEARER  {GOOD} "])
def test_a_bearer_token_is_read(value: str) -> None:
    assert credential_of([("authorization", value)], keys.ADMIN_TOKEN) == GOOD


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        (None, "no credential"),
        ([], "no credential"),
        ([("authorization", GOOD)], "Bearer"),
        ([("authorization", f"Basic {GOOD}")], "Bearer"),
        ([("authorization", b"Bearer x")], "as text"),
        ([("authorization", f"Bearer {GOOD}"), ("authorization", f"Bearer {GOOD}")], "one"),
        ([("authorization", "Bearer " + "x" * 300)], "as text"),
        ([("authorization", f"Bearer {GOOD[:-1]}")], "cut off or mistyped"),
        ([("authorization", f"Bearer {GOOD[:-1]}0")], "cut off or mistyped"),
        ([("authorization", f"Bearer {keys.make_key(keys.PROJECT_KEY, bytes(24))}")], "AI calls"),
        ([("authorization", "Bearer sk-live-1")], "is wanted"),
    ],
)
def test_anything_else_is_refused_without_repeating_it(
    metadata: list[tuple[str, str | bytes]] | None, says: str
) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        credential_of(metadata, keys.ADMIN_TOKEN)
    assert says in caught.value.message
    assert "sk-live" not in caught.value.message
    assert GOOD[:-1] not in caught.value.message
