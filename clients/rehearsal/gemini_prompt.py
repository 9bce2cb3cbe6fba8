"""Reads the contents of a request to Gemini: their texts, and what they count."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clients.rehearsal import limits, replies
from clients.rehearsal.incoming import JsonObject, Refusal, canonical
from clients.rehearsal.knobs import without_directives

_CONTENT_TOKENS = 3
_MEDIA_TOKENS = 258


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request says."""

    texts: tuple[str, ...]
    """Every text of system instruction and contents, in order."""
    head: str
    """The first user text, for the bill."""
    tokens: int
    """What it all counts."""


def field(value: JsonObject, name: str) -> Any:
    """Return a field by either of its two spellings, camelCase or with underscores."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return value[name] if name in value else value.get(snake)


def read_prompt(body: JsonObject) -> Prompt:
    """Read system instruction, contents and tools."""
    contents = field(body, "contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise Refusal(400, "* GenerateContentRequest.contents: contents is not specified")
    texts: list[str] = []
    head = ""
    tokens = 0
    system = field(body, "systemInstruction")
    for index, content in enumerate([*([system] if system else []), *contents]):
        said, counted = read_content(content, f"contents[{index}]")
        tokens += _CONTENT_TOKENS + counted
        texts += said
        if not head and said and content is not system:
            head = without_directives(" ".join(said))
    config = field(body, "generationConfig")
    schema = field(config, "responseSchema") if isinstance(config, dict) else None
    for part in (field(body, "tools"), schema):
        tokens += replies.count_tokens(canonical(part)) if part else 0
    return Prompt(tuple(texts), head[: limits.PROMPT_HEAD_CHARS], tokens)


def read_content(content: object, where: str) -> tuple[list[str], int]:
    """Return a content's texts, and the tokens of all its parts."""
    if not isinstance(content, dict):
        raise Refusal(400, f"Invalid value at '{where}': expected an object")
    texts: list[str] = []
    tokens = 0
    for part in _parts(content, where):
        text = part.get("text")
        if isinstance(text, str):
            texts.append(text)
            tokens += replies.count_tokens(text)
        else:
            counted = replies.count_tokens(canonical(part))
            media = field(part, "inlineData") or field(part, "fileData")
            tokens += min(_MEDIA_TOKENS, counted) if media else counted
    return texts, tokens


def _parts(content: JsonObject, where: str) -> Iterator[JsonObject]:
    parts = content.get("parts")
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Refusal(400, f"Invalid value at '{where}.parts': expected a list of objects")
    yield from parts
