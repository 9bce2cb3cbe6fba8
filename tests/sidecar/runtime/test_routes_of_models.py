"""Names of the agency's own for models: asked for here, unknown to the provider."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from sidecar.core.calls import Outcome
from sidecar.core.policy import Policy
from sidecar.core.routing import ModelRoute, Target
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.test_forms import FORM, form, sound
from tests.sidecar.runtime.wire import (
    NARROW,
    Rehearsal,
    chat,
    exchange,
    message,
    request,
    response,
    serving,
)

pytestmark = pytest.mark.trio

CHAT = "/v1/chat/completions"
BATCH = "/v1beta/models/vector:batchEmbedContents"
GEMINI = "/v1beta/models/{}:generateContent"
CONTENT = {
    "contents": [{"parts": [{"text": "Hello."}]}],
    "generationConfig": {"maxOutputTokens": 9},
}


def to(*targets: str) -> tuple[Target, ...]:
    return tuple(Target(*target.split("/", 1)) for target in targets)


def routed(policy: Policy, *routes: ModelRoute) -> Policy:
    """The policy with these routes."""
    return Policy(
        version=2,
        projects=policy.projects,
        keys=policy.keys,
        budgets=policy.budgets,
        prices=policy.prices,
        providers=policy.providers,
        routes=routes,
    )


ROUTES = (
    ModelRoute("", "smart", to("openai/gpt-4o")),
    ModelRoute("", "ours/claude", to("anthropic/claude-haiku-4-5")),
    ModelRoute("", "gem", to("gemini/gemini-2.5-flash")),
    ModelRoute("", "ear", to("openai/whisper-1")),
    ModelRoute("", "vector", to("gemini/gemini-embedding-001")),
)
EMBED = {"content": {"parts": [{"text": "[rehearse embedding_usage]"}]}, "model": "models/vector"}
CALLS: list[tuple[str, Any, str]] = [
    (CHAT, chat(model="smart"), "gpt-4o"),
    (CHAT, chat(model="smart", stream=True), "gpt-4o"),
    ("/p/openai" + CHAT, chat(model="smart"), "gpt-4o"),
    ("/v1/responses", response(model="smart"), "gpt-4o"),
    ("/v1/messages", message(model="ours/claude"), "claude-haiku-4-5"),
    (GEMINI.format("gem"), CONTENT, "gemini-2.5-flash"),
    (CHAT, chat(model="gem"), "gemini-2.5-flash"),
    (BATCH, {"requests": [EMBED, EMBED]}, "gemini-embedding-001"),
]


@pytest.mark.parametrize(("path", "body", "model"), CALLS)
async def test_a_name_of_the_agencys_own_is_answered_by_its_model_and_booked_as_billed(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, body: Any, model: str
) -> None:
    name = body.get("model") or ("gem" if "gem" in path else "vector")
    async with serving(tmp_path, routed(policy, *ROUTES)) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        assert answer.status == 200, answer.body
        (billed,) = await rehearsal.ended(1)
    call = sidecar.booked.opened[0].call
    outcome = sidecar.booked.only()
    assert outcome.outcome is Outcome.OK
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"]) > 0
    assert billed["model"] == call.attributes.model == model
    assert (call.alias, call.routed) == (name, "alias")
    assert (answer.headers["x-bursar-model"], answer.headers["x-bursar-routed"]) == (model, "alias")
    assert outcome.answered_model in (model, "")
    if name not in ("vector", "gem"):
        assert model.encode() in answer.body


async def test_a_form_may_name_it(tmp_path: Path, rehearsal: Rehearsal, policy: Policy) -> None:
    async with serving(tmp_path, routed(policy, *ROUTES)) as sidecar:
        data = request(
            "/v1/audio/transcriptions",
            form(sound(12), model="ear"),
            port=sidecar.port,
            lines=FORM,
        )
        answer = await exchange(sidecar.port, data)
        assert answer.status == 200, answer.body
        assert sidecar.booked.cost_nano_usd == rehearsal.billed_nano_usd == 12 * 100_000


async def test_a_model_that_was_named_itself_tells_of_no_route(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, routed(policy, *ROUTES)) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert not {"x-bursar-model", "x-bursar-routed"} & answer.headers.keys()
    assert (sidecar.booked.opened[0].call.alias, sidecar.booked.opened[0].call.routed) == ("", "")


async def test_a_clients_own_route_stands_above_one_for_all_and_reaches_nobody_else(
    tmp_path: Path, policy: Policy
) -> None:
    routes = (
        ModelRoute("", "smart", to("openai/gpt-4o")),
        ModelRoute("prj_acme", "smart", to("openai/gpt-4o-mini")),
        ModelRoute("prj_other", "theirs", to("openai/gpt-4o-mini")),
    )
    async with serving(tmp_path, routed(policy, *routes)) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(model="smart"), port=sidecar.port))
        assert answer.headers["x-bursar-model"] == "gpt-4o-mini"
        answer = await exchange(
            sidecar.port, request(CHAT, chat(model="theirs"), port=sidecar.port)
        )
        assert (answer.status, answer.headers["x-bursar-error"]) == (403, "model_not_priced")


async def test_targets_that_a_key_may_not_use_are_passed_over(
    tmp_path: Path, policy: Policy
) -> None:
    routes = (
        ModelRoute("", "smart", to("openai/gpt-4o", "openai/gpt-4o-mini")),
        ModelRoute("", "dear", to("openai/gpt-4o")),
        ModelRoute("", "gone", to("mistral/large", "openai/no-such-model")),
    )
    async with serving(tmp_path, routed(policy, *routes)) as sidecar:

        async def ask(model: str) -> wire.Answer:
            body = chat(model=model)
            return await exchange(sidecar.port, request(CHAT, body, port=sidecar.port, key=NARROW))

        assert (await ask("smart")).headers["x-bursar-model"] == "gpt-4o-mini"
        for name in ("dear", "gone"):
            refused = await ask(name)
            assert (refused.status, refused.headers["x-bursar-error"]) == (403, "model_not_allowed")
            assert name in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/models", {"smart", "gem"}),
        ("/p/anthropic/v1/models", {"ours/claude"}),
        ("/v1beta/models", {"models/gem", "models/vector"}),
    ],
)
async def test_names_are_shown_as_models(
    tmp_path: Path, policy: Policy, path: str, names: set[str]
) -> None:
    async with serving(tmp_path, routed(policy, *ROUTES)) as sidecar:
        answer = await exchange(sidecar.port, request(path, port=sidecar.port, method="GET"))
        shown = answer.json().get("data") or answer.json()["models"]
        found = {one.get("id") or one["name"] for one in shown}
        assert names - {"gem"} <= found
        one = await exchange(
            sidecar.port, request("/v1/models/smart", port=sidecar.port, method="GET")
        )
        assert one.json()["id"] == "smart"
        narrow = request("/v1/models", port=sidecar.port, method="GET", key=NARROW)
        shown = (await exchange(sidecar.port, narrow)).json()["data"]
        assert [one["id"] for one in shown] == ["gpt-4o-mini"]


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A provider that keeps what it was sent, and answers with an error."""
    came: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                data += await stream.receive_some()
            came.append(data.partition(b"\r\n\r\n")[2])
            await stream.send_all(b"HTTP/1.1 400 X\r\nContent-Length: 2\r\n\r\n{}")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", came
        nursery.cancel_scope.cancel()


async def test_all_but_the_name_goes_on_byte_for_byte(tmp_path: Path, rehearsal: Rehearsal) -> None:
    body = (
        b'{ "messages" : [{"role":"user","content":"model \\u00e9 \xc3\xa9 smart"}],\n'
        b'  "temperature":1.50e0,"service_tier":"default","max_tokens" : 9 , "model"\t: "smart" }'
    )
    async with listening() as (url, came):
        policy = routed(wire.policy_for(url, wire.prices_of(rehearsal)), *ROUTES)
        async with serving(tmp_path, policy) as sidecar:
            await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    assert came == [body.replace(b': "smart"', b': "gpt-4o"')]
    assert json.loads(came[0])["model"] == "gpt-4o"
