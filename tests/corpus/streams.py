"""How providers stream an answer: each case's answer as the events that would have brought it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Case = Mapping[str, Any]
Stream = Callable[[Case], bytes]
"""Makes the stream of a case."""


def event(data: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def chunks(case: Case) -> bytes:
    """A chat or a legacy completion as chunks; where the usage stands is its provider's manner."""
    answer, provider = case["answer"], case.get("provider", "")
    aside = ("choices", "usage", "x_groq")
    base = {name: told for name, told in answer.items() if name not in aside}
    begun = {"index": 0, "delta": {"content": "für ☃"}, "text": "für ☃", "finish_reason": None}
    ended = {**begun, "delta": {}, "text": "", "finish_reason": "stop"}
    usage = answer["usage"]
    told: tuple[dict[str, Any], ...]
    if provider in ("mistral", "openrouter", "perplexity"):
        told = ({"choices": [begun]}, {"choices": [ended], "usage": usage})
    elif provider == "groq":
        aside_told = {**answer["x_groq"], "usage": usage}
        told = ({"choices": [begun]}, {"choices": [ended], "x_groq": aside_told})
    elif provider == "vllm":
        so_far = {**usage, "completion_tokens": 1, "total_tokens": usage["prompt_tokens"] + 1}
        told = (
            {"choices": [begun], "usage": so_far},
            {"choices": [ended], "usage": usage},
            {"choices": [], "usage": usage},
        )
    else:
        told = (
            {"choices": [begun], "usage": None},
            {"choices": [ended], "usage": None},
            {"choices": [], "usage": usage},
        )
    return b"".join(event({**base, **each}) for each in told) + b"data: [DONE]\n\n"


def response_events(case: Case) -> bytes:
    """A response as events, the last of which is the response."""
    answer = case["answer"]
    begun = {**answer, "status": "in_progress", "usage": None, "output": []}
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_text.delta", {"delta": 'für ☃ "response.completed"'}),
        (f"response.{answer['status']}", {"response": answer}),
    ]
    return b"".join(
        event({"type": kind, "sequence_number": number, **fields}, kind)
        for number, (kind, fields) in enumerate(told)
    )


def message_events(case: Case) -> bytes:
    """A message as events: the prompt's usage first, all of it again at the end."""
    answer = case["answer"]
    first = {**answer["usage"], "output_tokens": 1}
    message = {**answer, "content": [], "stop_reason": None, "usage": first}
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    text = {"type": "text_delta", "text": "für ☃"}
    told: tuple[dict[str, Any], ...] = (
        {"type": "message_start", "message": message},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "message_delta", "delta": delta, "usage": answer["usage"]},
        {"type": "message_stop"},
    )
    return b"".join(event(each, each["type"]) for each in told)


def _contents(case: Case) -> list[dict[str, Any]]:
    """Generated content as chunks, each of which tells the usage so far, the last all of it."""
    answer = case["answer"]
    (candidate,) = answer["candidates"]
    base = {"modelVersion": answer["modelVersion"], "responseId": answer["responseId"]}
    told = answer["usageMetadata"]
    so_far = {"promptTokenCount": told["promptTokenCount"], "totalTokenCount": 300_000}
    begun = {name: held for name, held in candidate.items() if name != "finishReason"}
    ended = {**candidate, "content": {"parts": [{"text": 'said "finishReason"'}]}}
    return [
        {"candidates": [begun], "usageMetadata": so_far, **base},
        {"candidates": [begun], **base},
        {"candidates": [ended], "usageMetadata": told, **base},
    ]


def content_events(case: Case) -> bytes:
    """Generated content as events."""
    return b"".join(map(event, _contents(case)))


def content_array(case: Case) -> bytes:
    """The same as one array, which is how it comes without `alt=sse`."""
    return json.dumps(_contents(case), ensure_ascii=False, indent=2).encode()


def _share(told: Any, number: int, count: int) -> Any:
    """One of so many shares of a usage, which together are all of it."""
    if isinstance(told, dict):
        return {name: _share(member, number, count) for name, member in told.items()}
    return told // count + (told % count if number == 0 else 0)


def picture_events(kind: str) -> Stream:
    """Pictures as events of a kind, each with unfinished ones before it and with its own usage."""

    def make(case: Case) -> bytes:
        answer = case["answer"]
        count = len(answer["data"])
        base = {
            "created_at": answer["created"],
            **{name: answer[name] for name in ("background", "output_format", "quality", "size")},
        }
        out = b""
        for number, picture in enumerate(answer["data"]):
            for index in range(case.get("partials", 0)):
                name = f"{kind}.partial_image"
                more = {"partial_image_index": index, **picture, **base}
                out += event({"type": name, **more}, name)
            usage = {}
            if "usage" in answer:
                usage = {"usage": _share(answer["usage"], number, count)}
            name = f"{kind}.completed"
            out += event({"type": name, **picture, **base, **usage}, name)
        return out

    return make


def transcript_events(case: Case) -> bytes:
    """A transcript bit by bit, and whole at its end, with the usage."""
    answer = case["answer"]
    deltas = [
        {"type": "transcript.text.delta", "delta": piece}
        for piece in (*answer["text"], 'it said "usage"')
    ]
    segments = answer.get("segments", [])
    done = {"type": "transcript.text.done", **answer}
    return b"".join(map(event, (*deltas, *segments, done)))


def sound_events(case: Case) -> bytes:
    """Sound in pieces, and the usage at its end."""
    answer = case["answer"]
    delta = {"type": "speech.audio.delta", "audio": answer["audio"]}
    usage = {"usage": answer["usage"]} if "usage" in answer else {}
    return event(delta) + event({"type": "speech.audio.done", **usage})
