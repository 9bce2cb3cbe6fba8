"""Every usage that a provider tells is counted and priced exactly, whole or streamed.

The arithmetic here is its own: fractions of a dollar from the list prices, rounded up once. What
nothing tells is an estimate, and never below what was used.
"""

import json
import math
import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from protos.values import quantities as kinds
from protos.values.money import usd_per_million_to_pico
from protos.values.rates import ModelPrice, Tier, Variant
from sidecar.core.bounds import bound_of
from sidecar.core.calls import Hold
from sidecar.core.metering import Seen, Usage, charge_of, estimate_of, usage_by_request
from sidecar.http import multipart
from sidecar.http.surfaces import SURFACES, Kind, Surface
from sidecar.providers import dialects, forms
from sidecar.providers.apis import APIS
from sidecar.providers.reading import CallRequest, told_object
from sidecar.providers.streams import EVERYTHING
from tests.corpus import streams
from tests.corpus.streams import Case, Stream
from tests.sidecar import builders
from tests.sidecar.providers.picture_files import png
from tests.sidecar.providers.sound_files import wav

FOLDER = Path(__file__).parent
PRICES = json.loads((FOLDER / "prices.json").read_text(encoding="utf-8"))
WORST_NANO_USD = 3_000_000_000
SPLITS = 12
USAGE_ALONE = b'"choices": []'
"""The mark of a chunk that only tells the usage."""


class Api(NamedTuple):
    """How the answers of one surface are read, and made into streams."""

    surface: Surface
    request: Mapping[str, Any]
    stream: Stream | None = None
    in_array: bool = False
    """Whether its stream is one JSON array."""
    file: tuple[str, bytes] | None = None
    """The field and the bytes of a file in its form."""


HELLO = [{"role": "user", "content": "Hello."}]
CHAT = {"messages": HELLO, "max_tokens": 900}
CONTENT = {"contents": [{"parts": [{"text": "Hello."}]}]}
PICTURE = {"prompt": "A lighthouse at dusk ☃"}
RECORDING = ("file", wav(7_000))
EMBEDDED = {"content": {"parts": [{"text": "Hello."}]}}
TABLE: dict[str, tuple[Api, ...]] = {
    "openai_chat": (
        Api(Surface.CHAT, CHAT, streams.chunks),
        Api(Surface.AZURE_CHAT, CHAT, streams.chunks),
    ),
    "compatible_chat": (Api(Surface.CHAT, CHAT, streams.chunks),),
    "openai_responses": (Api(Surface.RESPONSES, {"input": "Hello."}, streams.response_events),),
    "openai_completions": (Api(Surface.COMPLETIONS, {"prompt": "Hello."}, streams.chunks),),
    "openai_embeddings": (
        Api(Surface.EMBEDDINGS, {"input": "Hello."}),
        Api(Surface.AZURE_EMBEDDINGS, {"input": "Hello."}),
    ),
    "openai_images": (
        Api(Surface.IMAGES, PICTURE, streams.picture_events("image_generation")),
        Api(
            Surface.IMAGE_EDITS,
            PICTURE,
            streams.picture_events("image_edit"),
            file=("image", png(900, 700)),
        ),
    ),
    "openai_speech": (
        Api(Surface.SPEECH, {"input": "Good morning.", "voice": "alloy"}, streams.sound_events),
    ),
    "openai_recordings": (
        Api(Surface.TRANSCRIPTIONS, {}, streams.transcript_events, file=RECORDING),
        Api(Surface.TRANSLATIONS, {}, streams.transcript_events, file=RECORDING),
    ),
    "openai_moderations": (Api(Surface.MODERATIONS, {"input": "Hello."}),),
    "anthropic_messages": (
        Api(Surface.MESSAGES, {"messages": HELLO, "max_tokens": 9}, streams.message_events),
    ),
    "gemini_content": (
        Api(Surface.GEMINI_CONTENT, CONTENT),
        Api(Surface.GEMINI_STREAM, CONTENT, streams.content_events),
        Api(Surface.GEMINI_STREAM, CONTENT, streams.content_array, in_array=True),
    ),
    "gemini_embeddings": (
        Api(Surface.GEMINI_EMBED, EMBEDDED),
        Api(Surface.GEMINI_EMBED_BATCH, {"requests": [EMBEDDED]}),
    ),
}
FILES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem != "prices"
}


def rows(*, streamed: bool) -> list[Any]:
    """Every case at every surface that answers so, whole or streamed."""
    return [
        pytest.param(api, case, id=f"{file}: {api.surface.name}: {case['name']} {api.in_array}")
        for file, cases in FILES.items()
        for api in TABLE[file]
        for case in cases
        if case.get("only", "streamed" if streamed else "whole")
        == ("streamed" if streamed else "whole")
        if not streamed or api.stream is not None
    ]


WHOLE, STREAMED = rows(streamed=False), rows(streamed=True)


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
        output_max=row.get("output_max", 128_000),
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
    if "told_usd" in case:
        return math.ceil(Fraction(case["told_usd"]) * 1_000_000_000)
    used = case["used"]
    prompt = sum(used.get(kind, 0) for kind in PARTS_OF_PROMPT)
    tiers = row["tiers"]
    if case.get("variant") in row.get("variants", {}):
        tiers = row["variants"][case["variant"]]
    (*_, rates) = [rates for above, rates in tiers if above == 0 or prompt > above]
    total = Fraction(0)
    for kind, count in used.items():
        if kind == "reasoning" or kind in case.get("unpriced", ()):
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
    """The model that answered; where no answer says it, the one that was asked."""
    answer = case["answer"]
    named = case.get("model") or answer.get("model") or answer["modelVersion"]
    return str(named)


def request_of(api: Api, case: Case, **fields: Any) -> CallRequest:
    """The request that a case answers, as the program reads it."""
    value = {"model": model_of(case), **api.request, **case.get("request", {}), **fields}
    if SURFACES[api.surface].family == "gemini":
        # Whether an answer of Gemini's is streamed stands in the path, and so does the model.
        value = dict(api.request)
    body = json.dumps(value).encode()
    if api.file is not None:
        field, content = api.file
        texts = {name: str(told).lower() if told is True else told for name, told in value.items()}
        sent = httpx.Request("POST", "http://x", data=texts, files={field: ("a", content)})
        body = sent.read()
        boundary = multipart.boundary_of(sent.headers["content-type"].encode())
        value = forms.object_of(multipart.read(body, boundary))
    model = row_of(model_of(case))["model"]
    request = APIS[api.surface].read(value, body, model=model, expands_text=False)
    return request.at(dialects.named(case["provider"])) if "provider" in case else request


def check(usage: Usage | None, seen: Seen, request: CallRequest, api: Api, case: Case) -> None:
    """Hold what was told, or what nothing told, against the case."""
    row = row_of(model_of(case))
    price = price_of(row)
    if case.get("untold") or case.get("free"):
        assert usage is None
        check_untold(seen, request, price, exact_nano_usd(case, row), free=case.get("free", False))
        return
    if case.get("asked"):
        assert usage is None
        usage = usage_by_request(request.asked, price)
    assert usage is not None
    usage = APIS[api.surface].served_as(usage, case.get("tier", ""))
    assert dict(usage.quantities) == case["used"]
    assert usage.variant == case.get("variant", "")
    charge = charge_of(usage, price, WORST_NANO_USD, request.dialect.money.value)
    assert charge.cost_nano_usd == exact_nano_usd(case, row)
    assert charge.told is ("told_usd" in case)
    assert list(charge.unpriced) == case.get("unpriced", [])
    assert charge.estimated is bool(case.get("unpriced"))


def check_untold(
    seen: Seen, request: CallRequest, price: ModelPrice, exact: int, *, free: bool
) -> None:
    """What nothing tells costs nothing by its price, or is estimated, and not too low."""
    assert usage_by_request(request.asked, price) is None
    bound = bound_of(request.asked, [price])
    assert bound.is_free is free
    worst = bound.worst_nano_usd(bound.output_most)
    hold = Hold("call_a", builders.new_call(what=bound), worst, None, 0)
    charge = estimate_of(hold, request.asked, price, seen)
    assert charge.estimated
    assert exact <= charge.cost_nano_usd <= worst


def test_every_file_has_its_surfaces_and_every_kind_exists() -> None:
    assert set(FILES) == set(TABLE)
    used = {kind for cases in FILES.values() for case in cases for kind in case["used"]}
    assert used <= set(kinds.KINDS)


def test_every_surface_that_costs_has_answers_here_whole_and_streamed() -> None:
    """A surface that is added is read in no test of usage until its answers are in the corpus."""
    metered = {surface for surface, row in SURFACES.items() if row.kind is Kind.METERED}
    assert {row.values[0].surface for row in WHOLE} == metered
    events = {surface for surface in metered if APIS[surface].meter is not None}
    arrays = {surface for surface in metered if APIS[surface].array_meter is not None}
    streamed = [row.values[0] for row in STREAMED]
    assert {api.surface for api in streamed if not api.in_array} == events
    assert {api.surface for api in streamed if api.in_array} == arrays


@pytest.mark.parametrize(("api", "case"), WHOLE)
def test_a_whole_answer_is_counted_and_priced_exactly(api: Api, case: Case) -> None:
    functions = APIS[api.surface]
    answer = case["answer"]
    # What is no JSON tells nothing: sound, plain texts and subtitles.
    data = answer if isinstance(answer, str) else json.dumps(answer)
    told = told_object(data.encode())
    seen = EVERYTHING if functions.answers_bytes else Seen(functions.seen_bytes(told))
    check(functions.usage_of(told), seen, request_of(api, case), api, case)


@pytest.mark.parametrize(("api", "case"), STREAMED)
def test_a_stream_is_counted_and_priced_exactly_wherever_it_is_cut(api: Api, case: Case) -> None:
    assert api.stream is not None
    functions = APIS[api.surface]
    make = functions.array_meter if api.in_array else functions.meter
    assert make is not None
    dice = random.Random(case["name"])
    for turn in range(SPLITS):
        stream = api.stream(case)
        if turn % 3 == 2:
            stream = stream.replace(b"\n", b"\r\n")
        wanted = bool(turn % 2) and api.stream is streams.chunks
        options = {"stream_options": {"include_usage": True}} if wanted else {}
        request = request_of(api, case, stream=True, **options)
        meter = make(request)
        cuts = sorted(dice.choices(range(len(stream) + 1), k=dice.randrange(1, 60)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        out = b"".join(map(meter.take, pieces)) + meter.rest()
        assert meter.done
        check(meter.usage, meter.seen(), request, api, case)
        hides = USAGE_ALONE in stream and not wanted
        assert (USAGE_ALONE in out) is (USAGE_ALONE in stream and wanted)
        assert hides or request.dialect.tells_each_chunk or out == stream
