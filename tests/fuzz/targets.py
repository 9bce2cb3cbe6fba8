"""What is fuzzed: functions of bytes that may raise only what they declare.

Each target raises for a find: an exception that nobody declared, or an assertion that is broken.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from protos.values.rates import ModelPrice, Tier, UnpriceableError
from sidecar.core import metering
from sidecar.core.bounds import bound_of
from sidecar.http import codec, encoding, json_array, multipart, routes, sse, strict_json
from sidecar.http.routes import Route
from sidecar.http.surfaces import SURFACES, Surface
from sidecar.providers import audio_duration, forms, image_size, reading
from sidecar.providers.apis import APIS
from sidecar.providers.reading import CallRequest
from tests.bounds import proof
from tests.bounds.requests import case

BOUNDARY = b"x"
INFLATED_MAX_BYTES = 1 << 20
WORST_NANO_USD = 10**9
_SEEDS_TRIED = 3_000
_RATES = {
    **dict.fromkeys(("input", "output", "cached", "cache_write"), 1_000),
    **dict.fromkeys(("audio_input", "audio_output", "image_input", "image_output"), 2_000),
    **dict.fromkeys(("web_search", "file_search", "images", "milliseconds", "characters"), 9_000),
}
PRICE = ModelPrice("openai", "m", (), 100_000, 10_000, (Tier(0, _RATES),), "1", expands_text=True)
DECLARED = (
    reading.BadRequestError,
    strict_json.BadJsonError,
    multipart.BadFormError,
    UnpriceableError,
)
Target = Callable[[bytes], None]


def _value_of(surface: Surface, data: bytes) -> dict[str, Any]:
    if SURFACES[surface].form:
        return reading.read_object(forms.object_of(multipart.read(data, BOUNDARY)))
    return reading.read_object(strict_json.read(data))


def read_request(surface: Surface, data: bytes) -> None:
    """A request is bounded and written for its provider, or refused in words."""
    api = APIS[surface]
    try:
        value = _value_of(surface, data)
        model = api.model_of(value, Route(surface, model="m"))
        request = api.read(value, data, model=model, expands_text=True)
        bound = bound_of(request.asked, [PRICE])
    except DECLARED:
        return
    assert bound.input_worst_nano_usd >= 0
    body = api.rewrite(value, data, request, "openai", 5)
    if not SURFACES[surface].form:
        assert type(strict_json.read(body)) is dict


def read_answer(surface: Surface, data: bytes) -> None:
    """A whole answer is charged, whatever it says, and never less than nothing."""
    api = APIS[surface]
    answer = reading.told_object(data)
    assert api.seen_bytes(answer) >= 0
    assert type(api.error_kind(answer)) is str
    usage = api.usage_of(answer)
    if usage is not None:
        _charge(api.served_as(usage, "flex"))


def _charge(usage: metering.Usage) -> None:
    charge = metering.charge_of(usage, PRICE, WORST_NANO_USD)
    assert charge.cost_nano_usd >= 0
    assert all(type(count) is int and count >= 0 for count in charge.quantities.values())
    # What was told and cannot be priced is never charged below the worst case.
    assert not charge.unpriced or charge.cost_nano_usd >= WORST_NANO_USD


def request_for(surface: Surface) -> CallRequest:
    """A small request of a surface, as its own reader has it."""
    for seed in range(_SEEDS_TRIED):
        made = case(seed)
        if made.surface is surface:
            value = _value_of_case(surface, proof.body_of(made))
            model = APIS[surface].model_of(value, Route(surface, model=made.model))
            return APIS[surface].read(value, proof.body_of(made), model=model, expands_text=False)
    raise AssertionError(surface)


def _value_of_case(surface: Surface, body: bytes) -> dict[str, Any]:
    if SURFACES[surface].form:
        return reading.read_object(forms.object_of(multipart.read(body, proof.BOUNDARY)))
    return reading.read_object(strict_json.read(body))


def _read_stream(surface: Surface, request: CallRequest, array: bool, data: bytes) -> None:
    """A stream passes in pieces and is charged; the first byte says where it is cut."""
    api = APIS[surface]
    make = api.array_meter if array else api.meter
    assert make is not None
    meter = make(request)
    step = 1 + (data[0] if data else 0)
    passed = 0
    try:
        for at in range(1, len(data), step):
            passed += len(meter.take(data[at : at + step]))
        passed += len(meter.rest())
    except sse.FrameTooLargeError:
        return
    assert meter.seen().output_bytes >= 0
    assert type(meter.error_kind) is str
    if meter.usage is not None:
        _charge(api.served_as(meter.usage, ""))


def read_requests(data: bytes) -> None:
    """Bytes from a caller are requests, or are refused, however they are cut."""
    step = 1 + (data[0] if data else 0)
    reader = codec.RequestReader()
    pieces = [data[at : at + step] for at in range(1, len(data), step)]
    try:
        while pieces:
            reader.feed(pieces.pop(0))
            while reader.begun and (head := reader.head()) is not None:
                assert head.body_bytes >= 0
                while not reader.take_body([]):
                    if not pieces:
                        return
                    reader.feed(pieces.pop(0))
                reader.start_next()
    except (codec.BadMessageError, EOFError):
        return


def read_responses(data: bytes) -> None:
    """Bytes from a provider are an answer, or a broken one, however they are cut."""
    step = 1 + (data[0] if data else 0)
    reader = codec.ResponseReader()
    pieces = [data[at : at + step] for at in range(1, len(data), step)]
    try:
        for piece in [*pieces, b""]:
            reader.feed(piece)
            head = reader.take_head()
            if head is not None:
                break
        else:
            return
        for piece in [*pieces, b"", b""]:
            if reader.take_body([]):
                return
            reader.feed(piece)
    except codec.BadMessageError:
        return


def cut_events(data: bytes) -> None:
    """A stream is cut into the same frames however it comes, and nothing of it is lost."""
    step = 1 + (data[0] if data else 0)
    data = data[1:]
    frames = sse.Frames()
    kept = [
        frame for at in range(0, len(data), step) for frame in frames.feed(data[at : at + step])
    ]
    assert b"".join(kept) + frames.rest() == data
    for frame in kept:
        assert len(sse.data_of(frame)) <= len(frame)


def cut_elements(data: bytes) -> None:
    """An array that comes bit by bit has the same elements as one that comes whole."""
    step = 1 + (data[0] if data else 0)
    data = data[1:]
    whole, cut = json_array.Elements(), json_array.Elements()
    elements = [one for at in range(0, len(data), step) for one in cut.feed(data[at : at + step])]
    assert elements == whole.feed(data)


def find_route(data: bytes) -> None:
    """A target is a surface that is served, or is refused."""
    try:
        found = routes.route(b"POST", data)
    except routes.NoRouteError:
        return
    assert ".." not in found.path


def read_form(data: bytes) -> None:
    """A form has its parts within its body, or is refused."""
    try:
        form = multipart.read(data, BOUNDARY)
    except multipart.BadFormError:
        return
    assert all(0 <= file.start <= file.end <= len(data) for file in form.files)


def read_json(data: bytes) -> None:
    """JSON that is taken says the same to another reader, and when it is written again."""
    try:
        value = strict_json.read(data)
    except strict_json.BadJsonError:
        return
    assert json.loads(data) == value
    assert strict_json.read(strict_json.write(value)) == value


def inflate(data: bytes) -> None:
    """A compressed body is opened within its bound, or refused."""
    try:
        opened = encoding.inflate(data, INFLATED_MAX_BYTES)
    except encoding.UnreadableBodyError:
        return
    assert len(opened) <= INFLATED_MAX_BYTES


def measure_media(data: bytes) -> None:
    """A picture has a size or none, a recording a length."""
    image_size.of_base64(data.decode("latin-1"))
    assert audio_duration.max_ms(data, len(data)) >= 0
    assert audio_duration.of_base64(data.decode("latin-1")) >= 0


def _by_surface() -> dict[str, Target]:
    found: dict[str, Target] = {}
    for surface, api in APIS.items():
        found[f"request {surface.value}"] = partial(read_request, surface)
        found[f"answer {surface.value}"] = partial(read_answer, surface)
        for name, meter in (("stream", api.meter), ("array", api.array_meter)):
            if meter is not None:
                known = request_for(surface)
                target = partial(_read_stream, surface, known, name == "array")
                found[f"{name} {surface.value}"] = target
    return found


TARGETS: Mapping[str, Target] = {
    "caller's bytes": read_requests,
    "provider's bytes": read_responses,
    "events": cut_events,
    "elements": cut_elements,
    "route": find_route,
    "form": read_form,
    "json": read_json,
    "inflate": inflate,
    "media": measure_media,
    **_by_surface(),
}
"""Every reader of foreign bytes, by name."""
