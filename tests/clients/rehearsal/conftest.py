from collections.abc import Callable
from typing import Any

import pytest
import trio

from clients.rehearsal.app import serve
from clients.rehearsal.incoming import Answer, Request, encode
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.provider import Metered, Provider

KEY = "sk-rehearsal-0123456789"
PATHS = {
    "chat": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
}


@pytest.fixture
def provider() -> Provider:
    """A provider with every knob at rest."""
    return Provider(Knobs(), nonce=b"test", now_ns=0)


@pytest.fixture
def handle(provider: Provider) -> Callable[..., Answer | Metered]:
    """Ask the provider without a wire; a path may be named by its short name."""

    def ask(path: str, body: Any = None, method: str = "POST", **headers: str) -> Answer | Metered:
        sent = {"authorization": f"Bearer {KEY}"}
        if "messages" in path:
            sent["anthropic-version"] = "2026-10-21"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        whole, _, query = PATHS.get(path, path).partition("?")
        asked = dict(pair.split("=") for pair in query.split("&") if pair)
        data = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        return provider.handle(Request(method, whole, asked, sent, data), 0, 1_800_000_000)

    return ask


@pytest.fixture
async def port(nursery: trio.Nursery, provider: Provider) -> int:
    """The provider on a real socket of its own."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(serve, provider, listeners)
    found: int = listeners[0].socket.getsockname()[1]
    return found
