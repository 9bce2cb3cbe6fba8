"""Reading a whole answer, aside from the event loop when it is large."""

from typing import Any

import trio

from sidecar.http import limits
from sidecar.providers.reading import told_object


async def read_answer(body: bytes, content_type: bytes) -> dict[str, Any]:
    """The JSON object of an answer; an empty one when it is none.

    An answer that is plain text (a transcript, subtitles) is read as an object that holds it.
    """
    if content_type.lower().startswith(b"text/plain") or body[:6] == b"WEBVTT":
        return {"text": body.decode("utf-8", "replace")}
    if len(body) > limits.LARGE_BODY_BYTES:
        return await trio.to_thread.run_sync(told_object, body)
    return told_object(body)
