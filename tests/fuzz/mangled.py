"""Examples to begin from, and what chance makes of them: other bytes, or other parts of JSON."""

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sidecar.http.surfaces import SURFACES, Surface
from tests.bounds import proof
from tests.bounds.requests import case
from tests.fuzz.targets import BOUNDARY

_CORPUS = Path(__file__).resolve().parents[1] / "corpus"
_SEEDS = 1_200
_PER_SURFACE_MAX = 12
_ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e300, "", "\u0000", "a"),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        {"type": []},
        {"type": {}},
        [{"type": "text"}],
        "\ud83d\ude00",
    ),
)
_ODD_BYTES = (
    *(b"", b"\x00", b"\xff", b"\r\n", b"\n\n", b"\r", b"{", b"}", b"[", b"]", b'"', b"\\", b","),
    *(
        b"1e99999999999999999999",
        b"NaN",
        b"-0",
        b"9" * 40,
        b"\\ud800",
        b"\xc3\x28",
        b"data:",
        b"--x",
    ),
    *(b': 1e99999999999999999999,"cost":1', b"\xef\xbb\xbf", b"Content-Length: ", b"0\r\n\r\n"),
)


@cache
def requests() -> dict[Surface, tuple[bytes, ...]]:
    """Legal requests of each surface."""
    found: dict[Surface, list[bytes]] = {}
    for seed in range(_SEEDS):
        made = case(seed)
        kept = found.setdefault(made.surface, [])
        body = proof.body_of(made)
        if len(kept) < _PER_SURFACE_MAX and len(body) < 4_000:
            if SURFACES[made.surface].form:
                body = body.replace(proof.BOUNDARY, BOUNDARY)
            kept.append(body)
    return {surface: tuple(bodies) for surface, bodies in found.items()}


@cache
def answers() -> tuple[bytes, ...]:
    """Answers as providers give them, whole and as events."""
    found: list[bytes] = []
    for path in sorted(_CORPUS.glob("*_*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            data = json.dumps(row["answer"]).encode()
            found += [data, b" data: " + data + b"\n\n", b" [" + data + b"]"]
    started = {"type": "message_start", "message": {"usage": {"input_tokens": 9}}}
    ended = {"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": {"output_tokens": 5}}
    picture = {"type": "image_generation.completed", "usage": {"input_tokens": 1}}
    spoken = {"type": "speech.audio.done", "usage": {"input_tokens": 1, "output_tokens": 2}}
    written = {"type": "transcript.text.done", "usage": {"type": "duration", "seconds": 1.5}}
    for events in ([started, ended], [picture], [spoken], [written]):
        lines = (b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        found.append(b" " + b"".join(lines))
    return tuple(found)


def mangled(rng: random.Random, example: bytes) -> bytes:
    """An example with a few things changed: in its JSON where it is one, else in its bytes."""
    for _ in range(rng.randint(1, 3)):
        change: Callable[[random.Random, bytes], bytes] = rng.choice((_in_json, _in_bytes))
        example = change(rng, example)
    return example


def _in_json(rng: random.Random, example: bytes) -> bytes:
    start = example.find(b"{")
    try:
        value, end = json.JSONDecoder().raw_decode(example[start:].decode())
    except ValueError:
        return _in_bytes(rng, example)
    changed = json.dumps(_replaced(rng, value)).encode()
    return example[:start] + changed + example[start:].decode()[end:].encode()


def _replaced(rng: random.Random, value: Any) -> Any:
    """A value with one part of it replaced by something odd, at any depth."""
    if type(value) is dict and value and rng.random() < 0.85:
        name = rng.choice([*value])
        return {**value, name: _replaced(rng, value[name])}
    if type(value) is list and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], _replaced(rng, value[at]), *value[at + 1 :]]
    return rng.choice(_ODD)


def _in_bytes(rng: random.Random, example: bytes) -> bytes:
    at = rng.randint(0, len(example))
    end = min(len(example), at + rng.choice((0, 0, 1, 2, 9)))
    return example[:at] + rng.choice(_ODD_BYTES) + example[end:]
