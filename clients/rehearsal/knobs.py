"""What can be asked of the rehearsal provider beyond the wire format.

Rules:
- A knob is set for the process (command line, then POST /rehearsal/knobs), for one call by a
  directive inside its prompt, `[rehearse latency_ms=5000 reply_text="four words of text"]`, or for
  one call by the header `x-rehearsal: latency_ms=5000; omit_usage`. The later in this list wins;
  of two directives, the last.
- A directive stays in the prompt and is counted like any other text.
- A name or a value that is not understood is an error, never ignored.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from clients.rehearsal import limits

HEADER = "x-rehearsal"

_DIRECTIVE = re.compile(r"\[rehearse\s+([^\]]*)\]")
_SETTING = re.compile(r'[\s;,]*([a-z_0-9]+)(?:=(?:"([^"]*)"|([^\s;,"]*)))?[\s;,]*')
_ALIASES = {
    "error": "error_status",
    "hangup_after": "hangup_after_chunks",
    "stall_after": "stall_after_chunks",
}
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


class KnobError(ValueError):
    """A knob that does not exist, or a value it cannot take."""


def _whole(default: int | None, lowest: int, highest: int, does: str) -> Any:
    return field(
        default=default,
        metadata={"kind": "whole", "lowest": lowest, "highest": highest, "does": does},
    )


def _switch(default: bool | None, does: str) -> Any:  # noqa: FBT001 - reads as a table
    return field(default=default, metadata={"kind": "switch", "does": does})


def _text(does: str) -> Any:
    return field(default=None, metadata={"kind": "text", "does": does})


@dataclass(frozen=True, slots=True)
class Knobs:
    """One setting of every knob; each field's metadata says what it does."""

    latency_ms: int = _whole(0, 0, limits.PAUSE_MS_MAX, "wait this long before the first byte")
    chunk_ms: int = _whole(0, 0, limits.PAUSE_MS_MAX, "wait this long between streamed chunks")
    chunk_tokens: int = _whole(4, 1, 100_000, "tokens in one streamed chunk")
    reply_tokens: int | None = _whole(
        None, 0, limits.TOKENS_MAX, "length of the answer; unset: whole sentences by the prompt"
    )
    reply_text: str | None = _text("the answer itself; reply_tokens is then ignored")
    reasoning_tokens: int = _whole(
        0, 0, limits.TOKENS_MAX, "hidden output tokens, billed, generated before the first chunk"
    )
    prompt_tokens: int | None = _whole(
        None, 0, limits.TOKENS_MAX, "bill this many prompt tokens, whatever was sent"
    )
    cached_tokens: int | None = _whole(
        None, 0, limits.TOKENS_MAX, "of the prompt, this many were read from the cache"
    )
    cache_write_tokens: int | None = _whole(
        None, 0, limits.TOKENS_MAX, "of the prompt, this many were written to the cache"
    )
    speak_as: str | None = _text(
        "say chat completions as this provider would: azure, deepseek, gemini, groq, mistral,"
        " openrouter, openrouter-byok, vllm, xai"
    )
    thoughts_in_candidates: bool = _switch(
        default=False, does="count hidden output tokens of Gemini's among its candidates' as well"
    )
    embedding_usage: bool = _switch(
        default=False, does="tell what embeddings of Gemini's used, which it mostly does not"
    )
    tool_call: bool = _switch(default=False, does="call a tool of the request, if it brings any")
    hosted_calls: int = _whole(
        0, 0, limits.HOSTED_CALLS_MAX, "run a hosted tool of the request so often, if it brings any"
    )
    response_status: str | None = _text("end a response as failed or incomplete, billed in full")
    answer_model: str | None = _text("name this model in the answer; the price stays")
    service_tier: str | None = _text("serve and bill in this tier, whatever was asked for")
    error_status: int | None = _whole(
        None, 400, 599, "answer with this error, unbilled, as often as error_rate_ppm says"
    )
    error_rate_ppm: int = _whole(
        1_000_000, 0, 1_000_000, "how many calls in a million fail; chosen by seed and call number"
    )
    error_model: str | None = _text("error_status strikes only calls that ask for this model")
    error_key: str | None = _text("error_status strikes only calls with a key that ends so")
    error_after_chunks: int | None = _whole(
        None, 0, limits.TOKENS_MAX, "break a stream with an error event after this many chunks"
    )
    retry_after_s: int | None = _whole(None, 0, 86_400, "send retry-after with errors")
    hangup_before_headers: bool = _switch(
        default=False, does="read the request, wait latency_ms, close the socket"
    )
    hangup_after_chunks: int | None = _whole(
        None,
        0,
        limits.TOKENS_MAX,
        "close the socket after this many chunks, at the latest before"
        " the stream's closing events; a plain answer is cut in half",
    )
    bill_hangup: bool = _switch(
        default=True, does="bill what was generated when the provider hangs up, else nothing"
    )
    bill_to_end: bool | None = _switch(
        default=None,
        does="bill a stream whose client hangs up to its end;"
        " unset: Gemini's are, OpenAI's and Anthropic's are not",
    )
    stall_after_chunks: int | None = _whole(
        None, 0, limits.TOKENS_MAX, "fall silent after this many chunks"
    )
    stall_ms: int = _whole(600_000, 0, limits.PAUSE_MS_MAX, "how long a stall lasts")
    overbill_ppm: int = _whole(
        0, 0, 100_000_000, "report and bill every quantity this much higher, rounded up"
    )
    omit_usage: bool = _switch(default=False, does="bill, but do not say what was used")
    media_bytes: int = _whole(
        2_000, 1, limits.MEDIA_BYTES_MAX, "size of a picture, or of the sound, that is answered"
    )
    split_bytes: int | None = _whole(
        None, 1, limits.BODY_BYTES_MAX, "write answers in pieces of this many bytes"
    )
    crlf: bool = _switch(default=False, does="end the lines of events with CR LF")
    seed: int = _whole(0, 0, 2**63 - 1, "decides which calls fail at error_rate_ppm")


_FIELDS: dict[str, Field[Any]] = {each.name: each for each in fields(Knobs)}


def knob_fields() -> tuple[Field[Any], ...]:
    """Return every knob with its metadata, in the table's order."""
    return tuple(_FIELDS.values())


def changed(knobs: Knobs, changes: Mapping[str, Any]) -> Knobs:
    """Return the knobs with some of them set, each value checked."""
    if not changes:
        return knobs
    checked = {}
    for given, value in changes.items():
        name = _known(given)
        checked[name] = _checked(_FIELDS[name], value)
    return replace(knobs, **checked)


def from_json(knobs: Knobs, defaults: Knobs, changes: object) -> Knobs:
    """Apply a JSON object of knobs; null puts a knob back to what the process began with."""
    if not isinstance(changes, dict):
        raise KnobError('send a JSON object of knobs, such as {"latency_ms": 500}')
    named = {_known(name): value for name, value in changes.items()}
    reset = {name: getattr(defaults, name) for name, value in named.items() if value is None}
    given = {name: value for name, value in named.items() if value is not None}
    return replace(changed(knobs, given), **reset)


def for_call(knobs: Knobs, header: str | None, texts: Iterable[str]) -> Knobs:
    """Apply the directives in a call's texts, then its header."""
    changes: dict[str, Any] = {}
    for text in texts:
        if "[rehearse" in text:
            for directive in _DIRECTIVE.findall(text):
                changes.update(_settings(directive))
    if header is not None:
        changes.update(_settings(header))
    return changed(knobs, changes)


def fails(knobs: Knobs, call_number: int, model: str, key: str) -> bool:
    """Return whether error_status strikes this call for a model, with a key."""
    if knobs.error_status is None:
        return False
    if knobs.error_model not in (None, model) or not key.endswith(knobs.error_key or ""):
        return False
    digest = hashlib.blake2b(f"{knobs.seed}:{call_number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 1_000_000 < knobs.error_rate_ppm


def without_directives(text: str) -> str:
    """Return what is left of a prompt for people to read."""
    return _DIRECTIVE.sub("", text).strip() if "[rehearse" in text else text.strip()


def _known(given: str) -> str:
    name = _ALIASES.get(given, given)
    if name not in _FIELDS:
        raise KnobError(f"no knob named {given!r}; there are: {', '.join(_FIELDS)}")
    return name


def _settings(text: str) -> dict[str, Any]:
    text = text.strip(" \t\r\n;,")
    found: dict[str, Any] = {}
    at = 0
    while at < len(text):
        setting = _SETTING.match(text, at)
        if setting is None or setting.end() == at:
            raise KnobError(
                f"cannot read {text[at : at + 40]!r}; write name=value, apart by ; or space"
            )
        name, quoted, bare = setting.groups()
        found[name] = quoted if quoted is not None else "true" if bare is None else bare
        at = setting.end()
    return found


def _checked(knob: Field[Any], value: Any) -> Any:
    kind = knob.metadata["kind"]
    if kind == "text":
        if not isinstance(value, str) or len(value) > limits.TEXT_CHARS_MAX:
            raise KnobError(f"{knob.name} takes a text of up to {limits.TEXT_CHARS_MAX} characters")
        return value
    if kind == "switch":
        return _checked_switch(knob.name, value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        value = int(value)
    lowest, highest = knob.metadata["lowest"], knob.metadata["highest"]
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise KnobError(f"{knob.name} takes a whole number from {lowest} to {highest}")
    return value


def _checked_switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in (*_TRUE, *_FALSE):
        raise KnobError(f"{name} takes true or false")
    return word in _TRUE
