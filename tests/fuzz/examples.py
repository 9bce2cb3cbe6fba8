"""What each target's fuzzing begins from."""

from sidecar.http.surfaces import Surface
from tests.fuzz.mangled import answers, requests

_HEADS = (
    b" POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b" POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b" HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b" HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)
_FORM = b'--x\r\nContent-Disposition: form-data; name="a[]"; filename="b"\r\n\r\nc\r\n--x--\r\n'
_OTHERS = {
    "caller's bytes": _HEADS,
    "provider's bytes": _HEADS,
    "form": (_FORM,),
    "route": (
        b"/w/a%20b/p/openai/v1/chat/completions",
        b"/v1beta/models/m:generateContent?alt=sse",
    ),
    "inflate": (b"x\x9cK\x04\x00\x00b\x00b", b"\x1f\x8b\x08\x00"),
    "media": (b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAI=", b"RIFF....WAVEfmt ", b"ID3"),
    "json": (b'{"a":[1,-1.5e3,"\\u00e9\\ud83d\\ude00",null,true]}',),
}


def examples_of(target: str) -> tuple[bytes, ...]:
    """Bytes that a target takes, or nearly does."""
    kind, _, path = target.partition(" ")
    if kind == "request":
        return requests().get(Surface(path), (b'{"model":"m"}',))
    return _OTHERS.get(target) or answers()
