"""What a request target means: an exact list of what is served, and prefixes for attribution.

Rules:
1. The raw target is matched; nothing is normalised, so that no two readers can differ. Doubled
   slashes, dots, backslashes and escapes are refused outside of a label.
2. What is not on the list is refused by name and never forwarded: a path that is not metered could
   cost money that no budget counts.

    /w/<label>/v1/...      the workflow that the call belongs to
    /p/<provider>/v1/...   the provider that it goes to, where its path is shared
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from protos.values.ids import label_from_text
from protos.values.quick import quick
from sidecar.http import limits
from sidecar.http.surfaces import ANTHROPIC, GEMINI, OPENAI, ROOTS, SURFACES, Kind, Surface
from sidecar.http.unserved import reason_for

_MODEL_MARK = "{model}"
_BY_PATH = {surface.value: surface for surface in Surface if _MODEL_MARK not in surface.value}
_MODEL = r"(?P<model>[A-Za-z0-9._~:@-]+(?:/[A-Za-z0-9._~:@-]+)*)"
_BY_PATTERN = tuple(
    (re.compile(_MODEL.join(map(re.escape, surface.value.split(_MODEL_MARK))) + r"\Z"), surface)
    for surface in Surface
    if _MODEL_MARK in surface.value
)
_TAKEN = {
    surface: frozenset((b"POST", b"OPTIONS"))
    if row.method == "POST"
    else frozenset((b"GET", b"HEAD", b"OPTIONS"))
    for surface, row in SURFACES.items()
}
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+\Z")
_QUERY = re.compile(r"[A-Za-z0-9._~=&,+:-]*\Z")
_CREDENTIAL = re.compile(r"(?:\A|&)(?:key|api[_-]?key|access_token|token|auth)=", re.IGNORECASE)
"""A key in an address ends in histories and logs; and here it would go on to the provider."""
_FAMILY_HINTS = (
    ("/v1/messages", ANTHROPIC),
    ("/v1/complete", ANTHROPIC),
    ("/v1beta/openai/", OPENAI),
    ("/v1beta/", GEMINI),
)
_GEMINI_ROOT, _GEMINI_STABLE = "/v1beta", "/v1"
_GEMINI_METHODS = tuple(
    f":{surface.value.rpartition(':')[2]}"
    for surface in Surface
    if surface.value.startswith(f"{_GEMINI_ROOT}/models/") and ":" in surface.value
)
_GEMINI_QUERY = {"alt": ("sse", "json"), "prettyPrint": ("true", "false")}
"""What a query may say to Gemini: others could take the usage out of the answer."""


@quick
@dataclass(frozen=True, slots=True)
class Route:
    """Where a request is meant to go."""

    surface: Surface
    label: str = ""
    """The workflow that the path names; may be empty."""
    provider: str = ""
    """The provider that the path names; may be empty."""
    model: str = ""
    """The model that the path names; may be empty."""
    query: str = ""
    """What follows the question mark, as it goes on to the provider."""
    key: str = field(default="", repr=False)
    """The key in the query, where the API takes one there; it never goes on."""
    version: str = ""
    """The version of Gemini's API that the path names, where it is not the surface's own."""

    @property
    def path(self) -> str:
        """The path without prefixes, as the provider is asked for it."""
        path = self.surface.value.replace(_MODEL_MARK, self.model)
        return self.version + path.removeprefix(_GEMINI_ROOT) if self.version else path


class NoRouteError(Exception):
    """The target is none that is served."""

    def __init__(self, status: int, code: str, message: str, allow: str = "") -> None:
        """Take the HTTP status, the error's code, words, and the methods that would be allowed."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.allow = allow


def _refuse_path(path: str) -> NoRouteError:
    shown = path[:200]
    reason = reason_for(path)
    if reason:
        return NoRouteError(403, "endpoint_not_allowed", f"{shown} is not served: {reason}.")
    hint = ""
    if "/v1" + path in _BY_PATH:
        hint = " Put /v1 at the end of the base URL."
    elif path.startswith("/v1/v1/"):
        hint = " Take /v1 off the end of the base URL."
    return NoRouteError(
        403,
        "endpoint_not_allowed",
        f"{shown} is not served: its cost could not be metered. Served are "
        f"{', '.join(Surface)}.{hint}",
    )


def _malformed(message: str) -> NoRouteError:
    return NoRouteError(400, "invalid_request", message)


def route(method: bytes, target: bytes) -> Route:
    """What a request asks for. Raises NoRouteError."""
    if len(target) > limits.TARGET_MAX_BYTES:
        raise _malformed(f"the request target is longer than {limits.TARGET_MAX_BYTES} bytes")
    if not target.isascii():
        raise _malformed("the request target must be ASCII; escape other characters")
    whole = target.decode("ascii")
    if whole == "*" and method == b"OPTIONS":
        return Route(Surface.HEALTH)
    path, _, query = whole.partition("?")
    if not path.startswith("/"):
        raise _malformed("the request target must be a path; this is no forward proxy")
    label, provider, path = _prefixes(path)
    version = _GEMINI_STABLE if is_gemini_v1(path) else ""
    surface, model = _surface(_GEMINI_ROOT + path.removeprefix(version) if version else path)
    if _QUERY.match(query) is None:
        raise _malformed("the query holds characters that are not taken")
    key = ""
    if SURFACES[surface].family == GEMINI:
        key, query = _gemini_query(surface, query)
    elif _CREDENTIAL.search(query) is not None:
        raise _malformed("a key is sent as Authorization: Bearer or as x-api-key, not in the query")
    if method not in _TAKEN[surface]:
        if reason_for(path):
            raise _refuse_path(path)
        methods = methods_of(surface)
        shown = method.decode("ascii", "replace")
        raise NoRouteError(
            405, "method_not_allowed", f"{path} takes {methods}, not {shown}", methods
        )
    return Route(surface, label, provider, model, query, key, version)


def is_gemini_v1(path: str) -> bool:
    """Whether a path is one of Gemini's under /v1, where its SDKs look for them too."""
    return path.startswith(f"{_GEMINI_STABLE}/models/") and path.endswith(_GEMINI_METHODS)


def _gemini_query(surface: Surface, query: str) -> tuple[str, str]:
    """The key in a query to Gemini, and what is left to go on. Raises NoRouteError."""
    key = ""
    kept: list[str] = []
    seen: set[str] = set()
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name in seen:
            raise _malformed(f"the query holds {name[:32]} twice")
        seen.add(name)
        if name == "key":
            key = value
        elif SURFACES[surface].kind is Kind.LOCAL:
            continue
        elif value in _GEMINI_QUERY.get(name, ()):
            kept.append(part)
        else:
            raise _malformed(f"the query may not hold {name[:32]} with this value")
    return key, "&".join(kept)


def methods_of(surface: Surface) -> str:
    """What the header Allow says of a surface."""
    return "POST, OPTIONS" if b"POST" in _TAKEN[surface] else "GET, HEAD, OPTIONS"


def _prefixes(path: str) -> tuple[str, str, str]:
    """Take /w/<label> and /p/<provider> off the front, each at most once, in any order."""
    label = provider = ""
    while True:
        if path.startswith("/w/") and not label:
            raw, slash, rest = path[3:].partition("/")
            label = _label(raw)
        elif path.startswith("/p/") and not provider:
            provider, slash, rest = path[3:].partition("/")
            if _SEGMENT.match(provider) is None:
                raise _malformed("/p/ must be followed by a provider's name")
        else:
            return label, provider, path
        path = slash + rest


def _label(raw: str) -> str:
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("the workflow in the path is not UTF-8") from None
    label = label_from_text(text)
    if not label:
        raise _malformed("/w/ must be followed by a workflow's name with at least one letter")
    return label


def _surface(path: str) -> tuple[Surface, str]:
    for root in ROOTS:
        if path.startswith(root) and "/v1/" + path.removeprefix(root) in _BY_PATH:
            path = "/v1/" + path.removeprefix(root)
    known = _BY_PATH.get(path)
    if known is not None:
        return known, ""
    for pattern, surface in _BY_PATTERN:
        match = pattern.match(path)
        if match is not None and ".." not in match["model"]:
            return surface, match["model"]
    raise _refuse_path(path)


def family_of(target: bytes, values: dict[bytes, bytes]) -> str:
    """The API family whose envelope a caller is most likely to understand."""
    path = target.decode("latin-1").partition("?")[0]
    for hint, family in _FAMILY_HINTS:
        if hint in path:
            return family
    if path.endswith(_GEMINI_METHODS):
        return GEMINI
    if "/chat/" in path or path.endswith(Surface.EMBEDDINGS.value):
        return OPENAI
    if b"x-goog-api-key" in values:
        return GEMINI
    if b"anthropic-version" in values or b"x-api-key" in values:
        return ANTHROPIC
    return OPENAI
