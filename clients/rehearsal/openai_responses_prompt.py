"""What the input of OpenAI's Responses API says and counts."""

from clients.rehearsal import limits, replies
from clients.rehearsal.incoming import JsonObject, Refusal, canonical
from clients.rehearsal.knobs import without_directives
from clients.rehearsal.openai_wire import IMAGE_TOKENS, MESSAGE_TOKENS, PRIMER_TOKENS, Prompt
from clients.rehearsal.stored import StoredResponses

_FILE_TOKENS = 500
"""What a file counts that only stands at the provider, or behind a URL."""


def read_prompt(body: JsonObject, stored: StoredResponses) -> Prompt:
    """Return what a request's input says, and the tokens of all that it goes on from."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not items:
        raise Refusal(400, "input: expected a text or a list with one item at least", param="input")
    texts: list[str] = []
    head = ""
    tokens = PRIMER_TOKENS + _earlier_tokens(body, stored)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise Refusal(400, f"input[{index}]: expected an object", param=f"input[{index}]")
        said, weighed = _read_item(item, f"input[{index}]")
        tokens += MESSAGE_TOKENS + weighed + sum(map(replies.count_tokens, said))
        texts += said
        if not head and item.get("role") == "user":
            head = without_directives(" ".join(said))
    instructions = body.get("instructions")
    if isinstance(instructions, str):
        texts.append(instructions)
        tokens += replies.count_tokens(instructions)
    for name in ("tools", "text"):
        if body.get(name):
            tokens += replies.count_tokens(canonical(body[name]))
    return Prompt(tuple(texts), head[: limits.PROMPT_HEAD_CHARS], tokens)


def _earlier_tokens(body: JsonObject, stored: StoredResponses) -> int:
    earlier = body.get("previous_response_id")
    if earlier is None:
        return 0
    tokens = stored.tokens_of(earlier) if isinstance(earlier, str) else None
    if tokens is None:
        raise Refusal(
            400,
            f"Previous response with id '{str(earlier)[:64]}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return tokens


def _read_item(item: JsonObject, where: str) -> tuple[list[str], int]:
    """Return the texts of an item, and the tokens of what is not text."""
    kind = item.get("type", "message")
    if kind == "message":
        return _read_content(item.get("content"), f"{where}.content")
    if kind in ("function_call_output", "custom_tool_call_output"):
        return _read_content(item.get("output"), f"{where}.output")
    if not isinstance(kind, str):
        raise Refusal(400, f"{where}.type: expected a text", param=f"{where}.type")
    return [], replies.count_tokens(canonical(item))


def _read_content(content: object, where: str) -> tuple[list[str], int]:
    if isinstance(content, str):
        return [content], 0
    if not isinstance(content, list):
        raise Refusal(400, f"{where}: expected a text or a list of parts", param=where)
    texts: list[str] = []
    weighed = 0
    for part in content:
        if not isinstance(part, dict):
            raise Refusal(400, f"{where}: expected a list of objects", param=where)
        text = part.get("text", part.get("refusal"))
        if isinstance(text, str):
            texts.append(text)
        elif part.get("type") == "input_file":
            weighed += _FILE_TOKENS
        else:
            weighed += min(IMAGE_TOKENS, replies.count_tokens(canonical(part)))
    return texts, weighed
