"""Tools in requests to OpenAI's Responses API: whose each is, and what it can cost.

A tool that the caller runs costs its schema. One that the provider runs makes the model read the
whole conversation once more at each call, and most have a fee of their own; so it is let through
only where `max_tool_calls` says how many calls there can be and the price book says what one costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protos.values import quantities as kinds
from sidecar.core.refusals import Reason
from sidecar.limits import HOSTED_CALLS_MAX
from sidecar.providers import reading
from sidecar.providers.reading import BadRequestError, unbounded

PREAMBLE_TOKENS = 1_024
"""What the provider adds for a tool whose schema it knows, where nobody sees it."""

_LIMIT = "max_tool_calls"
_CALLERS = frozenset(("function", "custom"))
_KNOWN_SCHEMAS = frozenset(("local_shell", "apply_patch"))
_SEARCHES = (
    ("web_search", kinds.WEB_SEARCH),
    ("file_search", kinds.FILE_SEARCH),
)
_REFUSED = {
    "mcp": "its server's tools run past the sidecar, without a bound on what the model reads",
    "code_interpreter": "its container is billed by itself, and no usage tells of it",
    "image_generation": "the images are another model's, and nothing bounds their tokens",
    "computer": "the screens that it looks at have no bound",
    "programmatic_tool_calling": "its program runs in a container that no usage tells of",
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What the tools of a request can cost beside their schemas."""

    preamble_tokens: int = 0
    """What the provider adds to the prompt."""
    searches: frozenset[str] = frozenset()
    """The kinds of search that the provider may run."""


def read_tools(value: Mapping[str, Any]) -> Tools:
    """What the tools of a request can cost. Raises BadRequestError."""
    preamble_tokens = 0
    searches: set[str] = set()
    pending = list(reading.read_list(value, "tools"))
    while pending:
        tool = pending.pop()
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is not str:
            raise BadRequestError("each of tools must be an object with a type", "tools")
        search = next((found for start, found in _SEARCHES if kind.startswith(start)), None)
        if kind == "namespace":
            pending.extend(reading.read_list(tool, "tools"))
        elif kind in _KNOWN_SCHEMAS:
            preamble_tokens += PREAMBLE_TOKENS
        elif search is not None:
            preamble_tokens += PREAMBLE_TOKENS
            searches.add(search)
        elif kind not in _CALLERS and not _run_by_caller(tool, kind):
            raise _refusal(kind)
    return Tools(preamble_tokens, frozenset(searches))


def _run_by_caller(tool: Mapping[str, Any], kind: str) -> bool:
    """Whether a tool that may run on either side runs at the caller's."""
    if kind == "tool_search":
        return tool.get("execution") == "client"
    environment = tool.get("environment")
    return kind == "shell" and type(environment) is dict and environment.get("type") == "local"


def _refusal(kind: str) -> BadRequestError:
    why = next(
        (why for start, why in _REFUSED.items() if kind.startswith(start)),
        "it runs at the provider, without a bound",
    )
    return unbounded(f"the tool {kind[:64]}", why)


def with_allowance(value: dict[str, Any], body: bytes, calls: int) -> tuple[dict[str, Any], bytes]:
    """The request with a limit on calls of hosted tools, where it may make some and names none.

    Raises BadRequestError.
    """
    if value.get(_LIMIT) is not None or not read_tools(value).searches:
        return value, body
    return {**value, _LIMIT: calls}, reading.with_members(value, body, {_LIMIT: calls})


def hosted_calls(value: Mapping[str, Any], tools: Tools) -> int:
    """How often the provider may call its own tools. Raises BadRequestError."""
    most = reading.read_count(value, _LIMIT, 1, HOSTED_CALLS_MAX)
    if not tools.searches:
        return 0
    if most is None:
        raise BadRequestError(
            "nothing bounds how often the model searches: say so in max_tool_calls, or let your "
            "agency grant a number (bursar client allow)",
            _LIMIT,
            Reason.UNBOUNDED_FEATURE,
        )
    return most
