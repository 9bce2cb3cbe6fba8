"""What differs between providers that speak the same API: one table of plain data.

A provider is known by its host, else by the name that the agency gave it: `vllm`, or `vllm-gpu-7`.
One that is not known at all speaks its family's API as documented, and is taken to bill cut streams
to their end.

Azure bills errors behind which it did work: what was filtered, prompts that are too long, and
requests that it did not finish in time (Microsoft's manage-costs.md and content-filter.md).

Who bills what of a stream whose caller hung up is as OpenRouter documents it of its providers (read
in 2026-11): some stop at once, the others run on and bill to the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from urllib.parse import urlsplit

from sidecar.http.surfaces import ANTHROPIC, GEMINI, OPENAI

DIALECTS_REMEMBERED = 256
"""Providers whose dialect is remembered; more are worked out again."""


class Abort(Enum):
    """What is done about a stream that nobody reads any more."""

    CANCEL = "cancel"
    """Its provider stops when the connection closes: close it, settle what was seen."""
    DRAIN = "drain"
    """Its provider runs on and bills to the end: read on until it tells what it used."""


class Secret(Enum):
    """The header in which a provider takes its secret."""

    BEARER = "authorization: Bearer "
    X_API_KEY = "x-api-key: "
    GOOGLE = "x-goog-api-key: "
    AZURE = "api-key: "


class Money(Enum):
    """How a provider tells what a call cost, in money."""

    UNTOLD = "untold"
    TICKS = "ticks"
    """`usage.cost_in_usd_ticks`, in 1e-10 dollars."""
    TOTAL = "total"
    """`usage.cost.total_cost`, in dollars."""
    CREDITS = "credits"
    """`usage.cost`, in dollars; of a caller's own key the upstream's cost is added."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider differs."""

    name: str
    """Its name in this table; a provider without a known host goes by it."""
    hosts: tuple[str, ...] = ()
    """Where it is: a host, or with a dot in front whatever lies below it."""
    secret: Secret = Secret.BEARER
    abort: Abort = Abort.DRAIN
    output_field: str = "max_tokens"
    """Where a limit on the output of a chat goes. Whoever reads the new field reads the old one,
    too, where a request has that alone; not so the other way round."""
    asks_usage: bool = True
    """Whether a streamed chat tells its usage only when asked; some refuse to be asked."""
    tells_each_chunk: bool = False
    """Whether it can be asked for the usage so far with every chunk, so that nothing is lost when
    a stream is cut; what was not asked for is taken out again."""
    sets_tier: bool = False
    """Whether a request without a tier gets one from the account's settings, at its price."""
    money: Money = Money.UNTOLD
    billed_errors: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """Errors that it may bill, by status: their kinds, or none where it is all with that status."""
    root: str = "/v1"
    """What its paths have in place of OpenAI's /v1, where its base URL has no path."""


_NEW_LIMIT = "max_completion_tokens"
_FILTERED_OR_TOO_LONG = (
    *("content_filter", "contentFilter", "content_policy_violation", "context_length_exceeded"),
)
DIALECTS = (
    Dialect(
        OPENAI,
        ("api.openai.com", ".api.openai.com"),
        abort=Abort.CANCEL,
        output_field=_NEW_LIMIT,
        sets_tier=True,
    ),
    Dialect(ANTHROPIC, ("api.anthropic.com",), secret=Secret.X_API_KEY, abort=Abort.CANCEL),
    Dialect(GEMINI, ("generativelanguage.googleapis.com",), secret=Secret.GOOGLE),
    Dialect(
        "azure",
        (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
        secret=Secret.AZURE,
        abort=Abort.CANCEL,
        output_field=_NEW_LIMIT,
        billed_errors={400: frozenset(_FILTERED_OR_TOO_LONG), 408: frozenset()},
        root="/openai/v1",
    ),
    Dialect(
        "openrouter",
        ("openrouter.ai",),
        asks_usage=False,
        money=Money.CREDITS,
        root="/api/v1",
    ),
    Dialect("mistral", ("api.mistral.ai",), asks_usage=False),
    Dialect("groq", ("api.groq.com",), output_field=_NEW_LIMIT, root="/openai/v1"),
    Dialect("deepseek", ("api.deepseek.com",), abort=Abort.CANCEL),
    Dialect(
        "xai",
        ("api.x.ai", ".api.x.ai"),
        abort=Abort.CANCEL,
        output_field=_NEW_LIMIT,
        money=Money.TICKS,
    ),
    Dialect("together", ("api.together.xyz", "api.together.ai"), abort=Abort.CANCEL),
    Dialect("fireworks", ("api.fireworks.ai",), abort=Abort.CANCEL, root="/inference/v1"),
    Dialect(
        "perplexity",
        ("api.perplexity.ai",),
        asks_usage=False,
        money=Money.TOTAL,
        root="",
    ),
    Dialect("ollama", abort=Abort.CANCEL),
    Dialect("llamacpp", abort=Abort.CANCEL),
    Dialect("vllm", abort=Abort.CANCEL, tells_each_chunk=True),
)
"""Every provider that is known to differ, and those that are not known to bill cut streams."""
_BY_NAME = {dialect.name: dialect for dialect in DIALECTS}
_BY_HOST = {host: dialect for dialect in DIALECTS for host in dialect.hosts}
_UNKNOWN = {
    OPENAI: Dialect(""),
    ANTHROPIC: Dialect("", secret=Secret.X_API_KEY),
    GEMINI: Dialect("", secret=Secret.GOOGLE),
}
"""A provider that nothing is known of but whose API it speaks."""
PLAIN = _UNKNOWN[OPENAI]
GEMINI_AS_OPENAI = Dialect("gemini-openai", root="/v1beta/openai")
"""Gemini's models behind OpenAI's API, at the same host."""
AZURE = _BY_NAME["azure"]


def named(name: str) -> Dialect:
    """The dialect of this name; of a name that is not known, OpenAI's API as documented."""
    return GEMINI_AS_OPENAI if name == GEMINI_AS_OPENAI.name else _BY_NAME.get(name, PLAIN)


@lru_cache(maxsize=DIALECTS_REMEMBERED)
def dialect_of(name: str, family: str, base_url: str, spoken: str = "") -> Dialect:
    """How a provider of this name and family, at this address, is to be spoken to.

    `spoken` is the family whose API is called, when that may be another than the provider's own.
    """
    host = (urlsplit(base_url).hostname or "").lower()
    found = _BY_HOST.get(host) or _BY_HOST.get("." + host.partition(".")[2])
    if found is None:
        found = _BY_NAME.get(name) or _BY_NAME.get(name.partition("-")[0])
    if found is None:
        found = _UNKNOWN.get(family, PLAIN)
    if (spoken or family) == OPENAI and GEMINI in (family, found.name):
        return GEMINI_AS_OPENAI
    return found
