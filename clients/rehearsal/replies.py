"""What the rehearsal provider says, and how it counts: pure functions of a request and its knobs.

Rules:
- A token is a piece of up to four UTF-8 bytes that splits no character. A text of n bytes counts
  ceil(n / 4) tokens when it is read, and as many as it has pieces when it is written: for ASCII
  the same number, and never more than its bytes.
- An answer is cut from one fixed passage at a place that its prompt decides.
"""

import base64
import hashlib
import json
import math
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clients.rehearsal import limits

TOKEN_BYTES = 4

_SENTENCES = (
    "This is a rehearsal answer. ",
    "No model was asked, and nobody will be charged for these words. ",
    "The counts below them are real counts, and the prices are list prices. ",
    "The same prompt gets the same answer every time. ",
    "A lead came in this morning and it looks worth a call before noon. ",
    "The invoice matches the order, save for one line that was delivered twice. ",
    "The customer is happy with the result and asks about the next step. ",
    "Three of the five messages are about opening hours, and two want an appointment. ",
    "The summary fits on one page, and the numbers in it add up. ",
    "Please check the second paragraph, because the date in it has passed. ",
    "Nothing here needs an answer today. ",
    "The next one in the list is ready when you are. ",
)
_PASSAGE = "".join(_SENTENCES)
_STARTS = tuple(sum(map(len, _SENTENCES[:index])) for index in range(len(_SENTENCES)))
_SENTENCES_LEAST = 2
_SENTENCES_SPREAD = 4
assert _PASSAGE.isascii()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a model, in the pieces it is generated in."""

    pieces: tuple[str, ...]
    """The answer's tokens."""
    finish: str
    """`stop`, `length` or `stop_sequence`."""
    stopped_by: str | None = None
    """The stop sequence that ended it."""

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The tool a reply calls instead of saying something."""

    name: str
    """The tool's name."""
    arguments: str
    """Its arguments as JSON, made up from its schema."""


def count_tokens(text: str) -> int:
    """Return what a text counts when it is read."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // TOKEN_BYTES)


def split_tokens(text: str) -> tuple[str, ...]:
    """Return a text in the pieces it counts as when it is written."""
    if text.isascii():
        return tuple(text[at : at + TOKEN_BYTES] for at in range(0, len(text), TOKEN_BYTES))
    pieces: list[str] = []
    piece, piece_bytes = "", 0
    for character in text:
        size = len(character.encode("utf-8", "surrogatepass"))
        if piece and piece_bytes + size > TOKEN_BYTES:
            pieces.append(piece)
            piece, piece_bytes = "", 0
        piece += character
        piece_bytes += size
    return (*pieces, piece) if piece else tuple(pieces)


def reply(
    text: str | None, tokens: int | None, seed: str, limit_tokens: int, stops: Sequence[str] = ()
) -> Reply:
    """Return an answer: that text, else that many tokens, else sentences the seed chooses."""
    if text is None:
        text = passage(tokens, seed)
    finish, stopped_by = "stop", None
    found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    if found:
        at, stopped_by = min(found)
        text, finish = text[:at], "stop_sequence"
    pieces = split_tokens(text)
    if len(pieces) > limit_tokens:
        return Reply(pieces[:limit_tokens], "length")
    return Reply(pieces, finish, stopped_by)


def passage(tokens: int | None, seed: str) -> str:
    """Return exactly that many tokens of the fixed passage, or some whole sentences of it."""
    digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    first = digest[0] % len(_SENTENCES)
    if tokens is None:
        count = _SENTENCES_LEAST + digest[1] % _SENTENCES_SPREAD
        chosen = (_SENTENCES[(first + index) % len(_SENTENCES)] for index in range(count))
        return "".join(chosen).rstrip()
    size = tokens * TOKEN_BYTES
    start = _STARTS[first]
    return (_PASSAGE * (1 + (start + size) // len(_PASSAGE)))[start : start + size]


def tool_arguments(schema: object) -> str:
    """Return made-up arguments that fit a tool's JSON schema as far as a simple reading goes."""
    value = _sample(schema, limits.SCHEMA_DEPTH_MAX)
    return json.dumps(value if isinstance(value, dict) else {}, separators=(",", ":"))


def _sample(schema: object, depth: int) -> Any:
    if not isinstance(schema, dict) or depth == 0:
        return "rehearsal"
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list):
            return {}
        return {
            name: _sample(properties.get(name), depth - 1)
            for name in required
            if isinstance(name, str)
        }
    if kind == "array":
        return [_sample(schema.get("items"), depth - 1)]
    return {"integer": 1, "number": 1, "boolean": True, "null": None}.get(str(kind), "rehearsal")


def embedding(text: str, dimensions: int) -> "array[float]":
    """Return a vector of length one that depends on the text alone."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    numbers = struct.unpack(f"<{dimensions}h", raw)
    norm = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return array("f", [number / norm for number in numbers])


def embedding_base64(vector: "array[float]") -> str:
    """Return a vector as OpenAI sends it: base64 of little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
