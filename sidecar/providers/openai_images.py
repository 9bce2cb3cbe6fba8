"""OpenAI images: what a picture can cost before it is made, and what it used.

Of two models it is published how many tokens a picture makes, by its size and quality. For all
others the price book says it: a rate for `images` as the most that one costs, or `output_max` as
the tokens that one makes at most. A model of which nobody says it is refused.
"""

from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from sidecar.core.bounds import Asked
from sidecar.core.metering import Seen, Usage
from sidecar.http import limits, sse
from sidecar.providers import forms, openai_chat, reading
from sidecar.providers.reading import BadRequestError, CallRequest, told_object, unbounded
from sidecar.providers.streams import EVERYTHING, StreamMeter

PICTURES_MAX = 10
"""Pictures that may be asked for at once."""
PARTIALS_MAX = 3
"""Unfinished pictures that may be sent on the way to one."""
_PARTIAL_TOKENS = 100
_PUBLISHED_MODELS = frozenset(("gpt-image-1", "gpt-image-1-mini"))
_QUALITY_TOKENS = {"low": (700, 850), "medium": (1_450, 1_950), "high": (4_600, 6_600)}
"""By quality, of a square and of any other size: the published tokens (272 to 6,240), or what the
published price of a picture comes to where that is more (the mini), and a little over."""
_SQUARE = "1024x1024"
_LOW_FIDELITY_TOKENS = 1_500
"""A picture to edit: 65 tokens and 129 a tile, its short side shrunk to 512 pixels."""
_HIGH_FIDELITY_TOKENS = 7_800
"""The same, and up to 6,240 more."""
_REFUSED = {
    "svg": "a second model writes it, at rates of its own and without a limit",
    "frame_count": "nothing says how many tokens moving pictures make",
}
_USAGE_KEYS = frozenset(
    (
        *("input_tokens", "output_tokens", "total_tokens"),
        *("input_tokens_details", "output_tokens_details"),
    )
)
_DETAIL_KEYS = frozenset(("text_tokens", "image_tokens"))
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
_DETAIL_COUNTS = ("text_tokens", "image_tokens")
_COMPLETED = (b'"image_generation.completed"', b'"image_edit.completed"')


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request for pictures, or for edited ones, asks for. Raises BadRequestError."""
    _refuse_unbounded(value)
    count = reading.read_count(value, "n", 1, PICTURES_MAX) or 1
    partials = reading.read_count(value, "partial_images", 0, PARTIALS_MAX) or 0
    files = forms.files_of(value)
    pieces = {kinds.IMAGES: count}
    published = model in _PUBLISHED_MODELS
    if published:
        pieces[kinds.IMAGE_OUTPUT] = count * (_picture_tokens(value) + partials * _PARTIAL_TOKENS)
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=True,
        asked=Asked(
            text_bytes=len(body) - sum(file.size_bytes for file in files),
            expanded_bytes=reading.growth_of(forms.texts_of(value), b"\\u") if expands_text else 0,
            media_tokens=len(files) * _input_picture_tokens(value),
            # What a picture to edit makes at a model without a published rule is anybody's guess.
            opaque=bool(files) and not published,
            choices=count,
            output_limit=0 if published else reading.LIMIT_MAX_TOKENS,
            input_kinds=(kinds.INPUT, kinds.IMAGE_INPUT) if files else (kinds.INPUT,),
            output_kinds=(kinds.IMAGE_OUTPUT,),
            pieces=pieces,
            pieces_exact=not published,
        ),
    )


def _refuse_unbounded(value: Mapping[str, Any]) -> None:
    for name, why in _REFUSED.items():
        if reading.is_given(value, name):
            raise unbounded(name, why)
    if value.get("output_format") in ("svg", "gif"):
        raise unbounded("output_format", "only still pictures of pixels have a known cost")
    for name in ("size", "quality", "input_fidelity"):
        if value.get(name) is not None and type(value[name]) is not str:
            raise BadRequestError(f"{name} must be a text", name)


def _picture_tokens(value: Mapping[str, Any]) -> int:
    """The most tokens that one picture makes; what is left to the model counts as the dearest."""
    square, other = _QUALITY_TOKENS.get(value.get("quality") or "", _QUALITY_TOKENS["high"])
    return square if value.get("size") == _SQUARE else other


def _input_picture_tokens(value: Mapping[str, Any]) -> int:
    return _LOW_FIDELITY_TOKENS if value.get("input_fidelity") == "low" else _HIGH_FIDELITY_TOKENS


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of an answer, or of the event that brings a picture; None when it tells none."""
    usage = answer.get("usage")
    if type(usage) is not dict or type(usage.get("input_tokens")) is not int:
        return None
    given = reading.part_of(usage, "input_tokens_details")
    made = reading.part_of(usage, "output_tokens_details")
    read_tokens = reading.count_of(usage, "input_tokens")
    written = reading.count_of(usage, "output_tokens")
    seen = reading.count_of(given, "image_tokens")
    told = reading.count_of(made, "text_tokens")
    counted = (
        (kinds.INPUT, max(0, read_tokens - seen)),
        (kinds.IMAGE_INPUT, seen),
        (kinds.OUTPUT, told),
        (kinds.IMAGE_OUTPUT, max(0, written - told)),
    )
    return Usage(
        quantities={kind: count for kind, count in counted if count},
        unpriced=(
            *reading.unbelieved_counts(usage, _COUNTS),
            *reading.unbelieved_counts(given, _DETAIL_COUNTS, "input_tokens_details."),
            *reading.unbelieved_counts(made, _DETAIL_COUNTS, "output_tokens_details."),
            *reading.unknown_counts(usage, _USAGE_KEYS),
            *reading.unknown_counts(given, _DETAIL_KEYS, "input_tokens_details."),
            *reading.unknown_counts(made, _DETAIL_KEYS, "output_tokens_details."),
            *reading.unknown_counts(reading.part_of(answer, "svg_usage"), frozenset(), "svg."),
            *(("input_tokens_details",) if not given or seen > read_tokens else ()),
            *(("output_tokens_details",) if told > written else ()),
        ),
    )


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Nothing in an answer tells how many tokens its pictures made."""
    del answer
    return 0


class ImageStream(StreamMeter):
    """Meters pictures as they come; each brings its own usage, and all are billed."""

    __slots__ = ("_pictures_left", "_told", "_unpriced", "_used")

    def __init__(self, request: CallRequest) -> None:
        """Wait for as many pictures as were asked for."""
        super().__init__(frames_matter=False, cutter=sse.Frames(limits.PICTURE_FRAME_MAX_BYTES))
        self._pictures_left = request.asked.choices
        self._used: dict[str, int] = {}
        self._unpriced: tuple[str, ...] = ()
        self._told = True
        """Whether each picture so far told its usage."""

    def read_frame(self, data: bytes) -> bool:
        """Add up what the pictures used."""
        if any(mark in data for mark in _COMPLETED):
            self._add(usage_of(told_object(data)))
        else:
            self.error_kind = openai_chat.stream_error_kind(data) or self.error_kind
        return True

    def _add(self, usage: Usage | None) -> None:
        self._pictures_left -= 1
        if usage is None:
            self._told = False
        else:
            self._unpriced += usage.unpriced
            for kind, count in usage.quantities.items():
                self._used[kind] = self._used.get(kind, 0) + count
        if self._pictures_left == 0:
            self.done = True
            if self._told:
                self.usage = Usage(self._used, unpriced=self._unpriced)

    def seen_in(self, data: bytes) -> int:
        """Unfinished pictures say nothing of tokens."""
        del data
        return 0

    def seen(self) -> Seen:
        """Nothing that was seen bounds what was made."""
        return EVERYTHING
