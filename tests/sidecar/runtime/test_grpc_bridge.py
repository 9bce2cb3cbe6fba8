"""gRPC from trio: answers, errors, deadlines, cancellation, streams, and nothing left behind."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.runtime import grpc_bridge
from sidecar.runtime.grpc_bridge import code_of, words_of


class Service(wire.SidecarServiceServicer):
    """Answers as the request's fields say."""

    def __init__(self) -> None:
        self.cancelled = threading.Semaphore(0)
        self.begun: list[str] = []
        """The requests that arrived: one that is cancelled early never does."""
        self.sent = 0

    def Drain(self, request: wire.DrainRequest, context: Any) -> wire.DrainResponse:  # noqa: N802 - gRPC's name
        ended = threading.Event()
        if not context.add_callback(ended.set):
            ended.set()
        self.begun.append("Drain")
        if request.incarnation == "fail":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "nothing left")
        left = context.time_remaining()
        if request.last_seq and ended.wait(request.last_seq / 1_000):
            self.cancelled.release()
        return wire.DrainResponse(stranded_nano_usd=int(min(left or 0, 1e6) * 1_000))

    def Join(self, request: wire.JoinRequest, context: Any) -> wire.JoinResponse:  # noqa: N802 - gRPC's name
        raise NotImplementedError

    def Register(self, request: wire.RegisterRequest, context: Any) -> wire.RegisterResponse:  # noqa: N802 - gRPC's name
        raise NotImplementedError

    def Sync(self, request: wire.SyncRequest, context: Any) -> wire.SyncResponse:  # noqa: N802 - gRPC's name
        raise NotImplementedError

    def Watch(self, request: wire.WatchRequest, context: Any) -> Iterator[wire.WatchResponse]:  # noqa: N802 - gRPC's name
        ended = threading.Event()
        context.add_callback(ended.set)
        try:
            for number in range(request.epoch):
                if request.incarnation == "fail" and number == 3:
                    context.abort(grpc.StatusCode.DATA_LOSS, "broken")
                self.sent = number
                pad = "x" * 65_536 if request.incarnation == "large" else ""
                recall = wire.Recall(lease=wire.LeaseKey(budget_id=pad), keep_nano_usd=number)
                yield wire.WatchResponse(recall=recall)
                if request.policy_version and ended.wait(request.policy_version / 1_000):
                    return
        finally:
            if ended.is_set():
                self.cancelled.release()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def stub(service: Service) -> Iterator[Any]:
    server = grpc.server(ThreadPoolExecutor(32))
    wire.add_SidecarServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield wire.SidecarServiceStub(channel)
    server.stop(None).wait()


def slow(ms: int) -> wire.DrainRequest:
    return wire.DrainRequest(last_seq=ms)


def endless(every_ms: int = 5) -> wire.WatchRequest:
    return wire.WatchRequest(epoch=1_000_000, policy_version=every_ms)


async def saw_cancellation(service: Service) -> bool:
    return await trio.to_thread.run_sync(lambda: service.cancelled.acquire(timeout=5))


def pumps() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "grpc-stream"]


@pytest.mark.trio
async def test_an_answer_comes_back(stub: Any) -> None:
    assert await grpc_bridge.unary(stub.Drain, wire.DrainRequest()) is not None


@pytest.mark.trio
async def test_an_error_tells_its_status_and_details(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await grpc_bridge.unary(stub.Drain, wire.DrainRequest(incarnation="fail"))
    assert code_of(caught.value) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert words_of(caught.value) == "RESOURCE_EXHAUSTED: nothing left"


@pytest.mark.trio
async def test_a_timeout_of_its_own_ends_as_deadline_exceeded(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await grpc_bridge.unary(stub.Drain, slow(3_000), timeout_s=0.05)
    assert code_of(caught.value) is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.trio
async def test_the_scopes_deadline_goes_along(stub: Any) -> None:
    with trio.fail_after(60):
        answer = await grpc_bridge.unary(stub.Drain, wire.DrainRequest())
    # gRPC rounds a deadline on its way, and a busy machine takes its time.
    assert 30_000 < answer.stranded_nano_usd <= 61_000


@pytest.mark.trio
async def test_where_both_deadlines_pass_the_scope_wins_every_time(
    stub: Any, service: Service
) -> None:
    for _ in range(20):
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.02):
            await grpc_bridge.unary(stub.Drain, slow(3_000))
    # What is asked last on a connection arrives last.
    await grpc_bridge.unary(stub.Drain, wire.DrainRequest())
    for _ in range(len(service.begun) - 1):
        assert await saw_cancellation(service)


@pytest.mark.trio
async def test_cancelling_the_scope_cancels_the_call_at_the_server(
    stub: Any, service: Service
) -> None:
    async def cancel_once_it_is_there() -> None:
        while not service.begun:  # noqa: ASYNC110 - it begins on a thread of the server
            await trio.sleep(0.005)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_once_it_is_there)
            await grpc_bridge.unary(stub.Drain, slow(60_000), timeout_s=60)
    assert scope.cancelled_caught
    assert await saw_cancellation(service)


@pytest.mark.trio
async def test_a_cancelled_scope_sends_nothing(stub: Any, service: Service) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await grpc_bridge.unary(stub.Drain, slow(1))
    assert scope.cancelled_caught
    assert not service.cancelled.acquire(blocking=False)


@pytest.mark.trio
async def test_many_calls_at_once_take_no_thread_each(stub: Any) -> None:
    before = threading.active_count()
    answers = []

    async def one() -> None:
        answers.append(await grpc_bridge.unary(stub.Drain, wire.DrainRequest()))

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(one)
    assert len(answers) == 300
    assert threading.active_count() - before <= 32 + 3


@pytest.mark.trio
async def test_a_stream_brings_its_messages_in_order(stub: Any) -> None:
    async with grpc_bridge.stream(stub.Watch, wire.WatchRequest(epoch=100)) as messages:
        numbers = [message.recall.keep_nano_usd async for message in messages]
    assert numbers == list(range(100))


@pytest.mark.trio
async def test_a_streams_error_comes_after_its_messages(stub: Any) -> None:
    numbers: list[int] = []

    async def follow() -> None:
        nonlocal numbers
        request = wire.WatchRequest(epoch=100, incarnation="fail")
        async with grpc_bridge.stream(stub.Watch, request) as messages:
            async for message in messages:
                numbers += [message.recall.keep_nano_usd]

    with pytest.raises(grpc.RpcError) as caught:
        await follow()
    assert numbers == [0, 1, 2]
    assert code_of(caught.value) is grpc.StatusCode.DATA_LOSS


@pytest.mark.trio
async def test_a_cancelled_stream_ends_at_the_server_and_its_thread_with_it(
    stub: Any, service: Service
) -> None:
    with trio.CancelScope() as scope:
        async with grpc_bridge.stream(stub.Watch, endless()) as messages:
            async for message in messages:
                if message.recall.keep_nano_usd == 3:
                    scope.cancel()
    assert scope.cancelled_caught
    assert await saw_cancellation(service)
    for thread in pumps():
        await trio.to_thread.run_sync(thread.join, 5)
    assert not pumps()


@pytest.mark.trio
async def test_leaving_a_stream_early_ends_it(stub: Any, service: Service) -> None:
    async with grpc_bridge.stream(stub.Watch, endless()) as messages:
        async for message in messages:
            if message.recall.keep_nano_usd == 3:
                break
    assert await saw_cancellation(service)


@pytest.mark.trio
async def test_a_reader_that_stops_holds_the_sender_back(stub: Any, service: Service) -> None:
    request = wire.WatchRequest(epoch=1_000_000, incarnation="large")
    async with grpc_bridge.stream(stub.Watch, request) as messages:
        async for message in messages:
            if message.recall.keep_nano_usd == 5:
                break
        last = -1
        with trio.fail_after(10):
            # Until the sender stands still.
            while last != service.sent:
                last = service.sent
                await trio.sleep(0.2)
    assert service.sent < 300


@pytest.mark.trio
async def test_a_stream_that_could_not_be_cancelled_is_refused() -> None:
    def hidden(request: object, **options: object) -> Iterator[object]:
        return iter(())

    with pytest.raises(TypeError, match="could not be cancelled"):
        async with grpc_bridge.stream(hidden, wire.WatchRequest()):  # type: ignore[arg-type]  # wrong on purpose
            pass


@pytest.mark.trio
async def test_a_channel_closed_under_a_call_ends_it(service: Service) -> None:
    server = grpc.server(ThreadPoolExecutor(4))
    wire.add_SidecarServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub: Any = wire.SidecarServiceStub(channel)
    failures: list[BaseException] = []

    async def call() -> None:
        try:
            await grpc_bridge.unary(stub.Drain, slow(60_000))
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.sleep(0.1)
        channel.close()
    assert len(failures) == 1
    server.stop(None).wait()


def test_a_loop_that_is_gone_is_not_told(service: Service) -> None:
    server = grpc.server(ThreadPoolExecutor(4))
    wire.add_SidecarServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def main(stub: Any) -> None:
        with trio.move_on_after(0.05):
            await grpc_bridge.unary(stub.Drain, slow(300))

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(3):
            trio.run(main, wire.SidecarServiceStub(channel))
    server.stop(None).wait()
