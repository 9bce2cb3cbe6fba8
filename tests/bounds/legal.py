"""What a provider may bill for a request, read off the bytes that would go to it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sidecar.http.surfaces import Surface
from tests.bounds import media, texts
from tests.bounds.bills import WINDOW, Legal
from tests.bounds.cases import Case

_PER_MESSAGE, _PRIMER = 4, 3
"""What a template adds: OpenAI's three to four tokens a message, and three before the answer."""
_SHELL_TOOL = 200
_CLAUDE_TOOLS, _CLAUDE_TOOLSET = 530, 4_096
_GEMINI_TOOL = 9
_NEW, _OLD = "max_completion_tokens", "max_tokens"
_LIMIT_FIELDS = dict.fromkeys(("openai", "azure", "groq", "xai"), (_NEW, _OLD))
"""The limits on a chat that a provider reads; all others know only the older name."""
_OPENAI_TIERS = ("", "flex", "priority")
ANY_INPUT = ("input", "audio_input", "image_input", "video_input")
_Reader = Callable[[Case, dict[str, Any], bool], Legal]


def legal_of(case: Case, wire: bytes) -> Mapping[bool, Legal] | None:
    """What may be billed, by whether the model's tokenizer normalises text; None for nothing."""
    read = _READERS.get(case.surface)
    if read is None:
        return None
    return {
        normalises: read(case, dict(case.value) if case.files else json.loads(wire), normalises)
        for normalises in (True, False)
    }


def _openai_variants(case: Case, value: Mapping[str, Any]) -> frozenset[str]:
    tier = value.get("service_tier")
    if tier in (None, "auto"):
        # OpenAI serves as its account is set up, which may be any tier.
        return frozenset(_OPENAI_TIERS if case.dialect == "openai" else ("",))
    named = {"fast": "priority", "default": ""}.get(tier, tier)
    return frozenset(("", named))


def _openai_caches(value: Mapping[str, Any]) -> tuple[str, ...]:
    if value.get("prompt_cache_retention") == "24h":
        return ("cache_write", "cache_write_long")
    return ()


def _tools(value: dict[str, Any], normalises: bool) -> int:
    """The tools' schemas, taken out so that no text counts twice."""
    return sum(texts.shown(tool, normalises=normalises) for tool in value.pop("tools", ()))


def _chat(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    prompt = dict.fromkeys(("input", "audio_input"), 0)
    window = False
    for message in value["messages"]:
        prompt["input"] += _PER_MESSAGE
        for part in message["content"] if type(message["content"]) is list else ():
            if part["type"] == "image_url":
                image = part.pop("image_url")
                low = image.get("detail") == "low"
                prompt["input"] += media.openai_picture(case.model, image["url"], low=low)
            elif part["type"] == "input_audio":
                sound = media.decoded(part.pop("input_audio")["data"])
                played = media.longest_s(sound) * media.OPENAI_AUDIO_PER_S
                prompt["audio_input"] += int(played)
            elif part["type"] == "file":
                window = True
    predicted = value.pop("prediction", None)
    predicted_tokens = texts.tokens_in(predicted, normalises=normalises)
    prompt["input"] += _PRIMER + _tools(value, normalises)
    prompt["input"] += texts.tokens_in(value["messages"], normalises=normalises)
    fields = _LIMIT_FIELDS.get(case.dialect, (_OLD,))
    told = [value[name] for name in fields if value.get(name) is not None]
    spoken = "audio" in (value.get("modalities") or ())
    return Legal(
        ({WINDOW: 1},) if window else (prompt,),
        window_kinds=("input", "audio_input") if prompt["audio_input"] else ("input",),
        answers=value.get("n") or 1,
        limit=max(told) if told else None,
        output_kinds=("output", "audio_output") if spoken else ("output",),
        predicted=predicted_tokens,
        variants=_openai_variants(case, value),
        cache_kinds=_openai_caches(value),
    )


def _prompts(given: Any, normalises: bool) -> tuple[dict[str, int], ...]:
    """One text, texts, one list of tokens, or lists of tokens."""
    if type(given) is str:
        return ({"input": texts.tokens(given, normalises=normalises)},)
    if type(given[0]) is int:
        return ({"input": len(given)},)
    return tuple(
        {"input": texts.tokens(each, normalises=normalises) if type(each) is str else len(each)}
        for each in given
    )


def _completions(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    prompts = _prompts(value["prompt"], normalises)
    most = max(value.get("n") or 1, value.get("best_of") or 1)
    limit = value.get("max_tokens")
    return Legal(prompts, answers=len(prompts) * most, limit=16 if limit is None else limit)


def _embeddings(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    return Legal(_prompts(value["input"], normalises), answers=0)


def _moderations(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    return Legal(({WINDOW: 1},), answers=0)


def _responses(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    tokens = _PRIMER
    searches = {
        tool["type"]
        for tool in value.get("tools", ())
        if tool["type"] in ("web_search", "file_search")
    }
    tokens += sum(_SHELL_TOOL for tool in value.get("tools", ()) if tool["type"] == "local_shell")
    tokens += _tools(value, normalises)
    for item in value["input"] if type(value["input"]) is list else ():
        tokens += _PER_MESSAGE
        for part in item.get("content") or ():
            if type(part) is dict and part["type"] == "input_image":
                part.pop("image_url")
                tokens += media.openai_picture(case.model, "", low=False)
    tokens += texts.tokens_in(value["input"], normalises=normalises)
    calls = value["max_tool_calls"] if searches else 0
    window = value.get("previous_response_id") is not None or calls > 0
    prompt = {WINDOW: 1} if window else {"input": tokens}
    return Legal(
        (prompt,) * (1 + calls),
        limit=value.get("max_output_tokens"),
        # Each call is one search; which kind of several is not known here, so one of them stands.
        pieces={min(searches): calls} if searches else {},
        variants=_openai_variants(case, value),
        cache_kinds=_openai_caches(value),
    )


def _claude_blocks(blocks: Any, normalises: bool) -> tuple[int, bool]:
    """What stands in blocks beside their texts, and whether any of it has no bound of its own."""
    tokens, window = 0, False
    for block in blocks if type(blocks) is list else ():
        if block["type"] == "image":
            tokens += media.claude_picture(block.pop("source").get("data", ""))
        elif block["type"] == "document":
            window = window or block["source"]["type"] != "text"
        elif block["type"] == "tool_result":
            inner, inner_window = _claude_blocks(block["content"], normalises)
            tokens, window = tokens + inner, window or inner_window
    return tokens, window


def _caching(value: Any) -> set[str]:
    """Every kind of cache write that stands anywhere in a request."""
    if type(value) is list:
        return set().union(*map(_caching, value))
    if type(value) is not dict:
        return set()
    found: set[str] = set().union(*map(_caching, value.values()))
    if type(value.get("cache_control")) is dict:
        found.add(
            "cache_write_long" if value["cache_control"].get("ttl") == "1h" else "cache_write"
        )
    return found


def _messages(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    caches = tuple(sorted(_caching(value)))
    tokens, window = _PRIMER, False
    for message in value["messages"]:
        more, opaque = _claude_blocks(message["content"], normalises)
        tokens, window = tokens + more + _PER_MESSAGE, window or opaque
    tools = value.get("tools", [])
    if tools:
        own = sum(tool.get("type", "custom") != "custom" for tool in tools)
        tokens += _CLAUDE_TOOLS + _CLAUDE_TOOLSET * own
    tokens += _tools(value, normalises)
    for name in ("system", "messages"):
        tokens += texts.tokens_in(value.get(name), normalises=normalises)
    place = value.get("inference_geo")
    # A request that names no place is served where its workspace is set to be.
    places = ("", "us") if place is None else ("",) if place == "global" else (place,)
    speeds = ("", "fast") if value.get("speed") == "fast" else ("",)
    return Legal(
        ({WINDOW: 1} if window else {"input": tokens},),
        limit=value["max_tokens"],
        variants=frozenset(
            "+".join(sorted(filter(None, (place, speed)))) for place in places for speed in speeds
        ),
        cache_kinds=caches,
    )


def _gemini_parts(case: Case, contents: Any, prompt: dict[str, int]) -> bool:
    """Count the media of contents; whether any part has no bound of its own."""
    window = False
    for content in contents:
        for part in content["parts"]:
            window = window or "fileData" in part
            blob = part.pop("inlineData", None)
            if blob is None:
                continue
            kind = blob["mimeType"].partition("/")[0]
            if kind == "image":
                prompt["image_input"] += media.gemini_picture(case.model)
            elif kind == "audio":
                played = media.longest_s(media.decoded(blob["data"])) * media.GEMINI_AUDIO_PER_S
                prompt["audio_input"] += int(played)
            else:
                window = True
    return window


def _gemini(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    prompt = dict.fromkeys(("input", "audio_input", "image_input"), 0)
    window = _gemini_parts(case, value["contents"], prompt) or "cachedContent" in value
    declared = [each for tool in value.pop("tools", ()) for each in tool["functionDeclarations"]]
    # A schema may be printed with white space, half as much again; normalising leaves that alone.
    prompt["input"] += sum(
        texts.shown(each, normalises=normalises)
        + texts.shown(each, normalises=False) // 2
        + _GEMINI_TOOL
        for each in declared
    )
    prompt["input"] += _PRIMER + _PER_MESSAGE * len(value["contents"])
    for name in ("systemInstruction", "contents"):
        prompt["input"] += texts.tokens_in(value.get(name), normalises=normalises)
    config = value.get("generationConfig") or {}
    limit = config.get("maxOutputTokens", config.get("max_output_tokens"))
    made = [each.lower() for each in config.get("responseModalities") or ("audio", "image")]
    tier = value.get("serviceTier", "standard")
    return Legal(
        ({WINDOW: 1} if window else prompt,),
        window_kinds=ANY_INPUT,
        answers=config.get("candidateCount") or 1,
        limit=limit,
        output_kinds=("output", *(f"{each}_output" for each in made if each != "text")),
        variants=frozenset(("", "" if tier == "standard" else tier)),
    )


def _gemini_embedding(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    contents = [each["content"] for each in value.get("requests") or [value]]
    prompts = []
    for content in contents:
        prompt = dict.fromkeys(("input", "audio_input", "image_input"), 0)
        window = _gemini_parts(case, [content], prompt)
        prompt["input"] += texts.tokens_in(content, normalises=normalises)
        prompts.append({WINDOW: 1} if window else prompt)
    return Legal(tuple(prompts), window_kinds=ANY_INPUT, answers=0)


def _speech(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    tokens = sum(
        texts.tokens(value.get(name) or "", normalises=normalises)
        for name in ("input", "instructions")
    )
    return Legal(
        ({"input": tokens},),
        output_kinds=("audio_output",),
        pieces={"characters": len(value["input"])},
    )


_PICTURE_TOKENS = {
    "low": (272, 408),
    "medium": (1_056, 1_584),
    "high": (4_160, 6_240),
}
"""Published tokens of a square picture, and the most of any other size, by quality."""
_PARTIAL_TOKENS = 100
_EDITED_TOKENS, _FAITHFUL_TOKENS = 65 + 4 * 129, 6_240


def _pictures(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    count = int(value.get("n") or 1)
    prompt = {"input": texts.tokens(value["prompt"], normalises=normalises), "image_input": 0}
    faithful = _FAITHFUL_TOKENS if value.get("input_fidelity") != "low" else 0
    prompt["image_input"] += len(case.files) * (_EDITED_TOKENS + faithful)
    known = case.model in ("gpt-image-1", "gpt-image-1-mini")
    made = Legal(
        (prompt,),
        window_kinds=("input", "image_input"),
        pieces={"images": count},
        output_kinds=("image_output",),
        answers=count,
    )
    if not known:
        return replace(made, prompts=({WINDOW: 1} if case.files else prompt,))
    square, other = _PICTURE_TOKENS.get(value.get("quality") or "", _PICTURE_TOKENS["high"])
    each = square if value.get("size") == "1024x1024" else other
    each += int(value.get("partial_images") or 0) * _PARTIAL_TOKENS
    return replace(made, answers=0, pieces={"images": count, "image_output": count * each})


def _recording(case: Case, value: dict[str, Any], normalises: bool) -> Legal:
    played = media.longest_s(case.files[0].content)
    tokens = {
        "input": texts.tokens(value.get("prompt") or "", normalises=normalises),
        "audio_input": int(played * media.OPENAI_AUDIO_PER_S),
    }
    cut = "diarize" in case.model or value.get("chunking_strategy")
    whole_s = max(10, -(-played.numerator // played.denominator))
    return Legal(
        (tokens,),
        answers=max(1, int(played // 30)) if cut else 1,
        pieces={"milliseconds": whole_s * 1_000},
    )


_READERS: Mapping[Surface, _Reader] = {
    Surface.CHAT: _chat,
    Surface.AZURE_CHAT: _chat,
    Surface.RESPONSES: _responses,
    Surface.COMPLETIONS: _completions,
    Surface.EMBEDDINGS: _embeddings,
    Surface.AZURE_EMBEDDINGS: _embeddings,
    Surface.MODERATIONS: _moderations,
    Surface.MESSAGES: _messages,
    Surface.GEMINI_CONTENT: _gemini,
    Surface.GEMINI_STREAM: _gemini,
    Surface.GEMINI_EMBED: _gemini_embedding,
    Surface.GEMINI_EMBED_BATCH: _gemini_embedding,
    Surface.IMAGES: _pictures,
    Surface.IMAGE_EDITS: _pictures,
    Surface.SPEECH: _speech,
    Surface.TRANSCRIPTIONS: _recording,
    Surface.TRANSLATIONS: _recording,
}
"""All that is billed; what counts tokens costs nothing."""
