"""Requests from a seed, over every surface that costs: legal ones, and as unkind as they can be.

`case(seed)` is a pure function: the same number always makes the same request and the same prices.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.http.surfaces import Surface
from tests.bounds import media, prices
from tests.bounds.cases import Case, Upload, Version

_GROWERS = "\ufdfa\ufdfb\u3300\u3316\ufb03\u00bd\u2152\u1e9b\u1d160\uff76\u0958\u2a74"
"""Characters of which NFKC makes more bytes than they have, up to eleven times as many."""
_REORDERED = ("\u0231\u0323", "\u01fb\u0325", "\u01e1\u0323", "\u00e9\u0323", "\u022c\u0323")
"""Marks that change places when they are normalised, so that what was one character comes apart."""
_WORDS = ("the invoice", "naïve", "Straße", "日本語が", "한국어", "привет", "🙂", "👩‍👩‍👧", "ไทย")
_ESCAPED = ('"', "\\", "\n", "\t", "\x01", "/", "</script>")
_CHAT_MODELS = (
    *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5.4", "gpt-5.6-large"),
    *("o3", "house-model", "llama-3.3-70b"),
)
_CLAUDES = ("claude-haiku-4-5", "claude-opus-4-7")
_GEMINIS = ("gemini-2.5-flash", "gemini-3-pro", "gemini-2.0-flash")
_TIERS = ("flex", "priority")
Made = tuple[str, Surface, str, str, dict[str, Any]]


def text(rng: random.Random, most: int = 400) -> str:
    """A text of one sort or of several mixed."""
    sources: tuple[Sequence[str], ...] = (_WORDS, _GROWERS, _REORDERED, _ESCAPED, "abc {}:,")
    chosen = rng.choices(sources, weights=(4, 2, 1, 2, 4), k=rng.choice((1, 1, 2)))
    length = prices.spread(rng, 1, most)
    unit = "".join(rng.choice(rng.choice(chosen)) for _ in range(min(length, 12)))
    return (unit * (length // max(1, len(unit)) + 1))[:length]


def _maybe(rng: random.Random, part: float, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return make() if rng.random() < part else {}


def _picture(rng: random.Random) -> str:
    """A picture in base64: of a known size, or nothing that can be read."""
    if rng.random() < 0.25:
        return media.in_base64(rng.randbytes(rng.randint(30, 300)))
    width, height = prices.spread(rng, 1, 9_000), prices.spread(rng, 1, 9_000)
    return media.in_base64(media.png(width, height) + bytes(rng.randint(0, 200)))


def _sound(rng: random.Random) -> bytes:
    if rng.random() < 0.6:
        return media.wav(rng.randint(1, 5_000))
    return b"OggS" + rng.randbytes(rng.randint(1, 2_000))


def _url(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return f"https://example.com/{rng.randint(0, 99)}.png"
    return f"data:image/png;base64,{_picture(rng)}"


def _schema(rng: random.Random) -> dict[str, Any]:
    names = [f"field_{number}" for number in range(rng.randint(0, 6))]
    described = {name: {"type": "string", "description": text(rng, 60)} for name in names}
    return {"type": "object", "properties": described, "required": names}


def _openai_options(rng: random.Random) -> dict[str, Any]:
    tiers = (None, "auto", "default", *_TIERS)
    return {
        **_maybe(rng, 0.4, lambda: {"service_tier": rng.choice(tiers)}),
        **_maybe(rng, 0.2, lambda: {"prompt_cache_retention": rng.choice(["24h", "in_memory"])}),
        **_maybe(rng, 0.3, lambda: {"stream": True}),
    }


def _chat_part(rng: random.Random, model: str) -> dict[str, Any]:
    kind = rng.random()
    if kind < 0.45:
        return {"type": "text", "text": text(rng)}
    if kind < 0.85:
        image: dict[str, Any] = {"url": _url(rng)}
        image |= _maybe(rng, 0.4, lambda: {"detail": rng.choice(["low", "high", "auto"])})
        return {"type": "image_url", "image_url": image}
    if kind < 0.95 and model.startswith("gpt-"):
        sound = media.in_base64(_sound(rng))
        return {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}
    return {"type": "file", "file": {"file_id": "file-1"}}


def _chat_body(rng: random.Random, model: str, dialect: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for _ in range(rng.randint(1, 4)):
        content: Any = text(rng, prices.spread(rng, 20, 4_000))
        if rng.random() < 0.4:
            content = [_chat_part(rng, model) for _ in range(rng.randint(1, 4))]
        messages.append({"role": rng.choice(["user", "system", "assistant"]), "content": content})
    newer = dialect in ("openai", "azure", "groq", "xai")
    limits = ["max_completion_tokens"] if newer else []
    named = rng.sample([*limits, "max_tokens"], rng.randint(0, 1 + len(limits)))
    value: dict[str, Any] = {"messages": messages, **_openai_options(rng)}
    value |= {name: prices.spread(rng, 1, 40_000) for name in named}
    value |= _maybe(rng, 0.3, lambda: {"n": rng.randint(1, 8)})
    value |= _maybe(
        rng, 0.15, lambda: {"prediction": {"type": "content", "content": text(rng, 2_000)}}
    )
    value |= _maybe(rng, 0.1, lambda: {"modalities": ["text", "audio"], "audio": {"voice": "a"}})
    if rng.random() < 0.3:
        value["tools"] = [
            {"type": "function", "function": {"name": f"f{n}", "parameters": _schema(rng)}}
            for n in range(rng.randint(1, 4))
        ]
    return value


def _chat(rng: random.Random) -> Made:
    model = rng.choice(_CHAT_MODELS)
    dialect = rng.choice(["openai", "openai", "deepseek", "mistral", "groq", "vllm", "xai"])
    value = {"model": model, **_chat_body(rng, model, dialect)}
    return "chat", Surface.CHAT, dialect, model, value


def _azure_chat(rng: random.Random) -> Made:
    model = rng.choice(_CHAT_MODELS)
    return "chat at Azure", Surface.AZURE_CHAT, "azure", model, _chat_body(rng, model, "azure")


def _prompts(rng: random.Random) -> Any:
    if rng.random() < 0.3:
        return text(rng, 2_000)
    if rng.random() < 0.3:
        return [rng.randint(0, 200_000) for _ in range(rng.randint(1, 300))]
    if rng.random() < 0.5:
        return [text(rng, 800) for _ in range(rng.randint(1, 12))]
    return [
        [rng.randint(0, 9) for _ in range(rng.randint(1, 99))] for _ in range(rng.randint(1, 9))
    ]


def _completions(rng: random.Random) -> Made:
    value: dict[str, Any] = {"model": "davinci", "prompt": _prompts(rng)}
    value |= _maybe(rng, 0.6, lambda: {"max_tokens": prices.spread(rng, 1, 9_000)})
    value |= _maybe(rng, 0.3, lambda: {"n": rng.randint(1, 5)})
    value |= _maybe(rng, 0.3, lambda: {"best_of": rng.randint(1, 9)})
    return "completions", Surface.COMPLETIONS, "openai", "davinci", value


def _embeddings(rng: random.Random) -> Made:
    value = {"model": "embed-3", "input": _prompts(rng)}
    if rng.random() < 0.3:
        del value["model"]
        return "embeddings at Azure", Surface.AZURE_EMBEDDINGS, "azure", "embed-3", value
    return "embeddings", Surface.EMBEDDINGS, "openai", "embed-3", value


def _moderations(rng: random.Random) -> Made:
    value = {"model": "omni-moderation-latest", "input": text(rng, 2_000)}
    return "moderations", Surface.MODERATIONS, "openai", value["model"], value


def _counts(rng: random.Random) -> Made:
    value = {"model": "gpt-4o", "input": text(rng)}
    return "token counts", Surface.RESPONSES_COUNT, "openai", "gpt-4o", value


def _responses(rng: random.Random) -> Made:
    model = rng.choice(_CHAT_MODELS)
    given: Any = text(rng, 3_000)
    if rng.random() < 0.5:
        given = []
        for _ in range(rng.randint(1, 3)):
            parts: list[dict[str, Any]] = [{"type": "input_text", "text": text(rng)}]
            if rng.random() < 0.4:
                parts.append({"type": "input_image", "image_url": _url(rng)})
            given.append({"type": "message", "role": "user", "content": parts})
    value = {"model": model, "input": given, **_openai_options(rng)}
    value |= _maybe(rng, 0.5, lambda: {"max_output_tokens": prices.spread(rng, 1, 40_000)})
    value |= _maybe(rng, 0.1, lambda: {"previous_response_id": "resp_1"})
    tools: list[dict[str, Any]] = []
    if rng.random() < 0.3:
        tools += [{"type": "function", "name": "f", "parameters": _schema(rng)}]
    if rng.random() < 0.2:
        tools += [{"type": "local_shell"}]
    if rng.random() < 0.2:
        searches = rng.sample(["web_search", "file_search"], rng.randint(1, 2))
        tools += [{"type": kind} for kind in searches]
        value["max_tool_calls"] = prices.spread(rng, 1, 50)
    if tools:
        value["tools"] = tools
    return "responses", Surface.RESPONSES, "openai", model, value


def _claude_block(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    kind = rng.random()
    if kind < 0.4:
        block: dict[str, Any] = {"type": "text", "text": text(rng)}
    elif kind < 0.6:
        block = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    elif kind < 0.8:
        source = {"type": "base64", "media_type": "image/png", "data": _picture(rng)}
        block = {"type": "image", "source": source}
    elif kind < 0.9 and not depth:
        inner = [_claude_block(rng, 1) for _ in range(rng.randint(1, 2))]
        block = {"type": "tool_result", "tool_use_id": "t", "content": inner}
    else:
        named = rng.choice(["text", "url"])
        source = {"type": named, "data" if named == "text" else "url": "https://example.com"}
        block = {"type": "document", "source": source}
    ttl = rng.choice([{}, {"ttl": "5m"}, {"ttl": "1h"}])
    return {**block, **_maybe(rng, 0.1, lambda: {"cache_control": {"type": "ephemeral", **ttl}})}


def _messages(rng: random.Random) -> Made:
    messages: list[dict[str, Any]] = []
    for _ in range(rng.randint(1, 3)):
        content: Any = text(rng, prices.spread(rng, 20, 3_000))
        if rng.random() < 0.5:
            content = [_claude_block(rng) for _ in range(rng.randint(1, 3))]
        messages.append({"role": "user", "content": content})
    model = rng.choice(_CLAUDES)
    value: dict[str, Any] = {"model": model, "max_tokens": prices.spread(rng, 1, 30_000)}
    value |= {"messages": messages, **_maybe(rng, 0.3, lambda: {"system": text(rng)})}
    value |= _maybe(rng, 0.3, lambda: {"inference_geo": rng.choice(["us", "global"])})
    value |= _maybe(rng, 0.2, lambda: {"speed": rng.choice(["fast", "standard"])})
    if rng.random() < 0.4:
        own = {"type": "bash_20250124", "name": "bash"}
        value["tools"] = [
            own if rng.random() < 0.3 else {"name": f"f{n}", "input_schema": _schema(rng)}
            for n in range(rng.randint(1, 3))
        ]
    return "messages", Surface.MESSAGES, "anthropic", model, value


def _gemini_content(rng: random.Random) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.random()
        if kind < 0.5:
            parts.append({"text": text(rng)})
        elif kind < 0.7:
            parts.append({"inlineData": {"mimeType": "image/png", "data": _picture(rng)}})
        elif kind < 0.9:
            sound = media.in_base64(b"OggS" + rng.randbytes(rng.randint(1, 3_000)))
            parts.append({"inlineData": {"mimeType": "audio/ogg", "data": sound}})
        elif kind < 0.95:
            parts.append({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}})
        else:
            parts.append({"fileData": {"fileUri": "files/a", "mimeType": "video/mp4"}})
    return {"role": "user", "parts": parts}


def _gemini(rng: random.Random) -> Made:
    value: dict[str, Any] = {"contents": [_gemini_content(rng) for _ in range(rng.randint(1, 3))]}
    config: dict[str, Any] = {}
    limit = rng.choice(["maxOutputTokens", "max_output_tokens"])
    config |= _maybe(rng, 0.5, lambda: {limit: prices.spread(rng, 1, 30_000)})
    config |= _maybe(rng, 0.3, lambda: {"candidateCount": rng.randint(1, 8)})
    made = [["TEXT"], ["TEXT", "IMAGE"], ["AUDIO"]]
    config |= _maybe(rng, 0.4, lambda: {"responseModalities": rng.choice(made)})
    value |= {"generationConfig": config} if config else {}
    value |= _maybe(rng, 0.3, lambda: {"serviceTier": rng.choice(["standard", *_TIERS])})
    value |= _maybe(rng, 0.05, lambda: {"cachedContent": "cachedContents/a"})
    system = {"systemInstruction": {"parts": [{"text": text(rng)}]}}
    value |= _maybe(rng, 0.3, lambda: system)
    if rng.random() < 0.3:
        declared = [{"name": f"f{n}", "parameters": _schema(rng)} for n in range(rng.randint(1, 4))]
        value["tools"] = [{"functionDeclarations": declared}]
    surface = rng.choice([Surface.GEMINI_CONTENT, Surface.GEMINI_STREAM])
    return "Gemini's content", surface, "gemini", rng.choice(_GEMINIS), value


def _gemini_embeddings(rng: random.Random) -> Made:
    model = "gemini-embedding-001"
    if rng.random() < 0.5:
        value: dict[str, Any] = {"content": _gemini_content(rng)}
        return "Gemini's embeddings", Surface.GEMINI_EMBED, "gemini", model, value
    given = [{"content": _gemini_content(rng)} for _ in range(rng.randint(1, 8))]
    value = {"requests": given}
    return "Gemini's embeddings", Surface.GEMINI_EMBED_BATCH, "gemini", model, value


def _speech(rng: random.Random) -> Made:
    value = {"model": "tts", "input": text(rng, 3_000), "voice": "a"}
    return "speech", Surface.SPEECH, "openai", "tts", value


_PICTURE_MODELS = ("gpt-image-1", "gpt-image-1-mini", "dall-e-3", "picture-maker")


def _picture_fields(rng: random.Random, *, form: bool) -> dict[str, Any]:
    def count(least: int, most: int) -> Any:
        number = rng.randint(least, most)
        return f"{number}" if form else number

    value: dict[str, Any] = {"prompt": text(rng, 1_000)}
    value |= _maybe(rng, 0.4, lambda: {"n": count(1, 10)})
    value |= _maybe(rng, 0.4, lambda: {"quality": rng.choice(["low", "medium", "high", "auto"])})
    sizes = ["1024x1024", "1536x1024", "auto"]
    value |= _maybe(rng, 0.5, lambda: {"size": rng.choice(sizes)})
    value |= _maybe(rng, 0.2, lambda: {"partial_images": count(0, 3)})
    return value


def _images(rng: random.Random) -> Made:
    model = rng.choice(_PICTURE_MODELS)
    value = {"model": model, **_picture_fields(rng, form=False)}
    return "pictures", Surface.IMAGES, "openai", model, value


def _edits(rng: random.Random) -> Made:
    model = rng.choice(_PICTURE_MODELS)
    value = {"model": model, **_picture_fields(rng, form=True)}
    value |= _maybe(rng, 0.3, lambda: {"input_fidelity": rng.choice(["low", "high"])})
    return "edited pictures", Surface.IMAGE_EDITS, "openai", model, value


def _recordings(rng: random.Random) -> Made:
    model = rng.choice(["whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"])
    value = {"model": model, **_maybe(rng, 0.3, lambda: {"prompt": text(rng, 300)})}
    value |= _maybe(rng, 0.2, lambda: {"chunking_strategy": "auto"})
    surface = rng.choice([Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS])
    return "recordings", surface, "openai", model, value


_TOKENS = ("input", "output")
_SEARCHES = ("web_search", "file_search")
_PLACES = ("fast", "us", "fast+us")
_KINDS: tuple[
    tuple[Callable[[random.Random], Made], int, tuple[str, ...], tuple[str, ...]], ...
] = (
    (_chat, 24, _TOKENS, _TIERS),
    (_azure_chat, 5, _TOKENS, _TIERS),
    (_completions, 8, _TOKENS, ()),
    (_embeddings, 8, ("input",), ()),
    (_moderations, 1, ("input",), ()),
    (_counts, 1, ("input",), ()),
    (_responses, 16, (*_TOKENS, *_SEARCHES), _TIERS),
    (_messages, 20, _TOKENS, _PLACES),
    (_gemini, 16, _TOKENS, _TIERS),
    (_gemini_embeddings, 6, ("input",), ()),
    (_images, 4, ("input", "image_output"), ()),
    (_edits, 4, ("input", "image_output"), ()),
    (_speech, 4, ("input", "audio_output"), ()),
    (_recordings, 6, _TOKENS, ()),
)
"""Each kind, how often it comes, the rates that its prices have, and their variants."""
_SILENT = (_embeddings, _moderations, _gemini_embeddings)
"""Kinds whose models write nothing."""
_BY_PIECE = {
    _images: "images",
    _edits: "images",
    _speech: "characters",
    _recordings: "milliseconds",
}


def case(seed: int) -> Case:
    """The request of this seed."""
    rng = random.Random(seed)
    make, _, wanted, variants = rng.choices(_KINDS, weights=[row[1] for row in _KINDS])[0]
    label, surface, dialect, model, value = make(rng)
    if make in _BY_PIECE and rng.random() < 0.5:
        wanted = (_BY_PIECE[make],)
    known: tuple[Version, ...] = prices.versions(rng, wanted, variants, writes=make not in _SILENT)
    return Case(
        label=label,
        surface=surface,
        dialect=dialect,
        model=model,
        value=value,
        versions=known,
        files=_files(rng, surface),
        escaped=rng.random() < 0.3,
        clamp=prices.spread(rng, 1, 20_000) if rng.random() < 0.5 else None,
    )


def _files(rng: random.Random, surface: Surface) -> tuple[Upload, ...]:
    if surface is Surface.IMAGE_EDITS:
        count = rng.randint(1, 4)
        return tuple(Upload("image[]", media.png(640, 480)) for _ in range(count))
    if surface in (Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS):
        long = media.wav(rng.randint(1, 90_000)) if rng.random() < 0.3 else _sound(rng)
        return (Upload("file", long),)
    return ()
