import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clients.rehearsal
from clients.rehearsal.incoming import Answer, Request, encode
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.provider import Metered, Provider

Handle = Callable[..., Answer | Metered]
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = CHAT | {"model": "claude-haiku-4-5", "max_tokens": 10}


def told(decided: Answer | Metered, status: int = 200) -> Any:
    assert isinstance(decided, Answer)
    assert decided.status == status, decided.body
    return json.loads(decided.body)


def test_it_shares_nothing_with_what_it_measures() -> None:
    folder = Path(clients.rehearsal.__file__).parent
    roots = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots.add(node.module or "")
    outside = {
        name
        for name in roots
        if name.split(".")[0] not in sys.stdlib_module_names
        and not name.startswith("clients.rehearsal")
    }
    assert outside == {"trio", "h11"}


def test_a_key_is_needed_and_any_will_do(handle: Handle) -> None:
    assert told(handle("chat", CHAT, authorization=""), 401)["error"]["code"] == "invalid_api_key"
    refused = told(handle("messages", MESSAGE, authorization=""), 401)
    assert refused["error"]["type"] == "authentication_error"
    assert isinstance(handle("chat", CHAT, authorization="Bearer x"), Metered)
    assert isinstance(handle("messages", MESSAGE, authorization="", x_api_key="x"), Metered)
    assert isinstance(handle("messages", MESSAGE, authorization="Bearer x"), Metered)


def test_required_keys_are_required() -> None:
    provider = Provider(Knobs(), nonce=b"", now_ns=0, accepted_keys=["sk-right-0123456789"])
    for key, passes in (("sk-right-0123456789", True), ("sk-wrong-0123456789", False)):
        headers = {"authorization": f"Bearer {key}"}
        request = Request("POST", "/v1/chat/completions", {}, headers, encode(CHAT))
        decided = provider.handle(request, 0, 0)
        assert isinstance(decided, Metered) == passes
        assert isinstance(decided, Metered) or key.encode() not in decided.body


def test_paths_and_methods_that_do_not_exist_are_refused(handle: Handle) -> None:
    assert told(handle("/v1/images/nothing", CHAT), 404)["error"]["code"] == "unknown_url"
    assert told(handle("/v1/chat/completions", method="GET"), 405)["error"]["type"]
    assert told(handle("/v1/messages", method="GET"), 405)["type"] == "error"
    told(handle("/rehearsal/nope", method="GET"), 404)
    told(handle("/rehearsal/bill", method="DELETE"), 404)


def test_models_come_in_the_shape_of_whoever_asks(handle: Handle) -> None:
    claudes = told(handle("/v1/models", method="GET", anthropic_version="2026-10-21"))
    assert claudes["data"][0]["type"] == "model"
    assert {"claude-opus-5-5"} <= {model["id"] for model in claudes["data"]}
    listed = told(handle("/v1/models", method="GET"))
    assert listed["object"] == "list"
    assert {"gpt-4o-mini", "rehearsal-cent"} <= {model["id"] for model in listed["data"]}
    assert told(handle("/v1/models/gpt-4o-mini", method="GET"))["id"] == "gpt-4o-mini"
    told(handle("/v1/models/gpt-nope", method="GET"), 404)


@pytest.mark.parametrize("path", ["chat", "messages", "embeddings"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"a": NaN}', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_json_object_are_refused_and_cost_nothing(
    handle: Handle, provider: Provider, path: str, body: bytes
) -> None:
    told(handle(path, body), 400)
    page = provider.bill.page(0, 10)
    assert page["total_nano_usd"] == "0"
    assert [(row["outcome"], row["status"]) for row in page["calls"]] == [("error", 400)]


def test_a_compressed_body_is_refused(handle: Handle) -> None:
    told(handle("chat", CHAT, content_encoding="gzip"), 415)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    "model", "messages", "max_tokens", "max_completion_tokens", "n", "stop", "stream",
    "stream_options", "tools", "tool_choice", "service_tier", "system", "input", "dimensions",
    "encoding_format", "stop_sequences", "speed", "inference_geo", "cache_control",
)  # fmt: skip
TRICKY = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}],
    "tools": [{"type": "function", "name": 5, "function": {"name": "f", "parameters": 5}}, {}],
    "tool_choice": {"function": "f", "name": "f"},
}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["chat", "messages", "embeddings", "/v1/messages/count_tokens"]),
    changes=st.dictionaries(st.sampled_from(FIELDS), JSON | st.none(), max_size=3),
    tricky=st.sets(st.sampled_from(sorted(TRICKY))),
)
def test_no_json_makes_it_fall_over(
    handle: Handle, path: str, changes: dict[str, Any], tricky: set[str]
) -> None:
    whole = (MESSAGE if "messages" in path else CHAT) | {"input": "x"}
    whole |= {name: TRICKY[name] for name in tricky} | changes
    decided = handle(path, whole, x_rehearsal="tool_call; reply_tokens=3")
    if isinstance(decided, Metered):
        json.loads(decided.plan.body())
        assert 0 <= decided.call.planned_nano_usd <= decided.call.worst_nano_usd
    else:
        assert decided.status in (200, 400, 404)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(max_size=30), min_size=1, max_size=5),
    tools=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), max_size=2),
    path=st.sampled_from(["chat", "messages"]),
)
def test_a_prompt_never_counts_more_tokens_than_its_request_has_bytes(
    handle: Handle, texts: list[str], tools: list[dict[str, str]], path: str
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]} for text in texts]
    request = (CHAT if path == "chat" else MESSAGE) | {"messages": messages, "tools": tools}
    decided = handle(path, request)
    assert isinstance(decided, Metered)
    assert decided.plan.used.prompt_tokens <= len(encode(request))


def test_rehearsed_errors_come_in_the_envelope_and_cost_nothing(
    handle: Handle, provider: Provider
) -> None:
    for path, request, kind in (
        ("chat", CHAT, "requests"),
        ("messages", MESSAGE, "rate_limit_error"),
    ):
        decided = handle(path, request, x_rehearsal="error=429; retry_after_s=2")
        assert isinstance(decided, Metered)
        refusal = decided.plan.refusal
        assert refusal is not None
        assert dict(refusal.headers)["retry-after"] == "2"
        assert json.loads(refusal.body)["error"]["type"] == kind
        assert decided.call.planned_nano_usd == 0
    assert provider.bill.summary()["total_nano_usd"] == "0"


def test_an_unknown_knob_is_refused_by_name(handle: Handle) -> None:
    refused = told(handle("chat", CHAT, x_rehearsal="speed_of_light=1"), 400)
    assert "speed_of_light" in refused["error"]["message"]


def test_knobs_can_be_seen_changed_and_put_back(handle: Handle, provider: Provider) -> None:
    assert told(handle("/rehearsal/knobs", {"latency_ms": 9}))["latency_ms"] == 9
    assert told(handle("/rehearsal/knobs", method="GET"))["latency_ms"] == 9
    assert "nope" in told(handle("/rehearsal/knobs", {"nope": 1}), 400)["error"]
    told(handle("/rehearsal/knobs", b"{"), 400)
    told(handle("/rehearsal/reset"))
    assert provider.knobs == Knobs()


def test_pages_are_asked_for_by_whole_numbers(handle: Handle) -> None:
    for query in ("since=-1", "since=x", "limit=1000000", "limit=1.5", "since=\u0663"):
        told(handle(f"/rehearsal/bill?{query}", method="GET"), 400)
    assert told(handle("/rehearsal/bill?since=3&limit=5", method="GET"))["calls"] == []


def test_the_bill_shows_whose_call_it_was(handle: Handle, provider: Provider) -> None:
    text = "[rehearse reply_tokens=1] " + "Please look at this lead. " * 5
    request = CHAT | {"messages": [{"role": "user", "content": text}]}
    decided = handle("chat", request, x_request_tag="run-7", authorization="Bearer sk-abcdefgh1234")
    assert isinstance(decided, Metered)
    provider.settle(decided, "done", decided.plan.used, 5)
    (row,) = told(handle("/rehearsal/bill", method="GET"))["calls"]
    assert (row["tag"], row["key_hint"]) == ("run-7", "...1234")
    assert row["prompt"] == ("Please look at this lead. " * 5)[:64]
    assert row["request_id"] == dict(decided.headers)["x-request-id"]
    # 3 + 3 + ceil(156 / 4) = 45 prompt tokens, one of output
    assert row["cost_nano_usd"] == str(45 * 150 + 600)


def test_prices_are_told_as_exact_strings(handle: Handle) -> None:
    table = told(handle("/rehearsal/prices", method="GET"))
    (row,) = [each for each in table["models"] if each["model"] == "claude-opus-5-5"]
    assert row["usd_per_million_tokens"] == {
        "input": "4",
        "cached_input": "0.2",
        "cache_write": "5",
        "cache_write_1h": "8",
        "output": "20",
    }
    assert "claude-opus-5.5" in row["aliases"]
