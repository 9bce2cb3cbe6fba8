"""A call that does not fit by its bytes is counted first, where its client wants that."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from sidecar.core.calls import NewCall
from sidecar.core.policy import Policy, WhenTooLarge
from sidecar.core.refusals import Reason, Refused, Shortage, refusal_of
from sidecar.runtime import counting
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import (
    Rehearsal,
    chat,
    exchange,
    message,
    request,
    response,
    serving,
)

pytestmark = pytest.mark.trio
RESPONSES = "/v1/responses"
WORDS = "four letter word seen here often " * 40
"""Many bytes, and a quarter as many tokens."""
BY_BYTES = 150_000
"""Less than it holds by its bytes, and twice what it holds by its tokens, in nano-dollars."""


def wanting(policy: Policy, mode: WhenTooLarge = WhenTooLarge.COUNT, searches: int = 0) -> Policy:
    return Policy(
        version=2,
        projects=[
            replace(one, when_too_large=mode, hosted_calls=searches) for one in policy.projects
        ],
        keys=policy.keys,
        budgets=policy.budgets,
        prices=policy.prices,
        providers=policy.providers,
    )


async def ask(
    folder: Path, policy: Policy, body: dict[str, Any], left: int | None, path: str = RESPONSES
) -> tuple[wire.Answer, wire.Sidecar]:
    """One call while so much is left."""
    async with serving(folder, policy) as sidecar:
        sidecar.admission.left_nano_usd = lambda call: left  # type: ignore[method-assign]  # admission, at the seam
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    return answer, sidecar


async def test_what_does_not_fit_by_its_bytes_holds_what_its_provider_counts(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    answer, sidecar = await ask(tmp_path, wanting(policy), response(WORDS), BY_BYTES)
    assert answer.status == 200, answer.body
    (billed,) = await rehearsal.ended(1)
    (hold,) = sidecar.booked.opened
    assert hold.call.bound.input_worst_nano_usd < BY_BYTES // 2
    assert int(billed["cost_nano_usd"]) == sidecar.booked.only().cost_nano_usd
    assert int(billed["worst_nano_usd"]) <= hold.worst_nano_usd


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        pytest.param(WhenTooLarge.COUNT, 10**12, id="it fits"),
        pytest.param(WhenTooLarge.COUNT, 0, id="not even its answer would fit"),
        pytest.param(WhenTooLarge.CLAMP, BY_BYTES, id="its client does not want it"),
        pytest.param(WhenTooLarge.REJECT, BY_BYTES, id="nor when it is to be refused"),
    ],
)
async def test_nobody_is_asked_where_counting_would_not_help(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, mode: WhenTooLarge, left: int
) -> None:
    answer, sidecar = await ask(tmp_path, wanting(policy, mode), response(WORDS), left)
    assert answer.status == 200
    await rehearsal.ended(1)
    bound = sidecar.booked.opened[0].call.bound
    assert bound.input_worst_nano_usd > BY_BYTES
    assert bound.clamps is (mode is not WhenTooLarge.REJECT)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/messages", message(WORDS), "Anthropic calls what its token counter says an estimate"),
        ("/v1/chat/completions", chat(WORDS), "no token counter takes"),
        (RESPONSES, response(WORDS, previous_response_id="resp_1"), "may be others"),
    ],
)
async def test_a_refusal_says_why_it_was_not_counted(
    tmp_path: Path,
    rehearsal: Rehearsal,
    policy: Policy,
    path: str,
    body: dict[str, Any],
    words: str,
) -> None:
    short = Shortage(Reason.TOO_LARGE, "bgt_1", "All", 10**9, fits_nano_usd=5)
    async with serving(tmp_path, wanting(policy)) as sidecar:

        async def open_(call: object, *, counts: bool = True) -> Any:
            raise Refused(refusal_of([short]))

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    assert answer.status == 402
    assert words in answer.body.decode()
    assert rehearsal.bill()["calls"] == []


async def test_what_is_refused_before_anything_was_heard_is_counted_then_and_refused_once(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    short = Shortage(Reason.TOO_LARGE, "bgt_1", "All", 10**9, fits_nano_usd=5)
    async with serving(tmp_path, wanting(policy)) as sidecar:
        admit = sidecar.admission.open
        asked: list[int] = []

        async def open_(call: Any, *, counts: bool = True) -> Any:
            asked.append(call.bound.input_worst_nano_usd)
            if len(asked) == 1:
                assert not counts
                raise Refused(refusal_of([short]))
            return await admit(call, counts=counts)

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        data = request(RESPONSES, response(WORDS), port=sidecar.port)
        assert (await exchange(sidecar.port, data)).status == 200
        await rehearsal.ended(1)
    assert asked[1] < asked[0] // 2
    assert sidecar.booked.refused == []


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}", id="an error"),
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}", id="no count"),
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 99999999\r\n\r\n{", id="too slow"),
        pytest.param(
            b"HTTP/1.1 200 X\r\nContent-Length: 9999999\r\n\r\n" + b" " * 200_000, id="too long"
        ),
        pytest.param(b"garbage\r\n\r\n", id="no HTTP"),
        pytest.param(b"", id="it hangs up"),
    ],
)
async def test_a_counter_that_fails_or_is_slow_leaves_the_call_as_it_was(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(counting, "COUNTER_WAIT_MS", 100)
    asked: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            asked.append(bytes(await stream.receive_some()))
            if said:
                await stream.send_all(said)
                await stream.receive_some()

    opened: list[NewCall] = []

    async def open_(call: NewCall, *, counts: bool = True) -> Any:
        opened.append(call)
        raise Refused(refusal_of([Shortage(Reason.TOO_LARGE, "bgt_1", "All", 10**9)]))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        elsewhere = wanting(wire.policy_for(url, list(policy.prices)))
        async with serving(tmp_path, elsewhere) as sidecar:
            sidecar.admission.left_nano_usd = lambda call: BY_BYTES  # type: ignore[method-assign]  # admission, at the seam
            sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
            data = request(RESPONSES, response(WORDS), port=sidecar.port)
            assert (await exchange(sidecar.port, data)).status == 402
        nursery.cancel_scope.cancel()
    assert [head.split(b"\r\n")[0] for head in asked] == [
        b"POST /v1/responses/input_tokens HTTP/1.1"
    ]
    (call,) = opened
    assert call.bound.input_worst_nano_usd > BY_BYTES


# --- Searches that a client is granted ------------------------------------------------------------

SEARCH = [{"type": "web_search"}]


async def test_searches_without_a_limit_are_refused_until_an_agency_grants_some(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    (tmp_path / "granted").mkdir()
    body = response("[rehearse hosted_calls=7]", tools=SEARCH)
    answer, _ = await ask(tmp_path, policy, body, None)
    assert answer.status == 403
    assert "max_tool_calls" in answer.body.decode()
    granted = wanting(policy, WhenTooLarge.CLAMP, searches=3)
    answer, sidecar = await ask(tmp_path / "granted", granted, body, None)
    assert answer.status == 200, answer.body
    (billed,) = await rehearsal.ended(1)
    assert sidecar.booked.only().quantities["web_search"] == 3
    assert int(billed["worst_nano_usd"]) <= sidecar.booked.opened[0].worst_nano_usd
    assert sidecar.booked.only().cost_nano_usd == int(billed["cost_nano_usd"])


async def test_what_a_request_says_itself_counts(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    body = response("[rehearse hosted_calls=7]", tools=SEARCH, max_tool_calls=1)
    granted = wanting(policy, WhenTooLarge.CLAMP, searches=3)
    answer, sidecar = await ask(tmp_path, granted, body, None)
    assert answer.status == 200, answer.body
    await rehearsal.ended(1)
    assert sidecar.booked.only().quantities["web_search"] == 1


async def test_a_grant_opens_nothing_that_no_parameter_bounds(
    tmp_path: Path, policy: Policy
) -> None:
    granted = wanting(policy, WhenTooLarge.CLAMP, searches=3)
    async with serving(tmp_path, granted) as sidecar:
        for path, body in (
            (RESPONSES, response(tools=[{"type": "mcp", "server_label": "x"}])),
            ("/v1/chat/completions", chat(web_search_options={})),
            ("/v1/messages", message(tools=[{"type": "web_search_20250305", "name": "w"}])),
            (
                "/v1beta/models/gemini-2.5-flash:generateContent",
                {"contents": [{"parts": [{"text": "x"}]}], "tools": [{"googleSearch": {}}]},
            ),
        ):
            answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
            assert answer.status == 403, (path, answer.body)
