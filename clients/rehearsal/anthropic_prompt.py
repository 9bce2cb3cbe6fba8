"""Reads the prompt of a request to Anthropic: its texts, its segments, its cache breakpoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clients.rehearsal import limits, pictures, replies
from clients.rehearsal.incoming import JsonObject, Refusal, canonical
from clients.rehearsal.knobs import without_directives
from clients.rehearsal.prompt_cache import HOUR_1, MINUTES_5, Segment

_MESSAGE_TOKENS = 3
_DOCUMENT_TOKENS = 85
_TEXTS_DEPTH_MAX = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request says."""

    segments: tuple[Segment, ...]
    """Its blocks in the order that counts for the cache."""
    texts: tuple[str, ...]
    """Every text of system and messages, in order."""
    head: str
    """The first user message, for the bill."""

    @property
    def tokens(self) -> int:
        """What it all counts."""
        return sum(segment.tokens for segment in self.segments)

    @property
    def marked(self) -> bool:
        """Whether any block has cache_control."""
        return any(segment.keep is not None for segment in self.segments)

    @property
    def marked_for_an_hour(self) -> bool:
        """Whether any block asks to be kept for an hour."""
        return any(segment.keep == HOUR_1 for segment in self.segments)


def read_prompt(body: JsonObject, model: str) -> Prompt:
    """Read tools, system and messages."""
    segments = [_tool_segment(tool) for tool in _list_of_objects(body, "tools")]
    texts: list[str] = []
    head = ""
    for block in _blocks(body.get("system") or [], "system"):
        texts += _texts(block)
        segments.append(_segment("system", block, 0, model))
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "messages: at least one message is required")
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant", "system"):
            raise Refusal(400, f"messages.{index}.role: expected user or assistant")
        said: list[str] = []
        for at, block in enumerate(_blocks(message.get("content"), f"messages.{index}.content")):
            said += _texts(block)
            segments.append(_segment(role, block, _MESSAGE_TOKENS if at == 0 else 0, model))
        texts += said
        if not head and role == "user":
            head = without_directives(" ".join(said))
    if body.get("cache_control") is not None and segments:
        last = segments[-1]
        segments[-1] = Segment(last.content, last.tokens, _keep(body) or last.keep)
    marks = sum(segment.keep is not None for segment in segments)
    if marks > limits.CACHE_BREAKPOINTS_MAX:
        raise Refusal(
            400,
            f"A maximum of {limits.CACHE_BREAKPOINTS_MAX} blocks with cache_control may be "
            f"provided. Found {marks}.",
        )
    return Prompt(tuple(segments), tuple(texts), head[: limits.PROMPT_HEAD_CHARS])


def _list_of_objects(body: JsonObject, name: str) -> list[JsonObject]:
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Refusal(400, f"{name}: expected a list of objects")
    return value


def _blocks(content: Any, where: str) -> list[JsonObject]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(
        isinstance(block, dict) and isinstance(block.get("type"), str) for block in content
    ):
        raise Refusal(400, f"{where}: expected a text or a list of blocks, each with a type")
    return content


def _keep(block: JsonObject) -> str | None:
    control = block.get("cache_control")
    if control is None:
        return None
    ttl = control.get("ttl", MINUTES_5) if isinstance(control, dict) else None
    if ttl not in (MINUTES_5, HOUR_1) or control.get("type") != "ephemeral":
        raise Refusal(400, 'cache_control: expected {"type": "ephemeral"} with a ttl of 5m or 1h')
    return str(ttl)


def _texts(block: JsonObject) -> list[str]:
    return list(_find_texts(block, _TEXTS_DEPTH_MAX))


def _find_texts(block: JsonObject, depth: int) -> Iterator[str]:
    text = block.get("text")
    if isinstance(text, str):
        yield text
    content = block.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list) and depth:
        for inner in content:
            if isinstance(inner, dict):
                yield from _find_texts(inner, depth - 1)


def _tool_segment(tool: JsonObject) -> Segment:
    content = canonical({name: value for name, value in tool.items() if name != "cache_control"})
    return Segment(content, replies.count_tokens(content), _keep(tool))


def _segment(role: str, block: JsonObject, extra_tokens: int, model: str) -> Segment:
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    content = canonical([role, bare])
    if block["type"] == "text" and isinstance(block.get("text"), str):
        tokens = replies.count_tokens(block["text"])
    else:
        tokens = replies.count_tokens(canonical(bare))
        if block["type"] == "image":
            tokens = _picture_tokens(block, model)
        elif block["type"] == "document":
            tokens = min(_DOCUMENT_TOKENS, tokens)
    return Segment(content, tokens + extra_tokens, _keep(block))


def _picture_tokens(block: JsonObject, model: str) -> int:
    source = block.get("source")
    data = source.get("data") if isinstance(source, dict) else None
    size = pictures.of_base64(data) if isinstance(data, str) else pictures.ASSUMED
    return pictures.anthropic_tokens(model, size)
