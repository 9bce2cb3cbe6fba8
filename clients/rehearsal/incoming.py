"""What comes in: a whole HTTP request, the JSON in it, and the refusal when either is wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from clients.rehearsal import limits

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read whole."""

    method: str
    """The method, upper case."""
    path: str
    """The path without the query."""
    query: Mapping[str, str]
    """The query's last value for each name."""
    headers: Mapping[str, str]
    """Headers by lower-case name."""
    body: bytes
    """The body."""

    @property
    def key(self) -> str:
        """The caller's key, from whichever header carries one; empty if none does."""
        bearer = self.headers.get("authorization", "")
        if bearer.lower().startswith("bearer "):
            return bearer[7:].strip()
        for name in ("x-api-key", "x-goog-api-key", "api-key"):
            if name in self.headers:
                return self.headers[name].strip()
        return self.query.get("key", "").strip() if self.speaks_gemini else ""

    @property
    def speaks_gemini(self) -> bool:
        """Whether the path is one of Gemini's own API."""
        if self.path.startswith("/v1beta/openai/"):
            return False
        stable = self.path.startswith("/v1/models") and (
            ":" in self.path or "x-goog-api-key" in self.headers
        )
        return stable or self.path.startswith("/v1beta/")

    @property
    def speaks_anthropic(self) -> bool:
        """Whether the headers are those of Anthropic's clients."""
        return "anthropic-version" in self.headers or "x-api-key" in self.headers

    @property
    def key_hint(self) -> str:
        """The end of the caller's key: enough to tell two apart, too little to use."""
        return f"...{self.key[-4:]}" if len(self.key) >= 12 else "..."

    @property
    def tag(self) -> str:
        """The caller's x-request-tag."""
        return self.headers.get("x-request-tag", "")[: limits.TAG_CHARS]


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole HTTP answer."""

    status: int
    """The status code."""
    body: bytes
    """The body."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers besides content-type and content-length."""
    content_type: str = "application/json"
    """What the body is."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that is answered with an error in the provider's own envelope."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


def encode(value: object) -> bytes:
    """Return compact JSON; half a surrogate pair, which UTF-8 cannot hold, becomes a ?."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def canonical(value: object) -> str:
    """Return JSON that does not depend on how the request was spaced or ordered."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse(body: bytes) -> Any:
    """Return the JSON of a body."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from None


def parse_object(request: Request) -> JsonObject:
    """Return the JSON object of a request to one of the metered paths."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise Refusal(415, f"Content-Encoding {encoding!r} is not supported; send the body plain")
    value = parse(request.body)
    if not isinstance(value, dict):
        raise Refusal(400, "The body must be a JSON object")
    return value


def whole_number(body: JsonObject, name: str, lowest: int, highest: int) -> int | None:
    """Return a field that holds a whole number, None if it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal(400, f"{name}: expected an integer", code="invalid_type", param=name)
    if not lowest <= value <= highest:
        raise Refusal(
            400,
            f"{name}: {value} is out of range; it must be from {lowest} to {highest}",
            code="invalid_value",
            param=name,
        )
    return value


def flag(body: JsonObject, name: str) -> bool:
    """Return a field that holds true or false; absent and null mean false."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refusal(400, f"{name}: expected true or false", code="invalid_type", param=name)
    return bool(value)


def required_text(body: JsonObject, name: str) -> str:
    """Return a field that must be there and hold a text."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name}: field required", code="missing_required_parameter", param=name)
    return value


def stop_texts(value: object, name: str) -> tuple[str, ...]:
    """Return stop sequences, given as one text or a list of texts."""
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise Refusal(400, f"{name}: expected a text or a list of texts", param=name)
    return tuple(stops)
