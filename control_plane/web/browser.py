"""What a browser is held to: its cookie, where a form came from, and how large it may be.

1. The session's text is in a cookie that no script can read, sent only to this host, and only with
   requests that this site or a link began (SameSite=Lax). Over TLS its name begins with `__Host-`.
2. A form is taken only from a page of this very origin: `Origin` must be ours, or, where a browser
   sends none, `Sec-Fetch-Site` must say so. And it must carry what only a page of this session has.
3. Nothing is ever changed by GET: link scanners and prefetching browsers follow links.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from control_plane import limits
from control_plane.core import fields
from control_plane.core.sessions import form_proof
from protos.values.errors import PermissionDeniedError
from protos.values.listening import host_of_authority

PROOF_FIELD = "proof"
"""The field of every form that proves its session."""
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}
"""What every answer carries."""
TLS_HEADERS: Mapping[str, str] = {"strict-transport-security": "max-age=31536000"}


def cookie_name(*, secure: bool) -> str:
    """What the session's cookie is called."""
    return "__Host-bursar" if secure else "bursar"


def session_of(request: Request, *, secure: bool) -> str:
    """The text of the browser's session; "" when it has none."""
    return request.cookies.get(cookie_name(secure=secure), "")


def keep_session(response: Response, text: str, *, secure: bool) -> None:
    """Give the browser its session; it ends at the server, so the cookie may live on."""
    response.set_cookie(
        cookie_name(secure=secure),
        text,
        max_age=limits.SESSION_LIFE_MS // 1_000,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def drop_session(response: Response, *, secure: bool) -> None:
    """Take the browser's session away."""
    response.delete_cookie(
        cookie_name(secure=secure), path="/", secure=secure, httponly=True, samesite="lax"
    )


def check_origin(request: Request, *, secure: bool) -> None:
    """Refuse a form that no page of this origin sent."""
    scheme = "https" if secure else "http"
    origin = request.headers.get("origin", "")
    if origin:
        try:
            told = urlsplit(origin)
            same = (told.scheme, told.netloc.lower()) == (
                scheme,
                request.headers.get("host", "").lower(),
            )
        except ValueError:
            same = False
    else:
        same = request.headers.get("sec-fetch-site", "") == "same-origin"
    if not same and request.headers.get("sec-fetch-site", "") == "same-origin":
        raise PermissionDeniedError(
            "a proxy before the desk changes the Host header, so this form seems to come from "
            "another site: let the proxy pass Host on as it is, and name the address that "
            "browsers use with --web-url when the control plane is started"
        )
    if not same:
        raise PermissionDeniedError(
            "this form came from another site: open the desk itself and do it there"
        )


def check_proof(form: Mapping[str, str], session_text: str) -> None:
    """Refuse a form that was made for another session."""
    if not hmac.compare_digest(
        form.get(PROOF_FIELD, "").encode(), form_proof(session_text).encode()
    ):
        raise PermissionDeniedError(
            "this form is from another session: load the page again, then do it again"
        )


def is_host_known(request: Request, hosts: frozenset[str]) -> bool:
    """Whether the browser names this server by one of its own names."""
    return host_of_authority(request.headers.get("host", "")) in hosts


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form that was sent, within bounds. Of a name that comes twice the last."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise fields.invalid("content-type", "send a form")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limits.FORM_BYTES_MAX:
            raise fields.invalid("form", f"at most {limits.FORM_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=limits.FORM_FIELDS_MAX,
        )
    except ValueError:
        raise fields.invalid("form", "cannot be read: load the page again") from None
    return dict(pairs)


def address_of(request: Request) -> str:
    """Where a request comes from, to count attempts by."""
    return request.client.host if request.client is not None else ""
