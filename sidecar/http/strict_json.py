"""JSON that can be read in one way only.

A budget is held for what this program read; the provider bills what *it* read. So whatever two
readers could take differently is refused: keys given twice, NaN and Infinity, numbers that
overflow, text that is not UTF-8, halves of surrogate pairs, and nesting that exhausts a parser.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from sidecar.http import limits

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]')
"""A whole string, or what opens and closes objects and arrays: all that a walk must see."""
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class BadJsonError(ValueError):
    """The text is no JSON, or could be read in two ways."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadJsonError(f"the key {key[:64]!r} is given twice")
            seen.add(key)
    return value


def _constant(name: str) -> NoReturn:
    raise BadJsonError(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadJsonError(f"the number {text[:32]} is too large")
    return value


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
).decode


def read(body: bytes) -> Any:
    """The value of a JSON text. Raises BadJsonError, with words for the one who sent it."""
    try:
        value = _decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadJsonError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadJsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise BadJsonError("objects and arrays are nested too deeply") from None
    except BadJsonError:
        raise
    except ValueError:
        # Python refuses integers of more than 4,300 digits.
        raise BadJsonError("a number has too many digits") from None
    if body.count(b"{") + body.count(b"[") > limits.JSON_DEPTH_MAX_TIMES:
        _refuse_deep(value)
    if b"\\u" in body and _SURROGATE.search(body) is not None:
        _refuse_lone_surrogates(value)
    return value


def _refuse_deep(value: Any) -> None:
    level = [value]
    for _ in range(limits.JSON_DEPTH_MAX_TIMES):
        inner: list[Any] = []
        for item in level:
            if type(item) is dict:
                inner.extend(part for part in item.values() if type(part) in (dict, list))
            elif type(item) is list:
                inner.extend(part for part in item if type(part) in (dict, list))
        if not inner:
            return
        level = inner
    raise BadJsonError(f"objects and arrays are nested deeper than {limits.JSON_DEPTH_MAX_TIMES}")


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        write(value)
    except UnicodeEncodeError:
        raise BadJsonError("a text holds half of a surrogate pair") from None


# json.dumps would make this encoder anew each time.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write(value: Any) -> bytes:
    """The shortest JSON text of a value."""
    return _encode(value).encode()


def with_member(body: bytes, name: str, value: Any) -> bytes:
    """The JSON object in `body` with one more member in front; it has others, and not that key.

    The rest stays byte for byte as it was: nothing is read and written again.
    """
    start = body.index(b"{") + 1
    member = write({name: value})[1:-1]
    return b"%b%b,%b" % (body[:start], member, body[start:])


def with_texts(
    body: bytes, name: str, texts: Mapping[str, str], depth_max: int = 1
) -> tuple[bytes, int]:
    """The JSON object in `body` with some texts exchanged, and how many were.

    Exchanged is what stands in members of this name that are no deeper than so many objects and
    arrays. The rest stays byte for byte as it was. The body was read before: it is good JSON.
    """
    parts: list[bytes] = []
    depth = done = 0
    value_at = -1
    for token in _TOKEN.finditer(body):
        raw = token[0]
        if raw in b"{[":
            depth += 1
        elif raw in b"}]":
            depth -= 1
        elif token.start() == value_at:
            text = texts.get(json.loads(raw))
            if text is not None:
                parts += (body[done : token.start()], write(text))
                done = token.end()
        elif depth <= depth_max and (colon := _COLON.match(body, token.end())) is not None:
            value_at = colon.end() if json.loads(raw) == name else -1
    return b"".join((*parts, body[done:])), len(parts) // 2
