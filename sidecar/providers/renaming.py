"""A request that asks for another model: only the name changes, byte for byte.

The name stands in a field of the body, in a field of a form, or in the path; Gemini's may stand in
the path and once more in the body, with `models/` before it.
"""

from dataclasses import replace

from sidecar.http import multipart, strict_json
from sidecar.http.routes import Route

_MODEL = "model"
_GEMINI_PREFIX = "models/"
_GEMINI_DEPTH = 3
"""A batch holds a list of requests, each of which may name its model."""


def renamed(
    body: bytes, route: Route, written: str, model: str, boundary: bytes | None
) -> tuple[bytes, Route]:
    """The body and the route of a request that named `written`, as it asks for `model`.

    `boundary` is that of a form; None where the body is JSON.
    """
    if boundary is not None:
        return multipart.with_text(body, boundary, _MODEL, model), route
    if route.model:
        names = {written: model, _GEMINI_PREFIX + written: _GEMINI_PREFIX + model}
        body, _ = strict_json.with_texts(body, _MODEL, names, _GEMINI_DEPTH)
        return body, replace(route, model=model)
    body, found = strict_json.with_texts(body, _MODEL, {written: model})
    if not found:
        # An API that names a model of its own where its caller names none.
        body = strict_json.with_member(body, _MODEL, model)
    return body, route
