"""One call of every surface that costs, in four sizes: what it holds grows with its size.

The bytes are the test's own, for an official client takes ten times as long to make a call as a
sidecar to serve it. A surface that is added to the program has no call here, and a test says so.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx

from sidecar.http.surfaces import Surface
from tests.sidecar.providers.picture_files import png
from tests.sidecar.providers.sound_files import wav

SIZES = 4
CENT_TOKENS = 10
"""Tokens, characters and seconds that cost a cent at the models of the rehearsal provider."""
DEPLOYED = "deployment-of-"
SMALL = "text-embedding-3-small"
PROMPT = "Is this lead worth a call before noon?"
Make = Callable[[str, int], dict[str, Any]]
"""The fields of a call, by its model and its size."""


class CapCall(NamedTuple):
    """How one surface is called."""

    surface: Surface
    model: str
    make: Make
    streams: bool = False
    """Whether it can be asked for a stream in its body."""
    file: tuple[str, bytes] | None = None
    """The field and the bytes of a file, where its requests are forms."""
    exact: bool = True
    """Whether its answers tell what they cost."""
    other_model: str = ""
    """Another model with a price, where calls are routed by their models; empty where not."""
    always_streams: bool = False
    """Whether whatever it answers comes as a stream."""

    @property
    def modes(self) -> tuple[bool, ...]:
        """Whether it can be streamed: no, yes, or both."""
        if self.always_streams:
            return (True,)
        return (False, True) if self.streams else (False,)


def _limited(field: str, fields: Callable[[str], Mapping[str, Any]]) -> Make:
    return lambda model, size: {**fields(model), field: CENT_TOKENS * size}


def _said(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}]}


def _contents(model: str, size: int) -> dict[str, Any]:
    del model
    contents = [{"role": "user", "parts": [{"text": PROMPT}]}]
    return {"contents": contents, "generationConfig": {"maxOutputTokens": CENT_TOKENS * size}}


def _picture(model: str, size: int) -> dict[str, Any]:
    return {"model": model, "prompt": PROMPT, "n": size, "size": "1024x1024"}


def _spoken(model: str, size: int) -> dict[str, Any]:
    return {"model": model, "input": "x" * CENT_TOKENS * size, "voice": "alloy"}


def _heard(model: str, size: int) -> dict[str, Any]:
    del size
    return {"model": model, "prompt": PROMPT}


def _read(model: str, size: int) -> dict[str, Any]:
    return {"model": model, "input": PROMPT * size * 10}


def _embedded(model: str, size: int) -> dict[str, Any]:
    del model
    return {"content": {"parts": [{"text": PROMPT * size * 10}]}}


def _embedded_at_once(model: str, size: int) -> dict[str, Any]:
    return {"requests": [{"model": f"models/{model}", **_embedded(model, 1)}] * size}


_OPENAI, _CENT = "gpt-4o-mini", "rehearsal-cent"
_GOOGLE, _GOOGLE_CENT = "gemini-2.5-flash", "gemini-rehearsal-cent"
_EMBEDDER = "gemini-embedding-001"
CAP_CALLS = (
    CapCall(Surface.CHAT, _CENT, _limited("max_tokens", _said), True, other_model=_OPENAI),
    CapCall(
        Surface.RESPONSES,
        _CENT,
        _limited("max_output_tokens", lambda model: {"model": model, "input": PROMPT}),
        True,
        other_model=_OPENAI,
    ),
    CapCall(
        Surface.COMPLETIONS,
        _CENT,
        _limited("max_tokens", lambda model: {"model": model, "prompt": PROMPT}),
        True,
        other_model=_OPENAI,
    ),
    CapCall(
        Surface.MESSAGES,
        "claude-rehearsal-cent",
        _limited("max_tokens", _said),
        True,
        other_model="claude-haiku-4-5",
    ),
    CapCall(Surface.GEMINI_CONTENT, _GOOGLE_CENT, _contents, other_model=_GOOGLE),
    CapCall(
        Surface.GEMINI_STREAM, _GOOGLE_CENT, _contents, other_model=_GOOGLE, always_streams=True
    ),
    CapCall(Surface.AZURE_CHAT, DEPLOYED + _CENT, _limited("max_tokens", _said), True),
    CapCall(Surface.EMBEDDINGS, SMALL, _read),
    CapCall(Surface.AZURE_EMBEDDINGS, DEPLOYED + SMALL, _read),
    CapCall(Surface.GEMINI_EMBED, _EMBEDDER, _embedded),
    CapCall(Surface.GEMINI_EMBED_BATCH, _EMBEDDER, _embedded_at_once),
    CapCall(Surface.IMAGES, "rehearsal-cent-picture", _picture, True),
    CapCall(
        Surface.IMAGE_EDITS, "rehearsal-cent-picture", _picture, True, ("image", png(256, 256))
    ),
    CapCall(Surface.SPEECH, "rehearsal-cent-speech", _spoken, always_streams=True),
    CapCall(
        Surface.TRANSCRIPTIONS,
        "rehearsal-cent-transcript",
        _heard,
        True,
        ("file", wav(1_000 * CENT_TOKENS)),
    ),
    CapCall(
        Surface.TRANSLATIONS,
        "rehearsal-cent-transcript",
        _heard,
        file=("file", wav(1_000 * CENT_TOKENS)),
    ),
    CapCall(
        Surface.MODERATIONS,
        "omni-moderation-latest",
        lambda model, size: {"model": model, "input": PROMPT * size},
        exact=False,
    ),
)
"""Every surface that costs."""


def request_bytes(
    call: CapCall, host: str, key: str, size: int, *, stream: bool, model: str = ""
) -> bytes:
    """A whole request on a connection of its own; `host` is with its port."""
    named = model or call.model
    fields = call.make(named, size)
    if stream and call.streams:
        fields["stream"] = True
    path = call.surface.replace("{model}", named)
    if call.surface.startswith("/v1beta/") and stream:
        path += "?alt=sse"
    if call.surface.startswith("/openai/"):
        path += "?api-version=2024-10-21"
    if call.file is None:
        body, kind = json.dumps(fields).encode(), "application/json"
    else:
        field, content = call.file
        if field == "file":
            content = wav(1_000 * CENT_TOKENS * size)
        texts = {name: "true" if told is True else told for name, told in fields.items()}
        form = httpx.Request("POST", "http://x", data=texts, files={field: ("a", content)})
        body, kind = form.read(), form.headers["content-type"]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
