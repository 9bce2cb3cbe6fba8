"""Reading a request's fields: the right type or a refusal that names the field."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from protos.values import quantities as kinds
from protos.values.money import NANO_PER_USD
from protos.values.quick import quick
from sidecar.core.bounds import Asked, expanded_bytes
from sidecar.core.refusals import Reason
from sidecar.http import strict_json
from sidecar.providers.dialects import PLAIN, Dialect, Money

CHOICES_MAX = 128
"""Answers that may be asked for at once."""
LIMIT_MAX_TOKENS = 2**31 - 1
"""No output limit is larger."""
MODEL_MAX_CHARACTERS = 256
"""No model's id is longer."""
_TICKS_PER_NANO_USD = 10
"""xAI counts in ten-billionths of a dollar."""
_COST_MAX_USD = 1_000_000
"""No call costs more; a provider that says so is not believed."""
_TICKS_MAX = _COST_MAX_USD * 10**10
_FRACTION_MAX_CHARACTERS = 64
"""No fraction that means anything is written longer; exact arithmetic with half a million digits
takes ten seconds."""
_INFINITY = Decimal("Infinity")
_COST_LEAST_EXPONENT = -30
"""What is smaller is a nano-dollar, and not worth exact arithmetic."""
MONEY_KEYS = frozenset(("cost", "cost_details", "is_byok", "cost_in_usd_ticks"))
"""Where a usage tells money, on whichever surface."""
COUNT_MAX_UNITS = 10**9
"""No call uses more of anything; a provider that says so is not believed."""


class BadRequestError(Exception):
    """The request cannot be taken."""

    def __init__(
        self, message: str, param: str = "", reason: Reason = Reason.INVALID_REQUEST
    ) -> None:
        """Take words for the caller, and the field that is wrong."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.reason = reason


_DECIDING = frozenset(
    (
        *("model", "messages", "input", "max_tokens", "max_completion_tokens", "n", "stream"),
        *("stream_options", "service_tier", "tools", "modalities", "audio", "web_search_options"),
        *("prediction", "system", "speed", "inference_geo", "mcp_servers", "container", "plugins"),
        *("size", "quality", "partial_images", "input_fidelity", "output_format", "frame_count"),
        *("svg", "stream_format", "chunking_strategy", "file", "image", "mask"),
        *("models", "prompt_cache_retention", "cache_control", "context_management", "fallbacks"),
        *("previous_response_id", "conversation", "prompt", "background", "max_output_tokens"),
        *("max_tool_calls", "tool_choice", "reasoning", "prompt_cache_options", "best_of"),
        *("multi_agent", "background_options", "search_parameters", "extra_body", "preset"),
    )
)
"""Fields on which the bound of a call rests."""


@quick
@dataclass(frozen=True, slots=True)
class CallRequest:
    """What a request says, as far as the sidecar must know it."""

    model: str
    """The model, as the price book calls it."""
    streamed: bool
    """Whether the answer is to be streamed."""
    usage_wanted: bool
    """Whether the caller itself asked for usage in the stream."""
    asked: Asked
    """What decides its cost."""
    usage_each_wanted: bool = False
    """Whether the caller asked for the usage so far in every chunk."""
    dialect: Dialect = PLAIN
    """How the provider that it goes to differs from others of its API."""

    def at(self, dialect: Dialect) -> "CallRequest":
        """The same request, at a provider of this dialect."""
        return CallRequest(
            self.model,
            self.streamed,
            self.usage_wanted,
            self.asked,
            self.usage_each_wanted,
            dialect,
        )


def unbounded(feature: str, why: str) -> BadRequestError:
    """The refusal of a feature whose cost has no bound, or no price."""
    return BadRequestError(
        f"{feature} is not let through: {why}. Take it out of the request.",
        feature,
        Reason.UNBOUNDED_FEATURE,
    )


def read_object(value: Any) -> dict[str, Any]:
    """The request's body, which must be a JSON object."""
    if type(value) is not dict:
        raise BadRequestError("the body must be a JSON object")
    for name in value:
        folded = name.casefold()
        if folded in _DECIDING and name not in _DECIDING:
            # A reader that ignores case would take it for the field that the bound rests on; some
            # fold as Unicode does, to which a long s is an s.
            raise BadRequestError(f"write {folded} in small letters", folded)
    return value


def marked_caches(value: Mapping[str, Any], body: bytes) -> str:
    """The dearest kind of cache write that a cache_control in the request may lead to, or ""."""
    if b"\\u" in body:
        body = strict_json.write(value)
    if b'"cache_control"' not in body:
        return ""
    return kinds.CACHE_WRITE_LONG if b'"1h"' in body else kinds.CACHE_WRITE


def read_model(value: Mapping[str, Any]) -> str:
    """The model, which every request must name."""
    model = value.get("model")
    if type(model) is not str or not model:
        raise BadRequestError("you must name a model, as a text in the field model", "model")
    if len(model) > MODEL_MAX_CHARACTERS:
        raise BadRequestError("the model's name is too long", "model")
    return model


def read_flag(value: Mapping[str, Any], name: str) -> bool:
    """A boolean; absent and null mean false."""
    flag = value.get(name)
    if flag is None:
        return False
    if type(flag) is not bool:
        raise BadRequestError(f"{name} must be true or false", name)
    return flag


def read_count(value: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """A whole number within bounds; None when absent or null."""
    count = value.get(name)
    if count is None:
        return None
    if type(count) is not int or not least <= count <= most:
        raise BadRequestError(f"{name} must be a whole number from {least} to {most}", name)
    return count


def read_list(value: Mapping[str, Any], name: str) -> list[Any]:
    """A list; absent and null mean empty."""
    items = value.get(name)
    if items is None:
        return []
    if type(items) is not list:
        raise BadRequestError(f"{name} must be a list", name)
    return items


def is_given(value: Mapping[str, Any], name: str) -> bool:
    """Whether a field says anything. An empty object does: it switches a feature on."""
    return value.get(name) not in (None, "", [], False)


def growth_of(value: Any, body: bytes) -> int:
    """By how much the texts of a request may grow when they are normalised."""
    if b"\\u" in body:
        body = strict_json.write(value)
    return expanded_bytes(body.decode("utf-8"))


def text_bytes(value: Any) -> int:
    """UTF-8 bytes of all texts in a value, at any depth."""
    total = 0
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is str:
            total += len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
        elif type(item) is dict:
            pending.extend(item.values())
        elif type(item) is list:
            pending.extend(item)
    return total


def with_members(value: dict[str, Any], body: bytes, members: Mapping[str, Any]) -> bytes:
    """The body with these members set; bytes that need not change are kept as they are."""
    for name, member in members.items():
        if name in value:
            return strict_json.write({**value, **members})
        body = strict_json.with_member(body, name, member)
    return body


def as_it_came(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body of a request that goes to its provider unchanged."""
    del value, request, provider, output_limit
    return body


def told_object(data: bytes) -> dict[str, Any]:
    """The JSON object that a provider sent; an empty one when it is none."""
    # Money and lengths are told in fractions, which a float would not keep; parsing all as such
    # costs time.
    exact = _fraction if b'"cost' in data or b'"seconds"' in data else None
    try:
        value = json.loads(data, parse_float=exact)
    except (ValueError, RecursionError):
        return {}
    return value if type(value) is dict else {}


def _fraction(text: str) -> Decimal:
    """A fraction as it was written; infinite, and so not believed, when it cannot be one."""
    if len(text) > _FRACTION_MAX_CHARACTERS:
        return _INFINITY
    try:
        return Decimal(text)
    except ArithmeticError:
        return _INFINITY


def count_of(value: Mapping[str, Any], name: str) -> int:
    """A count that a provider reported; 0 when absent, null, or nothing that can be believed."""
    count = value.get(name)
    return count if type(count) is int and 0 < count <= COUNT_MAX_UNITS else 0


def unbelieved_counts(
    value: Mapping[str, Any], names: tuple[str, ...], prefix: str = ""
) -> tuple[str, ...]:
    """Which of these counts are told, and are none: texts, fractions, below zero, or absurd."""
    return tuple(
        prefix + name
        for name in names
        if (count := value.get(name)) is not None
        and not (type(count) is int and 0 <= count <= COUNT_MAX_UNITS)
    )


def told_text(value: Any, characters_max: int) -> str:
    """A text that a provider told, cut, and with nothing in it that the ledger cannot hold."""
    if type(value) is not str:
        return ""
    cut = value[:characters_max]
    if cut.isprintable():
        return cut
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


def told_money(usage: Mapping[str, Any]) -> dict[str, int]:
    """What a usage says in money, by how it says so; nano-dollars, rounded up."""
    told: dict[str, int] = {}
    ticks = usage.get("cost_in_usd_ticks")
    if type(ticks) is int and 0 <= ticks <= _TICKS_MAX:
        told[Money.TICKS.value] = -(-ticks // _TICKS_PER_NANO_USD)
    total = _nano_usd(part_of(usage, "cost").get("total_cost"))
    if total is not None:
        told[Money.TOTAL.value] = total
    cost = _nano_usd(usage.get("cost"))
    if usage.get("is_byok") is True:
        upstream = _nano_usd(part_of(usage, "cost_details").get("upstream_inference_cost"))
        cost = None if cost is None or upstream is None else cost + upstream
    if cost is not None:
        told[Money.CREDITS.value] = cost
    return told


def unread_money(usage: Mapping[str, Any]) -> tuple[str, ...]:
    """A cost that is told in parts: only who is known to tell one is charged by it."""
    return ("cost",) if type(usage.get("cost")) is dict else ()


def _nano_usd(usd: Any) -> int | None:
    """Dollars as nano-dollars, rounded up; None when it is no amount that can be believed."""
    if type(usd) is int:
        usd = Decimal(usd)
    if type(usd) is not Decimal or not usd.is_finite() or not 0 <= usd <= _COST_MAX_USD:
        return None
    if usd and usd.adjusted() < _COST_LEAST_EXPONENT:
        return 1
    above, below = usd.as_integer_ratio()
    assert type(above) is int
    return -(-above * NANO_PER_USD // below)


def part_of(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that a provider reported; empty when absent or null."""
    part = value.get(name)
    return part if type(part) is dict else {}


def unknown_counts(
    value: Mapping[str, Any], known: frozenset[str], prefix: str = ""
) -> tuple[str, ...]:
    """The names of numbers that are not zero and that nobody knows what they mean."""
    if known.issuperset(value):
        return ()
    found: list[str] = []
    for name, item in value.items():
        kind = type(item)
        if kind is dict:
            if name not in known:
                found.extend(unknown_counts(item, frozenset(), f"{prefix}{name}."))
        elif kind in (int, float, Decimal) and item and name not in known:
            found.append(prefix + name)
    return tuple(found)
