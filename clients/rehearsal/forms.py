"""What comes in as multipart/form-data: texts by field, and files."""

import re
from dataclasses import dataclass

from clients.rehearsal import limits
from clients.rehearsal.incoming import JsonObject, Refusal, Request

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(r'[; ]name="([^"]*)"')
_FILE_NAME = re.compile(r'[; ]filename\*?="?([^";]*)"?')
_WHOLE = ("n", "partial_images")
_FLAGS = ("stream",)


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a form."""

    name: str
    """What its sender calls it."""
    content: bytes
    """What is in it."""


def parse_form(request: Request) -> JsonObject:
    """Return a form as the JSON object it stands for; a field with files is a list of uploads."""
    kind = request.headers.get("content-type", "")
    boundary = _BOUNDARY.search(kind)
    if not kind.lower().startswith("multipart/form-data") or boundary is None:
        raise Refusal(415, "Unsupported content type: send multipart/form-data with a boundary")
    pieces = request.body.split(b"--" + boundary[1].encode("latin-1"))
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise Refusal(400, "Could not parse the multipart form")
    if len(pieces) > limits.FORM_PARTS_MAX:
        raise Refusal(400, "Too many parts in the multipart form")
    found: JsonObject = {}
    for piece in pieces[1:-1]:
        head, blank, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = head.decode("utf-8", "replace")
        named = _NAME.search(said)
        if not blank or named is None:
            raise Refusal(400, "A part of the multipart form has no name")
        _take(found, named[1].removesuffix("[]"), _FILE_NAME.search(said), content[:-2])
    return found


def _take(found: JsonObject, name: str, file_name: re.Match[str] | None, content: bytes) -> None:
    if file_name is not None:
        found.setdefault(name, []).append(Upload(file_name[1], content))
        return
    text = content.decode("utf-8", "replace")
    if name in _WHOLE and text.isdecimal():
        found[name] = int(text)
    elif name in _FLAGS and text in ("true", "false"):
        found[name] = text == "true"
    else:
        found[name] = text


def uploads(body: JsonObject, name: str) -> list[Upload]:
    """Return the files of a field."""
    given = body.get(name)
    return [each for each in given if isinstance(each, Upload)] if isinstance(given, list) else []
