"""Which headers travel on: an allow-list towards providers, a deny-list towards callers.

Towards a provider only what is known to be meant for it goes on: never the caller's credentials,
cookies, host or addresses, never the trace that its call is part of, never our own headers.
Towards the caller everything goes on but what belongs to one connection, tells of the agency's
account, or would steer a browser.
"""

from collections.abc import Iterable, Mapping

from sidecar.http.plain_heads import Header

_TO_PROVIDER = frozenset(
    (
        *(b"accept", b"user-agent", b"accept-language"),
        *(b"idempotency-key", b"x-client-request-id", b"x-request-id"),
        *(b"anthropic-version", b"anthropic-beta", b"openai-beta", b"openai-platform"),
        *(b"x-goog-api-client", b"x-server-timeout"),
        *(b"anthropic-dangerous-direct-browser-access", b"x-app"),
    )
)
_TO_PROVIDER_PREFIX = b"x-stainless-"

HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization"),
        *(b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    )
)
_NOT_TO_CALLER = HOP_BY_HOP | frozenset(
    (
        *(b"content-length", b"content-encoding", b"set-cookie", b"set-cookie2", b"alt-svc"),
        *(b"openai-organization", b"openai-project", b"anthropic-organization-id"),
        *(b"strict-transport-security", b"access-control-allow-origin", b"location"),
    )
)
_OUR_PREFIX = b"x-bursar-"


def to_provider(headers: Iterable[Header], connection: bytes | None) -> list[Header]:
    """The caller's headers that a provider is to see; `connection` is that header's value."""
    named = _named_by(connection) if connection else None
    return [
        header
        for header in headers
        if (header[0] in _TO_PROVIDER or header[0].startswith(_TO_PROVIDER_PREFIX))
        and (named is None or header[0] not in named)
    ]


def to_caller(headers: Iterable[Header], connection: bytes | None) -> list[Header]:
    """The provider's headers that the caller is to see; `connection` is that header's value."""
    named = _named_by(connection) if connection else None
    return [
        header
        for header in headers
        if header[0] not in _NOT_TO_CALLER
        and not header[0].startswith(_OUR_PREFIX)
        and (named is None or header[0] not in named)
    ]


def _named_by(connection: bytes) -> frozenset[bytes]:
    return frozenset(name.strip() for name in connection.lower().split(b","))


_KEY_HEADERS = (b"x-api-key", b"x-goog-api-key", b"api-key")


def key_text(values: dict[bytes, bytes], in_query: str = "") -> str:
    """The gateway key that a request carries, in whichever of the places where APIs take one.

    Authorization: Bearer, x-api-key, x-goog-api-key, api-key, or the query, where the route lets
    it; "" for none. Several at once must agree. Raises ValueError when they do not.
    """
    scheme, _, credentials = values.get(b"authorization", b"").partition(b" ")
    found = {credentials.strip()} if scheme.lower() == b"bearer" else set()
    found.update(values[name].strip() for name in _KEY_HEADERS if name in values)
    found.add(in_query.encode("latin-1"))
    found.discard(b"")
    if len(found) > 1:
        raise ValueError("the request carries different keys in different places")
    return found.pop().decode("latin-1") if found else ""


def retry_after_ms(values: Mapping[bytes, bytes]) -> int | None:
    """When a provider says to come again, in milliseconds from now; None when it does not say.

    Of the two forms that the header has, the date is not read: it would be held to a clock that is
    not ours.
    """
    told = values.get(b"retry-after", b"").strip()
    return int(told) * 1_000 if told.isdigit() and len(told) < 8 else None
