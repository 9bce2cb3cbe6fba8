"""What every library must go through, unmodified but for its base URL and key, in any language.

A library is whatever plays an order and tells how it came out, so the stories are the same for
all: what differs is how each names its errors. Most of a story is waiting, so all play it at once.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Client, Stand

DOLLAR = 1_000_000_000
CAP = 100 * DOLLAR
CENT = DOLLAR // 100
LEAD = {"name": "Acme", "worth": 7}
HELD_MS = 6_000
BUSY_PATIENCE_MS = 400
BUSY_RETRIES = 5
"""Each waits the patience and the sidecar's retry-after: together twice as long as money is held.

So the first try finds it held, and a later one free, also where a busy machine delays either.
"""
SLOW = "[rehearse reply_tokens=400 chunk_tokens=4 chunk_ms=10] Take your time."


@dataclass(frozen=True)
class Outcome:
    """How an order came out."""

    requests: int
    """How often the library sent a request."""
    said: dict[str, Any] = field(default_factory=dict)
    """What the library returned."""
    types: tuple[str, ...] = ()
    """Names of the error's class and what it derives from; empty when there was none."""
    status: int | None = None
    message: str = ""


Play = Callable[[dict[str, Any]], Outcome]


@dataclass(frozen=True)
class Library:
    """One way to call a provider."""

    name: str
    model: str
    """No other way of its module has it, so the bill can tell them apart."""
    cent_model: str
    refused: str
    """The type of its error for 402; the next are for 401, 500, and its own patience."""
    unknown_key: str
    broken: str
    timed_out: str


@dataclass(frozen=True)
class Scene:
    """A library before a sidecar, with a key that the sidecar knows."""

    stand: Stand
    library: Library
    play: Play
    client: Client

    def ask(self, do: str, prompt: str, **options: Any) -> Outcome:
        """Play an order."""
        order = {
            "do": do,
            "url": self.stand.url("one"),
            "key": self.client.key,
            "model": self.library.model,
            "prompt": prompt,
        }
        return self.play(order | options)

    def billed(self) -> list[Any]:
        """What the provider billed for the library's model, call by call."""
        calls = self.stand.provider("/rehearsal/bill?limit=1000")["calls"]
        return [call for call in calls if call["model"] == self.library.model]

    def bill_nano_usd(self) -> int:
        """What the provider billed for the library's model."""
        return sum(int(call["cost_nano_usd"]) for call in self.billed())

    def booked(self) -> None:
        """Wait until the ledger has the bill, to the nano-dollar and without estimates."""
        bill = self.bill_nano_usd()
        assert bill > 0
        project = self.client.project_id
        self.stand.until(lambda: self.stand.usage_nano_usd(project) == bill)
        ledger = self.stand.ledger(project)
        assert sum(call.cost_nano_usd for call in ledger) == bill
        assert not any(call.estimated for call in ledger)

    def booked_safely(self) -> None:
        """Wait for the one call; it is charged exactly, or marked and not below the bill."""
        project = self.client.project_id
        self.stand.until(lambda: len(self.billed()) == 1)
        self.stand.until(lambda: len(self.stand.ledger(project)) == 1)
        (call,) = self.stand.ledger(project)
        bill = self.bill_nano_usd()
        assert bill > 0
        assert call.cost_nano_usd == bill or (call.estimated and call.cost_nano_usd > bill)
        assert call.cost_nano_usd <= call.worst_nano_usd


Cast = Sequence[tuple[Library, Play]]


def scenes_of(stand: Stand, cast: Cast, cap_nano_usd: int = CAP, **options: Any) -> list[Scene]:
    """A new client for each library, and a provider that starts anew."""
    stand.provider("/rehearsal/reset", {})
    made = []
    for library, play in cast:
        name = f"{library.name} {stand.request_id()}"
        made.append(Scene(stand, library, play, stand.add_client(name, cap_nano_usd, **options)))
    for scene in made:
        stand.until_known("one", scene.client)
    return made


def everywhere(scenes: list[Scene], story: Callable[[Scene], None]) -> None:
    """Play a story with all libraries at once; every one that fails is named."""
    with ThreadPoolExecutor(len(scenes)) as pool:
        played = [pool.submit(story, scene) for scene in scenes]
    failed = []
    for scene, future in zip(scenes, played, strict=True):
        error = future.exception()
        if error is not None:
            error.add_note(f"with {scene.library.name}")
            failed.append(error)
    if failed:
        raise BaseExceptionGroup("some libraries failed", failed)


class SdkStories:
    """The stories; whoever derives from this provides the cast."""

    def test_plain_streamed_and_tools(self, stand: Stand, cast: Cast) -> None:
        def story(scene: Scene) -> None:
            plain = scene.ask("plain", "[rehearse reply_tokens=25] Hello.")
            assert len(plain.said.get("text", "")) == 100, plain
            prompt = "[rehearse reply_tokens=25 chunk_tokens=5] Hello."
            streamed = scene.ask("streamed", prompt)
            assert len(streamed.said.get("text", "")) == 100, streamed
            assert streamed.said["pieces"] >= 5
            tools = scene.ask("tools", "[rehearse tool_call] How is it in Rome?")
            assert tools.said == {"tool": "weather", "input": {"city": "rehearsal"}}, tools
            assert (plain.requests, streamed.requests, tools.requests) == (1, 1, 1)
            assert len(scene.billed()) == 3
            scene.booked()

        everywhere(scenes_of(stand, cast), story)

    def test_structured_output(self, stand: Stand, cast: Cast) -> None:
        def story(scene: Scene) -> None:
            outcome = scene.ask("structured", "Who is worth a call?")
            assert outcome.said == LEAD, outcome
            scene.booked()

        scenes = scenes_of(stand, cast)
        stand.provider("/rehearsal/knobs", {"reply_text": json.dumps(LEAD)})
        everywhere(scenes, story)

    def test_a_refusal_is_raised_at_once_as_the_librarys_own_error(
        self, stand: Stand, cast: Cast
    ) -> None:
        """What the sidecar counted is asked last: it tells of its refusals every few seconds."""

        def story(scene: Scene) -> None:
            for do in ("plain", "streamed"):
                outcome = scene.ask(do, "Hello.")
                assert (outcome.status, outcome.requests) == (402, 1), outcome
                assert scene.library.refused in outcome.types
                assert "is left in the budget" in outcome.message

        scenes = scenes_of(stand, cast, 1_000)
        everywhere(scenes, story)
        assert stand.provider("/rehearsal/bill")["calls"] == []
        projects = {scene.client.project_id for scene in scenes}
        told = {each: {"too_large": 2} for each in projects}
        stand.until(lambda: refused(stand, projects) == told)

    def test_errors_of_the_key_and_of_the_provider(self, stand: Stand, cast: Cast) -> None:
        def story(scene: Scene) -> None:
            stranger = scene.ask("plain", "Hello.", key="bursar_pk_" + "x" * 32)
            assert (stranger.status, stranger.requests) == (401, 1), stranger
            assert scene.library.unknown_key in stranger.types
            for do in ("plain", "streamed"):
                broken = scene.ask(do, "[rehearse error=500] Hello.", retries=0)
                assert (broken.status, broken.requests) == (500, 1), broken
                assert scene.library.broken in broken.types
            assert scene.stand.usage_nano_usd(scene.client.project_id) == 0

        everywhere(scenes_of(stand, cast), story)
        assert stand.bill_nano_usd() == 0

    def test_a_providers_passing_trouble_is_tried_again_and_paid_once(
        self, stand: Stand, cast: Cast
    ) -> None:
        def story(scene: Scene) -> None:
            outcome = scene.ask("plain", "[rehearse reply_tokens=25] Hello.", retries=5)
            assert len(outcome.said.get("text", "")) == 100, outcome
            assert outcome.requests > 1
            outcomes = [call["outcome"] for call in scene.billed()]
            assert outcomes == ["error"] * (outcome.requests - 1) + ["done"]
            scene.booked()

        def end_the_trouble() -> None:
            stand.until(lambda: all(scene.billed() for scene in scenes))
            stand.provider("/rehearsal/knobs", {"error_status": None})

        scenes = scenes_of(stand, cast)
        stand.provider("/rehearsal/knobs", {"error_status": 503, "retry_after_s": 1})
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(end_the_trouble)
            everywhere(scenes, story)
            ended.result()

    def test_a_busy_budget_is_waited_for_as_the_answer_says(self, stand: Stand, cast: Cast) -> None:
        """Five cents: one call holds four and costs one, and until it ends another has no room."""

        def story(scene: Scene) -> None:
            model = scene.library.cent_model
            outcome = scene.ask("plain", "Hello.", model=model, limit=40, retries=BUSY_RETRIES)
            assert outcome.said.get("text"), outcome
            assert outcome.requests > 1
            project = scene.client.project_id
            stand.until(lambda: stand.usage_nano_usd(project) == 2 * CENT)

        scenes = scenes_of(stand, cast, 5 * CENT, patience_ms=BUSY_PATIENCE_MS)
        with ThreadPoolExecutor(len(scenes)) as pool:
            held = [pool.submit(hold, stand, scene.client) for scene in scenes]
            stand.until(lambda: len(stand.provider("/rehearsal/log")["events"]) == len(scenes))
            everywhere(scenes, story)
            for each in held:
                each.result()
        assert stand.bill_nano_usd() == 2 * CENT * len(scenes)

    def test_a_call_that_its_caller_gave_up_is_never_charged_below_the_bill(
        self, stand: Stand, cast: Cast
    ) -> None:
        def story(scene: Scene) -> None:
            # The call has to reach its provider in time, on a busy machine too.
            prompt = "[rehearse latency_ms=3000 reply_tokens=25] Hello."
            outcome = scene.ask("plain", prompt, retries=0, timeout_ms=2_000)
            assert scene.library.timed_out in outcome.types, outcome
            assert outcome.requests == 1
            scene.booked_safely()

        everywhere(scenes_of(stand, cast), story)

    def test_a_stream_that_its_caller_left_is_never_charged_below_the_bill(
        self, stand: Stand, cast: Cast
    ) -> None:
        def story(scene: Scene) -> None:
            outcome = scene.ask("left", SLOW)
            assert 0 < outcome.said.get("pieces", 0) < 50, outcome
            scene.booked_safely()

        everywhere(scenes_of(stand, cast), story)


def refused(stand: Stand, projects: set[str]) -> dict[str, dict[str, int]]:
    """How often the sidecars refused calls of these projects, by reason."""
    ask = admin.ListRefusalsRequest(page_size=1_000)
    found: dict[str, dict[str, int]] = {}
    for each in stand.bursar.ask(stand.bursar.calls.ListRefusals, ask).refusals:
        if each.project_id in projects:
            reasons = found.setdefault(each.project_id, {})
            reasons[each.reason] = reasons.get(each.reason, 0) + each.count
    return found


def hold(stand: Stand, client: Client) -> None:
    """Make a slow call that holds four cents and costs one."""
    prompt = f"[rehearse latency_ms={HELD_MS} reply_tokens=10] Hello."
    body = {"model": "rehearsal-cent", "messages": [{"role": "user", "content": prompt}]}
    asked = Request(  # noqa: S310 - loopback
        f"{stand.url('one')}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"authorization": f"Bearer {client.key}", "content-type": "application/json"},
    )
    with urlopen(asked, timeout=60) as answer:  # noqa: S310 - loopback
        answer.read()


def stand_with_a_sidecar(folder: Any) -> Iterator[Stand]:
    """An installation for all stories of a module."""
    with Stand(folder) as stand:
        stand.start_sidecar("one")
        yield stand
