"""Whatever is wrong with a request is told in its caller's words, and nothing is sent or held."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import trio

from protos.values.selectors import Selector
from sidecar.core.policy import Budget, Policy
from sidecar.core.refusals import Reason, Refused, Shortage, refusal_of
from sidecar.runtime.secrets import OpenSecret
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Rehearsal, chat, exchange, message, request, serving

pytestmark = pytest.mark.trio

CHAT = "/v1/chat/completions"
REFUSED: list[tuple[str, str, Any, dict[str, Any], int, str]] = [
    ("no key", CHAT, chat(), {"key": None}, 401, "invalid_api_key"),
    ("no key of ours", CHAT, chat(), {"key": "sk-123"}, 401, "invalid_api_key"),
    ("an unknown key", CHAT, chat(), {"key": wire.UNKNOWN}, 401, "invalid_api_key"),
    ("a revoked key", CHAT, chat(), {"key": wire.REVOKED}, 401, "key_revoked"),
    ("an expired key", CHAT, chat(), {"key": wire.EXPIRED}, 401, "key_expired"),
    ("a suspended client", CHAT, chat(), {"key": wire.SUSPENDED}, 403, "project_suspended"),
    ("two keys", CHAT, chat(), {"lines": {"x-api-key": "other"}}, 401, "invalid_api_key"),
    (
        "a model not allowed",
        CHAT,
        chat(model="gpt-4o"),
        {"key": wire.NARROW},
        403,
        "model_not_allowed",
    ),
    ("a model without price", CHAT, chat(model="gpt-9"), {}, 403, "model_not_priced"),
    (
        "a model of the other family",
        CHAT,
        chat(model="claude-haiku-4-5"),
        {},
        403,
        "model_not_allowed",
    ),
    (
        "an embedder that should chat",
        CHAT,
        chat(model="text-embedding-3-small"),
        {},
        400,
        "invalid_request",
    ),
    (
        "a chatter that should embed",
        "/v1/embeddings",
        {"model": "gpt-4o", "input": "x"},
        {},
        400,
        "invalid_request",
    ),
    ("no model", CHAT, {"messages": []}, {}, 400, "invalid_request"),
    ("no messages", CHAT, {"model": "gpt-4o"}, {}, 400, "invalid_request"),
    ("no JSON", CHAT, b"hello", {}, 400, "invalid_request"),
    ("nothing", CHAT, b"", {}, 400, "invalid_request"),
    ("a list", CHAT, b"[]", {}, 400, "invalid_request"),
    ("a key twice", CHAT, b'{"model":"a","model":"b"}', {}, 400, "invalid_request"),
    ("a field in capitals", CHAT, chat(MAX_TOKENS=10**6), {}, 400, "invalid_request"),
    ("a search", CHAT, chat(web_search_options={"a": 1}), {}, 403, "unbounded_feature"),
    ("a dear tier", CHAT, chat(service_tier="priority"), {}, 403, "model_not_priced"),
    (
        "a form",
        CHAT,
        chat(),
        {"lines": {"Content-Type": "text/plain"}},
        415,
        "unsupported_media_type",
    ),
    ("brotli", CHAT, chat(), {"lines": {"Content-Encoding": "br"}}, 415, "unsupported_encoding"),
    ("bad gzip", CHAT, chat(), {"lines": {"Content-Encoding": "gzip"}}, 400, "invalid_request"),
    ("another path", "/v1/nothing", {}, {}, 403, "endpoint_not_allowed"),
    ("path tricks", "/v1/x/../messages", {}, {}, 403, "endpoint_not_allowed"),
    ("another method", "/v1/embeddings", None, {"method": "PUT"}, 405, "method_not_allowed"),
    (
        "an unknown provider",
        "/p/groq/v1/chat/completions",
        chat(),
        {},
        403,
        "provider_not_configured",
    ),
    ("the wrong provider", "/p/anthropic/v1/chat/completions", chat(), {}, 400, "invalid_request"),
    ("another host", CHAT, chat(), {"lines": {"Host": "evil.example"}}, 421, "misdirected_request"),
    (
        "a web page",
        CHAT,
        chat(),
        {"lines": {"Origin": "https://evil.example"}},
        403,
        "cross_site_request",
    ),
    (
        "a web page's fetch",
        CHAT,
        chat(),
        {"lines": {"Sec-Fetch-Site": "cross-site"}},
        403,
        "cross_site_request",
    ),
    (
        "an upgrade",
        CHAT,
        None,
        {"lines": {"Upgrade": "websocket", "Connection": "Upgrade"}},
        403,
        "endpoint_not_allowed",
    ),
    ("no max_tokens", "/v1/messages", message(max_tokens=None), {}, 400, "invalid_request"),
    (
        "a server's tool",
        "/v1/messages",
        message(tools=[{"type": "web_search_1"}]),
        {},
        403,
        "unbounded_feature",
    ),
]


@pytest.mark.parametrize(
    ("path", "body", "options", "status", "code"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
async def test_a_bad_request_is_refused_in_the_callers_words(
    tmp_path: Path,
    rehearsal: Rehearsal,
    policy: Policy,
    path: str,
    body: Any,
    options: dict[str, Any],
    status: int,
    code: str,
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(path, body, port=sidecar.port, **options)
        answer = await exchange(sidecar.port, data)
        assert sidecar.log.getvalue() == ""
    assert (answer.status, answer.headers["x-bursar-error"]) == (status, code)
    assert answer.headers["x-should-retry"] == "false"
    error = answer.json()["error"]
    if path.startswith("/v1/messages"):
        assert answer.json()["type"] == "error"
        assert error["details"]["error_code"] == code
    else:
        assert error["code"] == code
        assert set(error) == {"message", "type", "param", "code", "bursar"}
    assert len(error["message"]) > 10
    assert "Traceback" not in error["message"]
    assert not sidecar.booked.opened
    assert rehearsal.bill()["calls_started"] == 0


@pytest.mark.parametrize("secret", [wire.UNKNOWN, "sk-live-0123456789"])
async def test_a_key_is_never_repeated(tmp_path: Path, policy: Policy, secret: str) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(CHAT, chat(), port=sidecar.port, key=secret)
        answer = await exchange(sidecar.port, data)
    assert secret.encode() not in answer.body
    assert secret not in sidecar.log.getvalue()


async def test_a_refused_head_request_gets_no_body(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        lines = {"Connection": "close"}
        data = request("/v1/nowhere", port=sidecar.port, method="HEAD", lines=lines)
        answer = await wire.until_closed(sidecar.port, data)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_connection_survives_a_refusal(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        bad = request(CHAT, chat(), port=sidecar.port, key=wire.UNKNOWN)
        good = request(CHAT, chat(), port=sidecar.port)
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            for data, status in ((bad, 401), (good, 200), (bad, 401), (good, 200)):
                assert (await exchange(sidecar.port, data, keep=stream)).status == status


async def test_a_call_that_no_budget_counts_is_refused(tmp_path: Path, policy: Policy) -> None:
    bare = wire.policy_for("http://127.0.0.1:1", list(policy.prices))
    bare = Policy(
        version=2,
        projects=bare.projects,
        keys=bare.keys,
        budgets=[Budget("bgt_2", "Other", Selector(project_id="prj_other"), "", False, 1)],
        prices=bare.prices,
        providers=bare.providers,
    )
    async with serving(tmp_path, bare) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert (answer.status, answer.json()["error"]["code"]) == (403, "no_budget")


SHORTAGE = Shortage(
    reason=Reason.EXHAUSTED,
    budget_id="bgt_1",
    name="Acme",
    worst_nano_usd=12_000_000,
    cap_nano_usd=300_000_000_000,
    spent_nano_usd=300_000_000_000,
    held_nano_usd=0,
    period_end_unix_ms=1_796_083_200_000,
)


def refusing(sidecar: wire.Sidecar, shortage: Shortage) -> None:
    """Let admission refuse every call, as it does when that budget falls short."""

    async def open_(call: object, *, counts: bool = True) -> Any:
        raise Refused(refusal_of([shortage]))

    sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam


async def through_openai(sidecar: wire.Sidecar) -> openai.APIStatusError:
    client = openai.OpenAI(base_url=f"{sidecar.url}/v1", api_key=wire.KEY)
    with pytest.raises(openai.APIStatusError) as caught:
        await trio.to_thread.run_sync(lambda: client.chat.completions.create(**chat()))
    client.close()
    return caught.value


async def through_anthropic(sidecar: wire.Sidecar) -> anthropic.APIStatusError:
    client = anthropic.Anthropic(base_url=sidecar.url, api_key=wire.KEY)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await trio.to_thread.run_sync(lambda: client.messages.create(**message()))
    client.close()
    return caught.value


@pytest.mark.parametrize("reason", [Reason.EXHAUSTED, Reason.TOO_LARGE])
@pytest.mark.parametrize("through", [through_openai, through_anthropic])
async def test_the_official_libraries_raise_at_once_when_a_budget_is_spent(
    tmp_path: Path, policy: Policy, reason: Reason, through: Any
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        asked = 0

        async def open_(call: object, *, counts: bool = True) -> Any:
            nonlocal asked
            asked += 1
            raise Refused(refusal_of([replace(SHORTAGE, reason=reason)]))

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        error = await through(sidecar)
        assert asked == 1, "no retry"
    assert error.status_code == 402
    body = error.body.get("error", error.body)
    told = body.get("bursar") or body.get("details")
    assert told["budgets"][0]["cap_nano_usd"] == "300000000000"
    assert told["budgets"][0]["period_end"] == "2026-12-01T00:00:00Z"
    assert told["reason"] == reason.value


async def test_busy_is_told_with_when_to_come_back(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        refusing(sidecar, replace(SHORTAGE, reason=Reason.BUSY))
        answer = await exchange(sidecar.port, request(CHAT, chat(stream=True), port=sidecar.port))
    assert answer.status == 429
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("2", "2000")
    assert answer.headers["x-should-retry"] == "true"


async def test_refusals_made_before_admission_are_counted(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, policy) as sidecar:
        for key in (wire.UNKNOWN, wire.REVOKED):
            await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port, key=key))
        await exchange(sidecar.port, request("/v1/files", {}, port=sidecar.port))
    reasons = [refusal.reason for refusal in sidecar.booked.refused]
    assert reasons == [Reason.INVALID_KEY, Reason.KEY_REVOKED, Reason.ENDPOINT_NOT_ALLOWED]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime", "/v1/models"])
async def test_a_websocket_is_refused_by_name(tmp_path: Path, policy: Policy, path: str) -> None:
    lines = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with serving(tmp_path, policy) as sidecar:
        data = request(path, port=sidecar.port, method="GET", lines=lines)
        answer = await exchange(sidecar.port, data)
    assert (answer.status, answer.headers["x-bursar-error"]) == (403, "endpoint_not_allowed")
    assert b"WebSockets are not served" in answer.body


@pytest.mark.parametrize("secret", ["sk-1\r\nx-evil: 1", "sk-1\n", "sk-\u00e9"])
async def test_a_secret_that_no_header_takes_is_refused_and_not_shown(
    tmp_path: Path, policy: Policy, secret: str
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        bad = OpenSecret("openai:1", secret)
        sidecar.admission.secrets.secret_for = lambda *_: bad  # type: ignore[method-assign]  # bad
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
        assert sidecar.log.getvalue() == ""
    assert (answer.status, answer.headers["x-bursar-error"]) == (403, "provider_not_configured")
    assert b"sk-" not in answer.body
    assert not sidecar.booked.opened


async def test_a_provider_without_secret_is_named(tmp_path: Path, policy: Policy) -> None:
    bare = Policy(
        version=2,
        projects=policy.projects,
        keys=policy.keys,
        budgets=policy.budgets,
        prices=policy.prices,
        providers=[replace(provider, sealed_secret=b"") for provider in policy.providers],
    )
    async with serving(tmp_path, bare) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert answer.status == 403
    assert "openai" in answer.json()["error"]["message"]
