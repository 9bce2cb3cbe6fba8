"""Many calls at once with the official SDKs, and what became of each."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Self

import anthropic
import httpx2
import openai
from google import genai

from tests.e2e.ways import CHAT, Sdks, Way

CONNECTIONS_MAX = 1_000


@dataclass(frozen=True)
class Answer:
    """What one SDK call came to."""

    status: int
    """The status of the last answer; 200 when it passed."""
    tries: int
    """Requests that the SDK made for it."""
    started_ns: int
    """On the monotonic clock, which all processes of a machine share."""
    ended_ns: int
    text: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    """The refusal's body, when it was refused."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.status == 200


class Caller:
    """A workflow's unmodified client, whose requests are counted."""

    def __init__(self, base_url: str, key: str, **options: Any) -> None:
        """Point the official SDKs at a sidecar."""
        self._tries: dict[str, int] = {}
        self.sdks = Sdks(
            openai.AsyncOpenAI(
                base_url=f"{base_url}/v1",
                api_key=key,
                http_client=openai.DefaultAsyncHttpxClient(
                    limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
                    event_hooks={"request": [self._count]},
                ),
                **options,
            ),
            anthropic.AsyncAnthropic(
                base_url=base_url,
                api_key=key,
                http_client=anthropic.DefaultAsyncHttpxClient(
                    event_hooks={"request": [self._count]}
                ),
                **options,
            ),
            genai.Client(
                api_key=key,
                http_options=genai.types.HttpOptions(
                    base_url=base_url,
                    timeout=1_000 * int(options.get("timeout", 60)),
                    async_client_args={"event_hooks": {"request": [self._count]}},
                ),
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sdks.openai.close()
        await self.sdks.anthropic.close()
        await self.sdks.gemini.aio.aclose()

    async def _count(self, request: Any) -> None:
        tag = request.headers["x-request-tag"]
        self._tries[tag] = self._tries.get(tag, 0) + 1

    def tries(self, tag: str) -> int:
        """Requests that an SDK made for one call."""
        return self._tries[tag]

    async def call(
        self, tag: str, *, way: Way = CHAT, stream: bool = False, **request: Any
    ) -> Answer:
        """Make one call and read its answer to the end."""
        started_ns = time.monotonic_ns()
        headers = {"x-request-tag": tag}
        try:
            make = way.streamed if stream else way.plain
            assert make is not None
            text, told = await make(self.sdks, headers, request)
        except (openai.APIStatusError, anthropic.APIStatusError) as refusal:
            body = refusal.body if isinstance(refusal.body, dict) else {}
            return Answer(
                refusal.status_code,
                self._tries[tag],
                started_ns,
                time.monotonic_ns(),
                error=body,
                headers=dict(refusal.response.headers),
            )
        except genai.errors.APIError as refusal:
            return Answer(
                refusal.code,
                self._tries[tag],
                started_ns,
                time.monotonic_ns(),
                error=refusal.details["error"],
                headers=dict(refusal.response.headers),
            )
        return Answer(
            200, self._tries[tag], started_ns, time.monotonic_ns(), text=text, headers=told
        )


async def burst(
    callers: list[tuple[Caller, int]], calls: int, concurrency: int, **request: Any
) -> list[Answer]:
    """Make so many calls, so many at a time, spread over the callers by their weights."""
    turns = [caller for caller, weight in callers for _ in range(weight)]
    answers: list[Answer] = []
    limit = asyncio.Semaphore(concurrency)

    async def one(number: int) -> None:
        async with limit:
            caller = turns[number % len(turns)]
            answers.append(await caller.call(f"call-{number}", **request))

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(one(number))
    return answers
