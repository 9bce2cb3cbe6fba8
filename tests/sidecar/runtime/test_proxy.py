"""Stories of single calls through a sidecar, held against the provider's own bill."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from protos.values.rates import Tier
from sidecar.clock import SystemClock
from sidecar.core.calls import Hold, NewCall, Outcome
from sidecar.core.policy import DatedPrice, Policy
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import (
    Rehearsal,
    chat,
    completion,
    exchange,
    message,
    request,
    response,
    serving,
)

pytestmark = pytest.mark.trio


SEARCHES: dict[str, Any] = {"tools": [{"type": "web_search"}], "max_tool_calls": 3}
FILE_SEARCHES: dict[str, Any] = {
    "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}],
    "max_tool_calls": 1,
}
CALLS = [
    ("/v1/chat/completions", chat()),
    ("/v1/chat/completions", chat(n=3)),
    ("/v1/chat/completions", chat(model="gpt-4o-mini-2024-07-18", stream=False)),
    ("/v1/chat/completions", chat(stream=True)),
    ("/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True})),
    ("/v1/chat/completions", chat("[rehearse crlf split_bytes=3]", stream=True)),
    ("/v1/chat/completions", chat("[rehearse split_bytes=5]")),
    ("/v1/chat/completions", chat("[rehearse cached_tokens=3]" + "x" * 99)),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"]}),
    ("/v1/responses", response()),
    ("/v1/responses", response(stream=True)),
    ("/v1/responses", response("[rehearse crlf split_bytes=3]", stream=True)),
    ("/v1/responses", response("[rehearse reply_tokens=90]")),
    ("/v1/responses", response("[rehearse reply_tokens=90]", stream=True)),
    ("/v1/responses", response("[rehearse cached_tokens=3]" + "x" * 99, instructions="y" * 99)),
    ("/v1/responses", response("[rehearse response_status=incomplete]", stream=True)),
    ("/v1/responses", response("[rehearse hosted_calls=2]", **SEARCHES)),
    ("/v1/responses", response("[rehearse hosted_calls=7]", stream=True, **SEARCHES)),
    ("/v1/responses", response("[rehearse hosted_calls=1]", **FILE_SEARCHES)),
    ("/v1/completions", completion()),
    ("/v1/completions", completion(n=2, best_of=3, echo=True, suffix="The end.")),
    ("/v1/completions", completion(stream=True, n=2)),
    ("/v1/completions", completion(stream=True, stream_options={"include_usage": True})),
    ("/v1/completions", completion(prompt=["a", "b"], max_tokens=None)),
    ("/v1/completions", completion(prompt=[[1, 2, 3], [4]], n=2)),
    ("/v1/messages", message()),
    ("/v1/messages", message(stream=True)),
    ("/v1/messages", message("[rehearse crlf split_bytes=7]", stream=True)),
    (
        "/v1/messages",
        message(
            system=[{"type": "text", "text": "x" * 99, "cache_control": {"type": "ephemeral"}}]
        ),
    ),
]


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_what_is_settled_is_what_was_billed(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, body: dict[str, Any]
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        assert answer.status == 200, answer.body
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.outcome is Outcome.OK
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"]) > 0
    assert not outcome.estimated
    assert outcome.status == 200
    assert outcome.first_byte_ms > 0
    assert outcome.provider_request_id == billed["request_id"]
    hold = sidecar.booked.opened[0]
    assert outcome.cost_nano_usd <= hold.worst_nano_usd
    assert int(billed["worst_nano_usd"]) <= hold.worst_nano_usd
    assert hold.call.streamed is body.get("stream", False)
    if not hold.call.streamed:
        assert answer.headers["x-bursar-cost-nano-usd"] == billed["cost_nano_usd"]
    assert answer.headers["x-bursar-call-id"] == hold.call_id


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", chat()), ("/v1/messages", message(stream=True))]
)
async def test_an_answer_comes_as_the_provider_gave_it(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, body: dict[str, Any]
) -> None:
    direct_port = int(rehearsal.url.rpartition(":")[2])
    lines = {"anthropic-version": "2023-06-01"}
    wanted = await exchange(direct_port, request(path, body, port=direct_port, lines=lines))
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port, lines=lines))

    def without_ids(body: bytes) -> list[Any]:
        lines = [line.removeprefix("data: ") for line in body.decode().split("\n")]
        values = [json.loads(line) if line.startswith("{") else line for line in lines]
        for value in values:
            if isinstance(value, dict):
                value.pop("id", None)
                value.pop("created", None)
                value.get("message", {}).pop("id", None)
        return values

    assert without_ids(answer.body) == without_ids(wanted.body)
    assert answer.headers["content-type"] == wanted.headers["content-type"]


async def test_a_stream_shows_its_usage_only_to_callers_that_asked(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:

        async def stream(**fields: Any) -> bytes:
            body = chat(stream=True, **fields)
            data = request("/v1/chat/completions", body, port=sidecar.port)
            return (await exchange(sidecar.port, data)).body

        hidden = await stream()
        shown = await stream(stream_options={"include_usage": True})
    assert b'"choices":[]' not in hidden
    assert b'"choices":[]' in shown
    assert hidden.endswith(b"data: [DONE]\n\n")
    assert shown.endswith(b"data: [DONE]\n\n")


async def test_a_stream_tells_its_cost_after_its_end_to_callers_that_take_trailers(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        lines = {"TE": "trailers", "Connection": "close"}
        body = chat(stream=True)
        data = request("/v1/chat/completions", body, port=sidecar.port, lines=lines)
        answer = await wire.until_closed(sidecar.port, data)
    cost = sidecar.booked.only().cost_nano_usd
    assert answer.endswith(b"0\r\nx-bursar-cost-nano-usd: %d\r\n\r\n" % cost)
    assert b"trailer: x-bursar-cost-nano-usd\r\n" in answer


async def test_the_provider_gets_its_own_secret_and_never_the_callers_key(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        await exchange(sidecar.port, request("/v1/chat/completions", chat(), port=sidecar.port))
        (billed,) = await rehearsal.ended(1)
    assert billed["key_hint"].endswith(wire.PROVIDER_SECRET[-4:])


@pytest.mark.parametrize(
    ("path", "lines", "key", "wanted"),
    [
        ("/v1/chat/completions", {}, wire.KEY, ("", "", "")),
        ("/w/leads/v1/chat/completions", {}, wire.KEY, ("leads", "", "")),
        (
            "/w/leads/v1/chat/completions",
            {"X-Bursar-Workflow": "other:17", "X-Bursar-Step": "draft"},
            wire.KEY,
            ("leads", "17", "draft"),
        ),
        (
            "/p/openai/v1/chat/completions",
            {"x-bursar-workflow": "lead scoring:17"},
            wire.KEY,
            ("lead scoring", "17", ""),
        ),
        ("/w/leads/p/openai/v1/chat/completions", {}, wire.NARROW, ("own label", "", "")),
        ("/v1/chat/completions", {}, f"{wire.KEY}~lead scoring~17", ("lead scoring", "17", "")),
        ("/w/leads/v1/chat/completions", {}, f"{wire.KEY}~other~9~s", ("other", "9", "s")),
        ("/v1/chat/completions", {}, f"{wire.NARROW}~other~9", ("own label", "9", "")),
    ],
)
async def test_a_call_is_counted_for_the_workflow_that_was_named(
    tmp_path: Path,
    policy: Policy,
    path: str,
    lines: dict[str, str],
    key: str,
    wanted: tuple[str, str, str],
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(path, chat(), port=sidecar.port, lines=lines, key=key)
        assert (await exchange(sidecar.port, data)).status == 200
    call = sidecar.booked.opened[0].call
    assert (call.attributes.workflow, call.execution, call.step) == wanted
    assert call.surface == "/v1/chat/completions"


async def test_the_bodys_metadata_names_what_nothing_else_does_and_goes_on_as_it_came(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    metadata = {"bursar_workflow": "by body", "execution": "17", "customer": "4711"}
    body = chat(metadata=metadata)
    async with serving(tmp_path, policy) as sidecar:
        data = request("/v1/chat/completions", body, port=sidecar.port)
        assert (await exchange(sidecar.port, data)).status == 200
        data = request(
            "/w/by path/v1/chat/completions".replace(" ", "%20"), body, port=sidecar.port
        )
        assert (await exchange(sidecar.port, data)).status == 200
        await rehearsal.ended(2)
    calls = [hold.call for hold in sidecar.booked.opened]
    assert [(call.attributes.workflow, call.execution) for call in calls] == [
        ("by body", "17"),
        ("by path", "17"),
    ]


async def test_nothing_names_another_client_than_the_keys(tmp_path: Path, policy: Policy) -> None:
    other = "prj_00000000000000000000000000"
    body = chat(metadata={"project": other, "project_id": other, "bursar_project": other})
    async with serving(tmp_path, policy) as sidecar:
        key = f"{wire.KEY}~{other}~{other}"
        lines = {"x-bursar-workflow": f"{other}:{other}", "x-bursar-project": other}
        data = request("/v1/chat/completions", body, port=sidecar.port, lines=lines, key=key)
        assert (await exchange(sidecar.port, data)).status == 200
    call = sidecar.booked.opened[0].call
    assert call.attributes.project_id == policy.projects[0].project_id
    assert call.attributes.key_id == policy.keys[0].key_id


async def test_a_suffix_makes_no_key_of_what_is_none(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        for key in (f"{wire.UNKNOWN}~leads", f"{wire.REVOKED}~{wire.KEY}", f"~{wire.KEY}"):
            data = request("/v1/chat/completions", chat(), port=sidecar.port, key=key)
            answer = await exchange(sidecar.port, data)
            assert answer.status == 401
            assert b"leads" not in answer.body
            assert wire.KEY.encode() not in answer.body


@pytest.mark.parametrize(
    ("path", "make"), [("/v1/chat/completions", chat), ("/v1/messages", message)]
)
async def test_a_clamped_limit_goes_on_the_wire_and_the_caller_is_told(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, make: Any
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        admit = sidecar.admission.open

        async def clamp(call: NewCall, *, counts: bool = True) -> Hold:
            return replace(await admit(call), output_limit=3)

        sidecar.admission.open = clamp  # type: ignore[method-assign]  # admission, at the seam
        body = make("[rehearse reply_tokens=20]")
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        (billed,) = await rehearsal.ended(1)
    assert answer.headers["x-bursar-clamped-output"] == "3"
    assert billed["quantities"]["output_tokens"] == 3


async def test_a_price_that_is_not_in_force_yet_is_none(tmp_path: Path, policy: Policy) -> None:
    soon = SystemClock().now().unix_ms + 60_000
    early = wire.policy_for(
        "http://127.0.0.1:1", [replace(p, valid_from_unix_ms=soon) for p in policy.prices]
    )
    async with serving(tmp_path, early) as sidecar:
        data = request("/v1/chat/completions", chat(), port=sidecar.port)
        assert (await exchange(sidecar.port, data)).json()["error"]["code"] == "model_not_priced"


async def test_a_dearer_price_that_begins_while_the_call_may_run_is_held_for(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    soon = SystemClock().now().unix_ms + 60_000

    def dearer(dated: DatedPrice) -> DatedPrice:
        tiers = tuple(
            Tier(0, {kind: 10 * rate for kind, rate in tier.rates_pico_usd.items()})
            for tier in dated.price.tiers
        )
        return DatedPrice(replace(dated.price, tiers=tiers), soon)

    prices = [*policy.prices, *(dearer(dated) for dated in policy.prices)]
    data = {}
    for name, book in (("now", list(policy.prices)), ("both", prices)):
        folder = tmp_path / name
        folder.mkdir()
        async with serving(folder, wire.policy_for(rehearsal.url, book)) as sidecar:
            body = request("/v1/chat/completions", chat(), port=sidecar.port)
            assert (await exchange(sidecar.port, body)).status == 200
        data[name] = (sidecar.booked.opened[0].worst_nano_usd, sidecar.booked.cost_nano_usd)
    assert data["both"][0] == 10 * data["now"][0]
    assert data["both"][1] == data["now"][1], "the price at its start is charged"


async def test_an_alias_is_counted_as_its_model(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat(model="gpt-4o-mini-2024-07-18")
        await exchange(sidecar.port, request("/v1/chat/completions", body, port=sidecar.port))
    call = sidecar.booked.opened[0].call
    assert (call.attributes.model, call.alias) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")


async def test_a_key_may_come_as_x_api_key(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(
            "/v1/messages", message(), port=sidecar.port, key=None, lines={"x-api-key": wire.KEY}
        )
        assert (await exchange(sidecar.port, data)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_request_is_opened_and_forwarded_plain(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, encoding: str
) -> None:
    packed = gzip.compress(json.dumps(chat()).encode())
    async with serving(tmp_path, policy) as sidecar:
        lines = {"Content-Encoding": encoding}
        data = request("/v1/chat/completions", packed, port=sidecar.port, lines=lines)
        assert (await exchange(sidecar.port, data)).status == 200
        await rehearsal.ended(1)


async def test_a_chunked_request_is_taken(tmp_path: Path, policy: Policy) -> None:
    body = json.dumps(chat()).encode()
    async with serving(tmp_path, policy) as sidecar:
        plain = request("/v1/chat/completions", b"", port=sidecar.port)
        head = plain.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        data = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        assert (await exchange(sidecar.port, data)).status == 200


async def test_a_large_request_is_read_in_a_thread_and_passes(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    rehearsal.knobs(reply_tokens=3, prompt_tokens=7)
    async with serving(tmp_path, policy) as sidecar:
        body = chat("x" * 1_500_000, model="gpt-4.1")
        answer = await exchange(
            sidecar.port, request("/v1/chat/completions", body, port=sidecar.port)
        )
        assert answer.status == 200, answer.body[:300]
        (billed,) = await rehearsal.ended(1)
    assert sidecar.booked.cost_nano_usd == int(billed["cost_nano_usd"])


async def test_requests_follow_each_other_on_one_connection_also_when_they_come_at_once(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request("/v1/chat/completions", chat(), port=sidecar.port)
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            for _ in range(2):
                assert (await exchange(sidecar.port, data, keep=stream)).status == 200
            await stream.send_all(data + data)
            received = b""
            while received.count(b"HTTP/1.1 200 OK") < 2 or not received.endswith(b"}"):
                received += await stream.receive_some()
        await rehearsal.ended(4)
    assert len(sidecar.booked.settled) == 4


async def test_a_caller_of_http_1_0_gets_a_stream_that_ends_with_its_connection(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request("/v1/chat/completions", chat(stream=True), port=sidecar.port)
        answer = await wire.until_closed(sidecar.port, data.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")


async def test_the_models_are_those_that_the_key_may_use_in_each_familys_shape(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:

        async def ask(path: str, key: str = wire.KEY, **lines: str) -> Any:
            named = {name.replace("_", "-"): value for name, value in lines.items()}
            data = request(path, port=sidecar.port, method="GET", key=key, lines=named)
            return (await exchange(sidecar.port, data)).json()

        listed = await ask("/v1/models")
        assert listed["object"] == "list"
        names = {model["id"] for model in listed["data"]}
        assert "gpt-4o" in names
        assert not [name for name in names if name.startswith("claude")]
        narrow = await ask("/v1/models", wire.NARROW)
        assert [model["id"] for model in narrow["data"]] == ["gpt-4o-mini"]
        shaped = await ask("/v1/models", anthropic_version="2026-10-21")
        assert shaped["has_more"] is False
        assert shaped["data"][0]["type"] == "model"
        assert (await ask("/p/anthropic/v1/models"))["first_id"] == shaped["first_id"]
        one = await ask("/v1/models/gpt-4o-mini-2024-07-18")
        assert one["id"] == "gpt-4o-mini"
        missing = await ask("/v1/models/gpt-9")
        assert missing["error"]["code"] == "model_not_found"
    assert not sidecar.booked.opened


async def test_health_needs_no_key_and_head_and_options_are_answered(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:

        async def ask(method: str, path: str) -> wire.Answer:
            return await exchange(
                sidecar.port, request(path, port=sidecar.port, method=method, key=None)
            )

        assert (await ask("GET", "/healthz")).json() == {"status": "ok"}
        options = await ask("OPTIONS", "/v1/messages")
        assert (options.status, options.headers["allow"]) == (204, "POST, OPTIONS")
        lines = {"Connection": "close"}
        data = request("/healthz", port=sidecar.port, method="HEAD", key=None, lines=lines)
        answer = await wire.until_closed(sidecar.port, data)
    assert b"content-length: 16\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_health_says_why_no_call_can_be_taken(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        sidecar.admission.fenced = True
        data = request("/healthz", port=sidecar.port, method="GET", key=None)
        answer = await exchange(sidecar.port, data)
    assert answer.status == 503
    assert answer.json()["status"] == "fenced"
    assert "another journal goes under its name" in answer.json()["message"]
