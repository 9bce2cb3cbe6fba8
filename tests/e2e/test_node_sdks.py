"""The official Node libraries, unmodified, through a sidecar: the stories of sdk_stories.py.

One process for each way to call a provider plays its stories in turn.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.node_session import NodeSession
from tests.e2e.sdk_stories import Cast, Library, Outcome, Play, SdkStories, stand_with_a_sidecar
from tests.e2e.stand import Stand


def openai(way: str, model: str) -> Library:
    return Library(
        name=f"openai {way}",
        model=model,
        cent_model="rehearsal-cent",
        refused="APIError",
        unknown_key="AuthenticationError",
        broken="InternalServerError",
        timed_out="APIConnectionTimeoutError",
    )


def vercel(way: str, model: str, cent_model: str = "rehearsal-cent") -> Library:
    return Library(
        name=f"vercel {way}",
        model=model,
        cent_model=cent_model,
        refused="AI_APICallError",
        unknown_key="AI_APICallError",
        broken="AI_APICallError",
        timed_out="TimeoutError",
    )


ANTHROPIC = Library(
    name="anthropic messages",
    model="claude-haiku-4-5",
    cent_model="claude-rehearsal-cent",
    refused="PaymentRequiredError",
    unknown_key="AuthenticationError",
    broken="InternalServerError",
    timed_out="APIConnectionTimeoutError",
)
LIBRARIES = (
    openai("chat", "gpt-5-mini"),
    openai("responses", "gpt-4.1-mini"),
    ANTHROPIC,
    vercel("chat", "gpt-4o-mini"),
    vercel("responses", "gpt-5-nano"),
    vercel("messages", "claude-sonnet-4-5", "claude-rehearsal-cent"),
    vercel("content", "gemini-2.5-flash", "gemini-rehearsal-cent"),
)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    yield from stand_with_a_sidecar(tmp_path_factory.mktemp("stand"))


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    with ExitStack() as stack:
        made = []
        for library in LIBRARIES:
            script, way = library.name.split()
            folder = tmp_path_factory.mktemp("node")
            session = stack.enter_context(NodeSession(f"{script}.mjs", folder))
            made.append((library, player(session, way)))
        yield made


def player(session: NodeSession, way: str) -> Play:
    """Play orders in a session."""

    def play(order: dict[str, Any]) -> Outcome:
        answer = session.ask({"library": way, **order})
        error = answer.get("error")
        if error is None:
            return Outcome(answer["requests"], answer["said"])
        types, status, message = error["types"], error["status"], error["message"]
        return Outcome(answer["requests"], {}, tuple(types), status, message)

    return play


class TestNode(SdkStories):
    """Every story, with all ways at once."""
