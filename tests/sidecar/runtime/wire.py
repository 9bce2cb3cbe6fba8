"""A whole sidecar but for its control plane, in this process, before a real rehearsal provider.

Budgets have no cap here, so that no lease is needed; everything else is real: journal, admission,
sockets, the provider. What was settled is kept, so that a story can hold it against the bill.
"""

import io
import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio
from nacl.public import PrivateKey, SealedBox

from protos.values import quantities as kinds
from protos.values.keys import PROJECT_KEY, key_digest, make_key
from protos.values.rates import ModelPrice, Tier
from protos.values.selectors import Attributes, Selector
from sidecar.clock import KeptClock, SystemClock
from sidecar.core.calls import Hold, NewCall, Settlement
from sidecar.core.policy import Budget, DatedPrice, Key, Policy, Project, Provider
from sidecar.core.refusals import Refusal
from sidecar.entropy import SystemEntropy
from sidecar.http.hosts import allowed_hosts
from sidecar.runtime.admission import Admission
from sidecar.runtime.journal import open_journal
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.runtime.server import Server, listen
from sidecar.runtime.upstream import Upstreams
from sidecar.telemetry import Log

KEY = make_key(PROJECT_KEY, b"\1" * 24)
REVOKED = make_key(PROJECT_KEY, b"\2" * 24)
EXPIRED = make_key(PROJECT_KEY, b"\3" * 24)
NARROW = make_key(PROJECT_KEY, b"\4" * 24)
"""May use gpt-4o-mini only, and has a workflow of its own."""
SUSPENDED = make_key(PROJECT_KEY, b"\5" * 24)
UNKNOWN = make_key(PROJECT_KEY, b"\6" * 24)
PROVIDER_SECRET = "sk-the-agencys-own-secret"
LATE_S = 30
"""How long a story waits for what others bring about, on a machine that may be busy."""
_PROVIDERS = ("openai", "anthropic", "gemini")
_SEALING_KEY = b"\7" * 32


@dataclass
class Booked:
    """What admission was told."""

    opened: list[Hold] = field(default_factory=list)
    settled: dict[str, Settlement] = field(default_factory=dict)
    voided: dict[str, Settlement] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def cost_nano_usd(self) -> int:
        return sum(outcome.cost_nano_usd for outcome in self.settled.values())

    def only(self) -> Settlement:
        """The one settlement or void that there is."""
        (outcome,) = [*self.settled.values(), *self.voided.values()]
        return outcome


class WatchedAdmission(Admission):
    """The real admission, which keeps what it was told."""

    booked: Booked

    async def open(self, call: NewCall, *, counts: bool = True) -> Hold:
        hold = await super().open(call, counts=counts)
        self.booked.opened.append(hold)
        return hold

    def settle(self, hold: Hold, outcome: Settlement) -> None:
        assert hold.call_id not in self.booked.settled
        assert hold.call_id not in self.booked.voided
        self.booked.settled[hold.call_id] = outcome
        super().settle(hold, outcome)

    def void(self, hold: Hold, outcome: Settlement) -> None:
        assert hold.call_id not in self.booked.settled
        assert hold.call_id not in self.booked.voided
        self.booked.voided[hold.call_id] = outcome
        super().void(hold, outcome)

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        self.booked.refused.append(refusal)
        super().refused(refusal, attributes)


class Rehearsal:
    """A rehearsal provider in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=10) as answer:  # noqa: S310 - ours
            return json.load(answer)

    def reset(self) -> None:
        self._ask("/rehearsal/reset", {})

    def knobs(self, **knobs: Any) -> None:
        self._ask("/rehearsal/knobs", knobs)

    def bill(self) -> Any:
        return self._ask("/rehearsal/bill")

    def prices(self) -> Any:
        return self._ask("/rehearsal/prices")

    @property
    def billed_nano_usd(self) -> int:
        return sum(int(call["cost_nano_usd"]) for call in self.bill()["calls"])

    async def in_flight(self, calls: int) -> None:
        """Wait until so many calls are there whole and have not ended."""
        with trio.fail_after(LATE_S):
            while True:
                if (await trio.to_thread.run_sync(self.bill))["in_flight"] >= calls:
                    return
                await trio.sleep(0.02)

    async def ended(self, calls: int) -> list[Any]:
        """The calls on the bill, once there are so many: it is written as each one ends."""
        with trio.fail_after(LATE_S):
            while True:
                found = (await trio.to_thread.run_sync(self.bill))["calls"]
                if len(found) >= calls:
                    return list(found)
                await trio.sleep(0.02)


@contextmanager
def rehearsing(folder: Path, *options: str) -> Iterator[Rehearsal]:
    """Run a rehearsal provider."""
    command = [sys.executable, "-m", "clients.rehearsal", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Rehearsal(process.stdout.readline().split()[-1])
        finally:
            process.terminate()
            process.wait(10)


def prices_of(rehearsal: Rehearsal) -> list[DatedPrice]:
    """The price book that agrees with a rehearsal provider."""
    kind_of = {
        "input": kinds.INPUT,
        "cached_input": kinds.CACHED,
        "cache_write": kinds.CACHE_WRITE,
        "cache_write_1h": kinds.CACHE_WRITE_LONG,
        "output": kinds.OUTPUT,
    }
    found = []
    for row in rehearsal.prices()["models"]:
        rates = {
            kind: int(Decimal(row["usd_per_million_tokens"][name]) * 1_000_000)
            for name, kind in kind_of.items()
            if row["usd_per_million_tokens"][name] is not None
        }
        for name, rate in row["usd_per_thousand_calls"].items():
            rates[name] = int(Decimal(rate) * 1_000_000_000)
        rates |= _media_rates(rates, row["usd_of_media"])
        found.append(
            ModelPrice(
                provider=row["provider"],
                model=row["model"],
                aliases=tuple(row["aliases"]),
                input_max=row["max_input_tokens"],
                output_max=row["max_output_tokens"],
                tiers=(Tier(0, rates),),
                version="book-1",
            )
        )
    return [DatedPrice(price, 0) for price in found]


def _media_rates(rates: dict[str, int], told: Mapping[str, str | None]) -> dict[str, int]:
    """The rates of pictures and sound; what is billed by the piece has none for tokens."""
    units: dict[str, tuple[str, int | Decimal]] = {
        "image_input": (kinds.IMAGE_INPUT, 1_000_000),
        "image_output": (kinds.IMAGE_OUTPUT, 1_000_000),
        "audio_input": (kinds.AUDIO_INPUT, 1_000_000),
        "audio_output": (kinds.AUDIO_OUTPUT, 1_000_000),
        "per_picture": (kinds.IMAGES, 10**12),
        "per_million_characters": (kinds.CHARACTERS, 1_000_000),
        "per_minute": (kinds.MILLISECONDS, Decimal(10**12) / 60_000),
    }
    found = {
        units[name][0]: int(Decimal(rate) * units[name][1])
        for name, rate in told.items()
        if rate is not None
    }
    if found.keys() & kinds.PIECE_KINDS:
        rates.clear()
    return found


def policy_for(url: str, prices: list[DatedPrice], *, capless: bool = True) -> Policy:
    """A policy with one client, a few keys, and all providers at one address."""

    def key(text: str, **changes: Any) -> Key:
        fields: dict[str, Any] = {
            "digest": key_digest(text),
            "key_id": f"key_{text[-4:]}",
            "secret_id": f"sec_{text[-4:]}",
            "project_id": "prj_acme",
            "expires_unix_ms": None,
            "models": frozenset(),
            "workflow": "",
            "revoked": False,
        }
        return Key(**{**fields, **changes})

    sealed = bytes(SealedBox(PrivateKey(_SEALING_KEY).public_key).encrypt(PROVIDER_SECRET.encode()))
    return Policy(
        version=1,
        projects=[
            Project("prj_acme", "Acme", active=True, patience_ms=1_000),
            Project("prj_gone", "Gone", active=False, patience_ms=1_000),
        ],
        keys=[
            key(KEY),
            key(REVOKED, revoked=True),
            key(EXPIRED, expires_unix_ms=1),
            key(NARROW, models=frozenset({"gpt-4o-mini"}), workflow="own label"),
            key(SUSPENDED, project_id="prj_gone"),
        ],
        budgets=[
            Budget("bgt_1", "All", Selector(project_id="prj_acme"), "", not capless, 1),
        ],
        prices=prices,
        providers=[Provider(name, name, url, sealed, 1) for name in _PROVIDERS],
    )


def renamed(name: str, policy: Policy) -> Policy:
    """A policy whose provider of OpenAI's API goes by another name."""
    openai, *_ = policy.providers
    return Policy(
        version=1,
        projects=policy.projects,
        keys=policy.keys,
        budgets=policy.budgets,
        prices=[
            replace(dated, price=replace(dated.price, provider=name))
            for dated in policy.prices
            if dated.price.provider == "openai"
        ],
        providers=[replace(openai, name=name)],
    )


@dataclass
class Sidecar:
    """A sidecar that serves."""

    port: int
    admission: WatchedAdmission
    server: Server
    log: io.StringIO

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def booked(self) -> Booked:
        return self.admission.booked


@asynccontextmanager
async def serving(
    folder: Path,
    policy: Policy,
    *,
    environment: Mapping[str, str] | None = None,
    ca: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Sidecar]:
    """Run a sidecar until the block ends."""
    clock = KeptClock(SystemClock())
    log = io.StringIO()
    journal, _ = open_journal(folder, clock, synchronous="normal")
    admission = WatchedAdmission(
        journal=journal,
        clock=clock,
        entropy=SystemEntropy(),
        secrets=ProviderSecrets(_SEALING_KEY),
        log=Log(clock, log),
    )
    admission.booked = Booked()
    admission.take_policy(policy)
    now = clock.now()
    admission.answered(now)
    admission.heard_until_boot_ms = now.boot_ms + 3_600_000
    listeners = await listen("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    upstreams = Upstreams(environment or {}, ca)
    server = Server(admission, upstreams, clock, allowed_hosts(port), tls)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await nursery.start(server.serve, listeners)
        try:
            yield Sidecar(port, admission, server, log)
        finally:
            with trio.CancelScope(shield=True):
                await server.drain(0)
                assert admission.open_calls == 0, "every hold ended"
                await journal.close()
            nursery.cancel_scope.cancel()


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def exchange(port: int, data: bytes, *, keep: trio.SocketStream | None = None) -> Answer:
    """Send bytes and read one answer; the connection is closed unless it was handed in."""
    stream = keep or await trio.open_tcp_stream("127.0.0.1", port)
    try:
        await stream.send_all(data)
        return await read_answer(stream)
    finally:
        if keep is None:
            await stream.aclose()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    with trio.fail_after(LATE_S):
        while True:
            if condition():
                return
            await trio.sleep(0.01)


async def until_closed(port: int, data: bytes) -> bytes:
    """Send bytes and read all that comes until the connection is closed."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        received = b""
        while more := await stream.receive_some():
            received += more
        return received


async def read_answer(stream: trio.SocketStream) -> Answer:
    """Read one answer off a socket, with the simplest reader that is right for ours."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = await stream.receive_some()
        assert more, f"closed after {received!r}"
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if "content-length" in headers:
        while len(body) < int(headers["content-length"]):
            body += await stream.receive_some() or _closed(body)
    elif headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"\r\n\r\n") or b"\r\n0\r\n" not in b"\r\n" + body:
            body += await stream.receive_some() or _closed(body)
        body = _unchunk(body)
    return Answer(int(status.split()[1]), headers, body)


def _closed(body: bytes) -> bytes:
    raise AssertionError(f"closed within a body, after {body!r}")


def _unchunk(data: bytes) -> bytes:
    found = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return found
        found += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]


def request(
    path: str,
    body: Any = None,
    *,
    port: int,
    method: str = "POST",
    key: str | None = KEY,
    lines: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a request."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if data or method == "POST":
        headers["Content-Length"] = str(len(data))
    headers.update(lines or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data


def chat(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """A small chat completion request."""
    messages = [{"role": "user", "content": text}]
    return {"model": "gpt-4o-mini", "messages": messages, "max_tokens": 50, **fields}


def response(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """A small request to the Responses API."""
    return {"model": "gpt-4o-mini", "input": text, "max_output_tokens": 50, **fields}


def completion(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """A small legacy completion request."""
    return {"model": "gpt-4o-mini", "prompt": text, "max_tokens": 50, **fields}


def message(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """A small Anthropic request."""
    messages = [{"role": "user", "content": text}]
    return {"model": "claude-haiku-4-5", "messages": messages, "max_tokens": 50, **fields}


def content(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """A small Gemini request; `config` makes its generationConfig."""
    config = {"maxOutputTokens": 50, **fields.pop("config", {})}
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return {"contents": contents, "generationConfig": config, **fields}
