"""Rate limits over real processes: what passes, what is refused and how, and who gets how much.

Windows are of a second where a story needs several of them; nothing here waits by the clock.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import openai

from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Client, Stand
from tests.e2e.test_cap import DOLLAR
from tests.e2e.traffic import Caller

MINUTE = admin.RateWindow.RATE_WINDOW_MINUTE
SECOND = admin.RateWindow.RATE_WINDOW_SECOND
REQUESTS = admin.RateMeasure.RATE_MEASURE_REQUESTS
CALL: dict[str, Any] = {
    "model": "rehearsal-cent",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "[rehearse reply_tokens=10] Hello."}],
}


def set_limit(stand: Stand, **limit: Any) -> admin.RateLimit:
    request = admin.SetRateLimitRequest(
        request_id=stand.request_id(), rate_limit=admin.RateLimit(**limit)
    )
    made: admin.RateLimit = stand.bursar.ask(stand.bursar.rate_limits.SetRateLimit, request)
    return made


def passed_of(stand: Stand, client: Client) -> int:
    return len(stand.ledger(client.project_id))


def test_a_refusal_is_a_rate_limit_error_that_says_when_to_come_back(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", 10 * DOLLAR, patience_ms=200)
    set_limit(stand, measure=REQUESTS, window=MINUTE, amount=3, project_id=client.project_id)
    url = stand.start_sidecar("one")

    async def story() -> list[openai.RateLimitError]:
        refused = []
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key=client.key, max_retries=0
        ) as sdk:
            for _ in range(5):
                try:
                    await sdk.chat.completions.create(**CALL)
                except openai.RateLimitError as error:
                    refused.append(error)
        return refused

    refused = asyncio.run(story())
    assert len(refused) == 2
    for error in refused:
        headers = error.response.headers
        assert error.code == "rate_limit_exceeded"
        assert headers["x-should-retry"] == "true"
        assert 0 < int(headers["retry-after-ms"]) <= 62_000
        assert 0 < int(headers["retry-after"]) <= 62
        assert "3 requests a minute" in str(error)
    stand.until(lambda: passed_of(stand, client) == 3)


def test_a_loop_is_stopped_for_good(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", 10 * DOLLAR)
    project = stand.bursar.ask(
        stand.bursar.projects.GetProject, admin.GetProjectRequest(project=client.project_id)
    )
    project.loop_max_count = 3
    change = admin.UpdateProjectRequest(request_id=stand.request_id(), project=project)
    change.update_mask.paths.append("loop_max_count")
    stand.bursar.ask(stand.bursar.projects.UpdateProject, change)
    url = stand.start_sidecar("one")

    async def story() -> tuple[Any, int]:
        async with Caller(url, client.key) as caller:
            answers = [await caller.call(f"t{turn}", **CALL) for turn in range(5)]
            other = await caller.call("other", **{**CALL, "max_tokens": 9})
        assert [answer.status for answer in answers] == [200, 200, 200, 403, 403]
        return answers[-1], other.status

    last, other = asyncio.run(story())
    assert other == 200
    assert last.tries == 1, "a library must not go on with the loop"
    assert last.headers["x-should-retry"] == "false"
    assert last.error["code"] == "loop_detected"
    assert "a workflow loops" in stand.sidecars["one"].log.read_text()


def test_a_flood_leaves_two_others_their_shares_over_two_sidecars(stand: Stand) -> None:
    """All three want more than there is, so each has a third: within a tenth of each other."""
    names = ("flood", "calm", "steady")
    clients = {name: stand.add_client(name, 1_000 * DOLLAR, patience_ms=60_000) for name in names}
    set_limit(stand, measure=REQUESTS, window=SECOND, amount=20, provider="openai")
    urls = [stand.start_sidecar(name) for name in ("one", "two")]
    passed: Counter[str] = Counter()
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()

    async def story() -> None:
        ended = asyncio.Event()

        async def ask_again_and_again(name: str, caller: Caller, tag: str) -> None:
            turn = 0
            while not ended.is_set():
                turn += 1
                answer = await caller.call(f"{tag}-{turn}", **CALL)
                passed[name] += answer.passed
                if passed["calm"] == 20 and not before:
                    before.update(passed)
                if passed["calm"] == 100 and not after:
                    after.update(passed)
                    ended.set()

        async with AsyncExitStack() as callers, asyncio.TaskGroup() as tasks:
            for name, workers in (("flood", 40), ("calm", 14), ("steady", 14)):
                for url in urls:
                    caller = Caller(url, clients[name].key, timeout=120)
                    await callers.enter_async_context(caller)
                    for worker in range(workers // 2):
                        tag = f"{name}{worker}"
                        tasks.create_task(ask_again_and_again(name, caller, tag))

    asyncio.run(asyncio.wait_for(story(), timeout=240))
    got = after - before
    fair = got.total() / 3
    for name in names:
        assert 0.9 * fair <= got[name] <= 1.1 * fair, got
