"""OpenAI's pictures: generated and edited, plain and streamed.

A picture counts by its size and quality: at `gpt-image-1-mini` as published, at the models that
take any size by its pixels. Models that are priced by the picture tell no usage.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clients.rehearsal import limits, pictures, replies
from clients.rehearsal.bill import Quantities
from clients.rehearsal.forms import uploads
from clients.rehearsal.incoming import (
    JsonObject,
    Refusal,
    canonical,
    encode,
    flag,
    required_text,
    whole_number,
)
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.openai_wire import PROVIDER, error_body, model_of
from clients.rehearsal.plan import Chunk, Plan, Stream, json_event, tier_of
from clients.rehearsal.prices import PICTURES, Model

IMAGES_PATH = "/v1/images/generations"
EDITS_PATH = "/v1/images/edits"

_PUBLISHED = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
_PIXELS_PER_TOKEN = {"low": 4_000, "medium": 1_000, "high": 250, "xhigh": 250, "max": 250}
_PARTIAL_TOKENS = 100
_SIZE = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})\Z")


def _picture_tokens(model: Model, quality: str, size: str) -> int:
    """Return what one picture counts."""
    if model.max_output_tokens == 0:
        table = _PUBLISHED.get(quality)
        if table is None or size not in table:
            raise Refusal(400, f"{model.name} takes no {quality} picture of {size}", param="size")
        return table[size]
    sides = _SIZE.match(size)
    if sides is None or quality not in _PIXELS_PER_TOKEN:
        raise Refusal(400, f"{model.name} takes no {quality} picture of {size}", param="size")
    pixels = int(sides[1]) * int(sides[2])
    return min(model.max_output_tokens, -(-pixels // _PIXELS_PER_TOKEN[quality]))


def _named(body: JsonObject, name: str, automatic: str) -> str:
    given = body.get(name) or "auto"
    if not isinstance(given, str):
        raise Refusal(400, f"{name}: expected a text", param=name)
    return automatic if given == "auto" else given


def _read_tokens(body: JsonObject, *, edits: bool) -> int:
    """Return what the pictures count that are to be edited."""
    sent = [*uploads(body, "image"), *uploads(body, "mask"), *uploads(body, "markup")]
    if edits and not uploads(body, "image"):
        raise Refusal(400, "image: field required", param="image")
    fidelity = body.get("input_fidelity")
    return sum(pictures.edited_tokens(pictures.pixels(each.content), fidelity) for each in sent)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """One answer, as the plan's makers of bytes need it."""

    seeds: tuple[str, ...]
    """What each picture is made from."""
    kind: str
    """`image_generation` or `image_edit`."""
    base: JsonObject
    """Quality, size and the like."""
    partials: int
    """Unfinished pictures on the way to each."""
    usage: JsonObject | None
    """The usage of one picture (streamed) or of all; None when it is left out."""
    unix_s: int
    knobs: Knobs

    def body(self) -> bytes:
        data = [{"b64_json": self._picture(seed)} for seed in self.seeds]
        said: JsonObject = {"created": self.unix_s, **self.base, "data": data}
        if self.usage is not None:
            said["usage"] = self.usage
        return encode(said)

    def _picture(self, seed: str) -> str:
        return pictures.made_up(seed, self.knobs.media_bytes)

    def _event(self, name: str, seed: str, more: JsonObject) -> bytes:
        told = {
            "type": f"{self.kind}.{name}",
            "b64_json": self._picture(seed),
            "created_at": self.unix_s,
            **self.base,
            **more,
        }
        return json_event(told, self.knobs, f"{self.kind}.{name}")

    def chunks(self) -> Iterator[Chunk]:
        for seed in self.seeds:
            for index in range(self.partials):
                more: JsonObject = {"partial_image_index": index}
                yield Chunk(self._event("partial_image", f"{index}{seed}", more), 0)

    def closing(self) -> tuple[bytes, ...]:
        more = {} if self.usage is None else {"usage": self.usage}
        return tuple(self._event("completed", seed, more) for seed in self.seeds)

    def stream(self) -> Stream:
        message = "The server had an error while processing your request."
        broken = json_event(
            {"type": "error", **error_body(500, message, None, None)}, self.knobs, "error"
        )
        return Stream((), self.chunks, self.closing(), broken)


def _usage(billed: Quantities, shares: int) -> JsonObject:
    """Return what one of so many equal shares of a call used, in OpenAI's words."""
    text = billed.input_tokens // shares
    seen = billed.image_input_tokens // shares
    made = billed.image_output_tokens // shares
    return {
        "input_tokens": text + seen,
        "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
        "output_tokens": made,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": made},
        "total_tokens": text + seen + made,
    }


def plan_images(
    body: JsonObject, headers: Mapping[str, str], knobs: Knobs, unix_s: int, *, edits: bool
) -> Plan:
    """Decide a call for pictures."""
    asked, model = model_of(body, PICTURES)
    prompt = required_text(body, "prompt")
    knobs = for_call(knobs, headers.get(HEADER), [prompt])
    count = whole_number(body, "n", 1, limits.PICTURES_MAX) or 1
    partials = whole_number(body, "partial_images", 0, limits.PARTIAL_PICTURES_MAX) or 0
    streamed = flag(body, "stream")
    partials = partials if streamed else 0
    size, quality = _named(body, "size", "1024x1536"), _named(body, "quality", "high")
    read = _read_tokens(body, edits=edits)
    shares = count if streamed else 1
    if model.media.per_picture is not None:
        used, usage = Quantities(pictures=count), None
    else:
        each = _picture_tokens(model, quality, size)
        each = each if knobs.reply_tokens is None else min(each, knobs.reply_tokens)
        used = Quantities(
            input_tokens=replies.count_tokens(prompt) * shares,
            image_input_tokens=read * shares,
            image_output_tokens=(each + partials * _PARTIAL_TOKENS) * count,
        )
        usage = _usage(used.overbilled(knobs.overbill_ppm), shares)
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    seed = canonical([asked, prompt, size, quality])
    made = _Pictures(
        seeds=tuple(f"{index}{seed}" for index in range(count)),
        kind="image_edit" if edits else "image_generation",
        base={
            "background": "opaque",
            "output_format": "png",
            "quality": quality,
            "size": size,
        },
        partials=partials,
        usage=None if knobs.omit_usage else usage,
        unix_s=unix_s,
        knobs=knobs,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=used,
        prompt=without_directives(prompt)[: limits.PROMPT_HEAD_CHARS],
        body=made.body,
        stream=made.stream() if streamed else None,
        heavy=knobs.media_bytes > limits.MEDIA_BYTES_INLINE_MAX,
        billed_whole=True,
    )
