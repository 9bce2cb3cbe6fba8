"""Multipart forms that can be read in one way only.

A budget is held for what this program read; the provider bills what *it* read. Readers of forms
differ in what they forgive, so nothing is forgiven here:

1. The form begins with its first delimiter and ends with its last. No preamble, no epilogue.
2. The text of the delimiter stands nowhere but in delimiters, not even inside of a file: a reader
   that takes a bare LF for a line end would begin a part there.
3. Every part names a field, in plain letters; a field is given once. Only `name[]` is a list.
4. Encodings of a part (base64, quoted-printable) and characters that are not UTF-8 are refused.

The body is whole before it is read, so it does not matter how it was cut on its way; files are not
copied out of it.
"""

import re
from dataclasses import dataclass, field

from sidecar.http import limits

_MEDIA_TYPE = b"multipart/form-data"
_BOUNDARY = re.compile(
    rb"""\A[ \t]*multipart/form-data[ \t]*;[ \t]*boundary=(?:"([^"\\]{1,70})"|([^\s;"]{1,70}))"""
    rb"""[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?\Z""",
    re.IGNORECASE,
)
_BOUNDARY_TEXT = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]\Z")
"""RFC 2046, section 5.1.1."""
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*\Z")
_PARAMETER = re.compile(
    r""";[ \t]*([A-Za-z]+\*?)=(?:"((?:[^"\\]|\\["\\])*)"|([!#$&'*+.^_`|~0-9A-Za-z%-]+))[ \t]*"""
)
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63})(\[\])?\Z")
_PLAIN_ENCODINGS = frozenset((b"binary", b"8bit", b"7bit"))
_CHARSET = re.compile(rb";[ \t]*charset[ \t]*=[ \t]*\"?([^\s;\"]+)", re.IGNORECASE)


class BadFormError(ValueError):
    """The body is no form, or could be read in two ways; with words for the one who sent it."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a form, as a place in its body."""

    field: str
    """The field that it was given for, without `[]`."""
    name: str
    """What its sender calls it; may be empty."""
    content_type: str
    """What its sender says it is; may be empty."""
    start: int
    """Where it begins in the body."""
    end: int
    """Where it ends."""

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return self.end - self.start


@dataclass(slots=True)
class Form:
    """A form: texts by field, and files in the order they came."""

    texts: dict[str, str] = field(default_factory=dict)
    """The fields that were given once."""
    lists: dict[str, list[str]] = field(default_factory=dict)
    """The texts that were given for `name[]`, by the name alone."""
    files: list[File] = field(default_factory=list)


def is_form(content_type: bytes) -> bool:
    """Whether a Content-Type says that the body is a form."""
    return content_type.partition(b";")[0].strip().lower() == _MEDIA_TYPE


def boundary_of(content_type: bytes) -> bytes:
    """The boundary in a Content-Type. Raises BadFormError."""
    found = _BOUNDARY.match(content_type)
    boundary = (found[1] or found[2]) if found is not None else b""
    if not boundary or _BOUNDARY_TEXT.match(boundary) is None:
        raise BadFormError("Content-Type must be multipart/form-data with one plain boundary")
    return boundary


def read(body: bytes, boundary: bytes) -> Form:
    """The form in a body. Raises BadFormError."""
    form = Form()
    given: dict[str, str] = {}
    for start, end in _parts(body, b"--" + boundary):
        part = _read_part(body, start, end)
        # Readers differ in whether case matters, and whether x and x[] are the same field.
        known = given.setdefault(part.field.lower(), part.written)
        if known is not part.written and not (part.listed and known == part.written):
            raise BadFormError(f"the field {part.field} is given twice")
        if part.file_name is not None:
            form.files.append(
                File(part.field, part.file_name, part.content_type, part.start, part.end)
            )
        elif part.listed:
            form.lists.setdefault(part.field, []).append(_text(body, part))
        else:
            form.texts[part.field] = _text(body, part)
    return form


def with_text(body: bytes, boundary: bytes, name: str, text: str) -> bytes:
    """The form with the text of a field exchanged; the rest stays byte for byte as it was.

    The body was read before: it is a good form. A text that holds the boundary would make it none,
    which shows when it is read again.
    """
    for start, end in _parts(body, b"--" + boundary):
        part = _read_part(body, start, end)
        if part.written == name and part.file_name is None:
            return body[: part.start] + text.encode() + body[part.end :]
    return body


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a form."""

    written: str
    """The field as it was written, `[]` and all."""
    field: str
    """The field without `[]`."""
    listed: bool
    """Whether `[]` says that it may come again."""
    file_name: str | None
    """None for a text."""
    content_type: str
    start: int
    end: int


def _parts(body: bytes, delimiter: bytes) -> list[tuple[int, int]]:
    """Where the parts lie, each with its headers."""
    if not body.startswith(delimiter):
        raise BadFormError("the body must begin with its boundary")
    found: list[tuple[int, int]] = []
    at = len(delimiter)
    while True:
        if body.startswith(b"--", at):
            if body[at + 2 : at + 5] not in (b"", b"\r\n"):
                raise BadFormError("something follows the last boundary")
            if not found:
                raise BadFormError("the form is empty")
            return found
        if not body.startswith(b"\r\n", at):
            raise BadFormError("a boundary must end its line, and stand nowhere else")
        following = body.find(delimiter, at)
        if following < 0:
            raise BadFormError("the last boundary is missing")
        # The CR LF in front of a delimiter belongs to it, not to the part.
        if following - 2 < at + 2 or not body.startswith(b"\r\n", following - 2):
            raise BadFormError("a boundary must begin its line, and stand nowhere else")
        if len(found) == limits.FORM_PARTS_MAX_PARTS:
            raise BadFormError(f"the form has more than {limits.FORM_PARTS_MAX_PARTS} parts")
        found.append((at + 2, following - 2))
        at = following + len(delimiter)


def _read_part(body: bytes, start: int, end: int) -> _Part:
    """One part, from the headers in front of it."""
    break_at = body.find(b"\r\n\r\n", start, min(end, start + limits.FORM_HEAD_MAX_BYTES))
    if break_at < 0:
        raise BadFormError(
            f"the headers of a part are missing, or exceed {limits.FORM_HEAD_MAX_BYTES} bytes"
        )
    headers: dict[bytes, bytes] = {}
    for line in body[start:break_at].split(b"\r\n"):
        header = _HEADER.match(line)
        if header is None:
            raise BadFormError("a header of a part is malformed")
        name = header[1].lower()
        if name in headers:
            raise BadFormError("a header of a part is given twice")
        headers[name] = header[2]
    encoding = headers.get(b"content-transfer-encoding", b"binary").lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise BadFormError("the parts of a form must be sent as they are, without an encoding")
    field_name, file_name = _disposition(headers.get(b"content-disposition", b""))
    named = _FIELD.match(field_name)
    if named is None:
        raise BadFormError(
            "a field's name must be plain letters, digits, and . _ - or [] at its end"
        )
    content_type = headers.get(b"content-type", b"")
    if file_name is None:
        charset = _CHARSET.search(content_type)
        if charset is not None and charset[1].lower() not in (b"utf-8", b"us-ascii"):
            raise BadFormError("the texts of a form must be UTF-8")
    return _Part(
        written=field_name,
        field=named[1],
        listed=named[2] is not None,
        file_name=file_name,
        content_type=content_type.decode("latin-1"),
        start=break_at + 4,
        end=end,
    )


def _disposition(value: bytes) -> tuple[str, str | None]:
    """The name and the file name in a Content-Disposition; each stands there once at most."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadFormError("a Content-Disposition is not UTF-8") from None
    kind, semicolon, _ = text.partition(";")
    if kind.strip().lower() != "form-data" or not semicolon:
        raise BadFormError("each part needs Content-Disposition: form-data with a name")
    parameters: dict[str, str] = {}
    at = len(kind)
    while at < len(text):
        parameter = _PARAMETER.match(text, at)
        if parameter is None or parameter[1].lower() in parameters:
            raise BadFormError("a Content-Disposition is malformed")
        quoted = parameter[2]
        parameters[parameter[1].lower()] = parameter[3] if quoted is None else quoted
        at = parameter.end()
    if "name" not in parameters or not parameters.keys() <= {"name", "filename", "filename*"}:
        raise BadFormError("a Content-Disposition must give a name, a filename, and nothing else")
    file_name = parameters.get("filename")
    return parameters["name"], "" if file_name is None and "filename*" in parameters else file_name


def _text(body: bytes, part: _Part) -> str:
    if part.end - part.start > limits.FORM_TEXT_MAX_BYTES:
        raise BadFormError(
            f"the field {part.field} is longer than {limits.FORM_TEXT_MAX_BYTES} bytes"
        )
    try:
        return body[part.start : part.end].decode("utf-8")
    except UnicodeDecodeError:
        raise BadFormError(f"the field {part.field} is not UTF-8") from None
