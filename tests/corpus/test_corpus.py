"""Every usage that a provider tells is counted and priced exactly, whole or streamed.

The arithmetic here is its own: fractions of a dollar from the list prices, rounded up once.
"""

import json
import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from protos.values import quantities as kinds
from protos.values.money import usd_per_million_to_pico
from protos.values.rates import ModelPrice, Tier, Variant
from sidecar.core.metering import Usage, charge_of
from sidecar.http.surfaces import Surface
from sidecar.providers.apis import APIS
from sidecar.providers.reading import CallRequest

FOLDER = Path(__file__).parent
PRICES = json.loads((FOLDER / "prices.json").read_text(encoding="utf-8"))
WORST_NANO_USD = 3_000_000_000
SPLITS = 12
Case = Mapping[str, Any]


def event(data: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def chunks(answer: Case) -> bytes:
    """A chat or a legacy completion as chunks, the last of which tells the usage."""
    base = {name: told for name, told in answer.items() if name not in ("choices", "usage")}
    delta = {"index": 0, "delta": {"content": "für ☃"}, "text": "für ☃", "finish_reason": None}
    ended = {**delta, "delta": {}, "text": "", "finish_reason": "stop"}
    return (
        event({**base, "choices": [delta], "usage": None})
        + event({**base, "choices": [ended], "usage": None})
        + event({**base, "choices": [], "usage": answer["usage"]})
        + b"data: [DONE]\n\n"
    )


def response_events(answer: Case) -> bytes:
    """A response as events, the last of which is the response."""
    begun = {**answer, "status": "in_progress", "usage": None, "output": []}
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_text.delta", {"delta": 'für ☃ "response.completed"'}),
        (f"response.{answer['status']}", {"response": answer}),
    ]
    return b"".join(
        event({"type": kind, "sequence_number": number, **fields}, kind)
        for number, (kind, fields) in enumerate(told)
    )


def message_events(answer: Case) -> bytes:
    """A message as events: the prompt's usage first, all of it again at the end."""
    first = {**answer["usage"], "output_tokens": 1}
    message = {**answer, "content": [], "stop_reason": None, "usage": first}
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    return (
        event({"type": "message_start", "message": message}, "message_start")
        + event({"type": "ping"}, "ping")
        + event(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "für ☃"},
            },
            "content_block_delta",
        )
        + event(
            {"type": "message_delta", "delta": delta, "usage": answer["usage"]}, "message_delta"
        )
        + event({"type": "message_stop"}, "message_stop")
    )


def content_events(answer: Case) -> bytes:
    """Generated content as chunks, each of which tells the usage so far, the last all of it."""
    (candidate,) = answer["candidates"]
    base = {"modelVersion": answer["modelVersion"], "responseId": answer["responseId"]}
    told = answer["usageMetadata"]
    so_far = {"promptTokenCount": told["promptTokenCount"], "totalTokenCount": 300_000}
    begun = {name: held for name, held in candidate.items() if name != "finishReason"}
    ended = {**candidate, "content": {"parts": [{"text": 'said "finishReason"'}]}}
    return (
        event({"candidates": [begun], "usageMetadata": so_far, **base})
        + event({"candidates": [begun], **base})
        + event({"candidates": [ended], "usageMetadata": told, **base})
    )


class Api(NamedTuple):
    """How one API's answers are read, and made into streams."""

    surface: Surface
    request: Mapping[str, Any]
    stream: Callable[[Case], bytes] | None


HELLO = [{"role": "user", "content": "Hello."}]
TABLE: dict[str, Api] = {
    "openai_chat": Api(Surface.CHAT, {"messages": HELLO}, chunks),
    "openai_responses": Api(Surface.RESPONSES, {"input": "Hello."}, response_events),
    "openai_completions": Api(Surface.COMPLETIONS, {"prompt": "Hello."}, chunks),
    "openai_embeddings": Api(Surface.EMBEDDINGS, {"input": "Hello."}, None),
    "anthropic_messages": Api(
        Surface.MESSAGES, {"messages": HELLO, "max_tokens": 9}, message_events
    ),
    "gemini_content": Api(
        Surface.GEMINI_STREAM, {"contents": [{"parts": [{"text": "Hello."}]}]}, content_events
    ),
}
FILES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem != "prices"
}
CASES = [
    pytest.param(TABLE[name], case, id=f"{name}: {case['name']}")
    for name, cases in FILES.items()
    for case in cases
]
STREAMED = [each for each in CASES if each.values[0].stream is not None]  # type: ignore[union-attr]  # an Api


def row_of(model: str) -> Case:
    (row,) = [row for row in PRICES if model in (row["model"], *row["aliases"])]
    return dict(row)


def price_of(row: Case) -> ModelPrice:
    """The row as the program holds it."""

    def tiers(told: list[Any]) -> tuple[Tier, ...]:
        return tuple(
            Tier(above, {kind: usd_per_million_to_pico(usd) for kind, usd in rates.items()})
            for above, rates in told
        )

    variants = tuple(Variant(name, tiers(told)) for name, told in row.get("variants", {}).items())
    return ModelPrice(
        provider=row["provider"],
        model=row["model"],
        aliases=tuple(row["aliases"]),
        input_max=1_000_000,
        output_max=128_000,
        tiers=tiers(row["tiers"]),
        version="corpus",
        variants=variants,
    )


PARTS_OF_PROMPT = (
    *("input", "cached", "cache_write", "cache_write_long"),
    *("audio_input", "cached_audio", "image_input", "cached_image", "video_input"),
)


def exact_nano_usd(case: Case, row: Case) -> int:
    """What a case costs by fractions; no rate falls back but those of caches."""
    used = case["used"]
    prompt = sum(used.get(kind, 0) for kind in PARTS_OF_PROMPT)
    tiers = row["tiers"]
    if case.get("variant") in row.get("variants", {}):
        tiers = row["variants"][case["variant"]]
    (*_, rates) = [rates for above, rates in tiers if above == 0 or prompt > above]
    total = Fraction(0)
    for kind, count in used.items():
        if kind == "reasoning":
            continue
        usd = rates.get(kind)
        if usd is None and kind == "cache_write_long":
            usd = rates.get("cache_write")
        if usd is None and kind in PARTS_OF_PROMPT:
            usd = rates["input"]
        total += count * Fraction(usd) / 1_000_000
    nano_usd = math.ceil(total * 1_000_000_000)
    return max(nano_usd, WORST_NANO_USD) if case.get("unpriced") else nano_usd


def model_of(case: Case) -> str:
    answer = case["answer"]
    model: str = answer["model"] if "model" in answer else answer["modelVersion"]
    return model


def check(usage: Usage | None, case: Case) -> None:
    assert usage is not None
    assert dict(usage.quantities) == case["used"]
    assert usage.variant == case.get("variant", "")
    row = row_of(model_of(case))
    charge = charge_of(usage, price_of(row), WORST_NANO_USD)
    assert charge.cost_nano_usd == exact_nano_usd(case, row)
    assert list(charge.unpriced) == case.get("unpriced", [])
    assert charge.estimated is bool(case.get("unpriced"))


def request_of(api: Api, case: Case, **fields: Any) -> CallRequest:
    value = {"model": model_of(case), **api.request, **fields}
    if api.stream is content_events:
        # Whether an answer of Gemini's is streamed stands in the path.
        value = {"model": model_of(case), **api.request}
    body = json.dumps(value).encode()
    return APIS[api.surface].read(value, body, model=model_of(case), expands_text=False)


def test_every_file_has_its_api_and_every_kind_exists() -> None:
    assert set(FILES) == set(TABLE)
    used = {kind for cases in FILES.values() for case in cases for kind in case["used"]}
    assert used <= set(kinds.KINDS)


@pytest.mark.parametrize(("api", "case"), CASES)
def test_a_whole_answer_is_counted_and_priced_exactly(api: Api, case: Case) -> None:
    check(APIS[api.surface].usage_of(case["answer"]), case)


@pytest.mark.parametrize(("api", "case"), STREAMED)
def test_a_stream_is_counted_and_priced_exactly_wherever_it_is_cut(api: Api, case: Case) -> None:
    assert api.stream is not None
    make = APIS[api.surface].meter
    assert make is not None
    dice = random.Random(case["name"])
    for turn in range(SPLITS):
        stream = api.stream(case["answer"])
        if turn % 3 == 2:
            stream = stream.replace(b"\n", b"\r\n")
        options = {"stream_options": {"include_usage": True}} if turn % 2 else {}
        meter = make(request_of(api, case, stream=True, **options))
        cuts = sorted(dice.choices(range(len(stream) + 1), k=dice.randrange(1, 60)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        out = b"".join(map(meter.take, pieces)) + meter.rest()
        check(meter.usage, case)
        hides = api.stream is chunks and not options
        assert (b'"choices": []' in out) is (api.stream is chunks and not hides)
        assert hides or out == stream
