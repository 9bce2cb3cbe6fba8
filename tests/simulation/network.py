"""The network between sidecars and control plane: it delays, loses, repeats and cuts messages."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import trio

from protos.bursar.sidecar import v1 as wire
from tests.simulation.clocks import sleep

Serve = Callable[[Any], Any]


class LostError(grpc.RpcError):
    """A request or an answer that did not arrive, or that was refused."""

    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        super().__init__(words)
        self._code = code
        self._words = words

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._words


class Future:
    """What a stub's `.future()` gives, resolved by the simulated network."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []
        self._answer: Any = None
        self._error: BaseException | None = None
        self.done = False
        self._cancelled = False

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)
        if self.done:
            callback(self)

    def resolve(self, answer: Any = None, error: BaseException | None = None) -> None:
        if not self.done:
            self._answer, self._error, self.done = answer, error, True
            for callback in self._callbacks:
                callback(self)

    def cancel(self) -> None:
        self._cancelled = not self.done
        self.resolve()

    def cancelled(self) -> bool:
        return self._cancelled

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> Any:
        return self._answer


@dataclass(slots=True)
class Conditions:
    """How bad the network is."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_s: float = 0.02
    cut: set[str] = field(default_factory=set)
    """Hosts that reach nobody."""
    deaf: set[str] = field(default_factory=set)
    """Hosts whose requests arrive, and whose answers do not."""


class Stream:
    """One Watch stream: directives on their way to one process."""

    def __init__(self) -> None:
        self.send, self.receive = trio.open_memory_channel[wire.WatchResponse](1_000)

    def end(self) -> None:
        self.send.close()


class Network:
    """All messages of one run."""

    def __init__(self, chance: random.Random, count: Callable[[str], None]) -> None:
        """Take the run's chance; `count` is told of each fault that truly happened."""
        self.chance = chance
        self.count = count
        self.conditions = Conditions()
        self.nursery: trio.Nursery
        self.changed = trio.Event()

    def become(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.changed.set()
        self.changed = trio.Event()

    def reaches(self, host: str) -> bool:
        return host not in self.conditions.cut and host not in self.conditions.deaf

    async def reachable(self, host: str) -> None:
        """Wait until a host can be reached both ways."""
        while not self.reaches(host):
            await self.changed.wait()

    def method(
        self, host: str, serve: Serve, arrived: "Arrival", sends: "Sending", *, repeats: bool
    ) -> "Method":
        return Method(self, host, serve, arrived, sends, repeats=repeats)

    def lose(self, kind: str) -> bool:
        if self.conditions.loss and self.chance.random() < self.conditions.loss:
            self.count(f"lost {kind}")
            return True
        return False

    def repeat(self, kind: str) -> bool:
        duplication = self.conditions.duplication
        if duplication and self.chance.random() < duplication:
            self.count(f"repeated {kind}")
            return True
        return False

    def delay_s(self) -> float:
        return self.chance.uniform(0, self.conditions.delay_s)


Arrival = Callable[[], Any]
"""Awaited before an answer is handed over: a host that sleeps takes none."""
Sending = Callable[[Any], None]
"""Told of each request when it leaves."""


class Method:
    """One RPC over the simulated network."""

    def __init__(
        self,
        network: Network,
        host: str,
        serve: Serve,
        arrived: Arrival,
        sends: Sending,
        *,
        repeats: bool,
    ) -> None:
        self._network = network
        self._host = host
        self._serve = serve
        self._arrived = arrived
        self._sends = sends
        self._repeats = repeats

    def future(self, request: Any, timeout: float | None = None, **_: Any) -> Future:
        found = Future()
        self._sends(request)
        self._network.nursery.start_soon(self._carry, request, found, timeout or 10.0)
        return found

    async def _carry(self, request: Any, found: Future, timeout_s: float) -> None:
        """Carry a request and its answer, or lose either; a repeated request comes later."""
        network = self._network
        answer = None
        error: grpc.RpcError | None = None
        with trio.move_on_after(timeout_s):
            try:
                answer = await self._there_and_back(request, found)
            except grpc.RpcError as refused:
                error = refused
        await self._arrived()
        if answer is None:
            lost = LostError(grpc.StatusCode.DEADLINE_EXCEEDED, "lost")
            found.resolve(error=error or lost)
        else:
            found.resolve(answer)
        if self._repeats and network.repeat("request"):
            await sleep(network.chance.choice((0.05, 0.5, 3.0)))
            network.count("reordered request")
            try:
                self._serve(request)
            except grpc.RpcError:
                return

    async def _there_and_back(self, request: Any, found: Future) -> Any:
        network = self._network
        await self._arrived()
        await sleep(network.delay_s())
        if self._host in network.conditions.cut:
            network.count("message cut off")
            await trio.sleep_forever()
        if network.lose("request"):
            await trio.sleep_forever()
        if found.done:
            return None
        answer = self._serve(request)
        delay_s = network.delay_s()
        if trio.current_time() + delay_s > trio.current_effective_deadline():
            network.count("late answer")
        await sleep(delay_s)
        if not network.reaches(self._host):
            network.count("answer cut off")
            await trio.sleep_forever()
        if network.lose("answer"):
            await trio.sleep_forever()
        return answer
