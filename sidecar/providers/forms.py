"""A form as the fields that a JSON request would have; files stay where they lie in the body."""

import re
from typing import Any

from sidecar.http.multipart import File, Form
from sidecar.providers.reading import BadRequestError

_WHOLE = frozenset(("n", "partial_images", "frame_count"))
_FLAGS = {"true": True, "false": False}
_NUMBER = re.compile(r"[0-9]{1,9}\Z")


def object_of(form: Form) -> dict[str, Any]:
    """The fields of a form. Raises BadRequestError.

    Texts that decide what a call costs become what they say; a field with files is a list of them.
    """
    value: dict[str, Any] = {**form.lists, **form.texts}
    for name in _WHOLE & form.texts.keys():
        value[name] = _whole(name, form.texts[name])
    if "stream" in form.texts:
        flag = _FLAGS.get(form.texts["stream"])
        if flag is None:
            raise BadRequestError("stream must be true or false", "stream")
        value["stream"] = flag
    for file in form.files:
        value.setdefault(file.field, []).append(file)
    return value


def files_of(value: dict[str, Any]) -> list[File]:
    """All files of a form's fields."""
    return [
        item
        for field in value.values()
        if type(field) is list
        for item in field
        if type(item) is File
    ]


def texts_of(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a form that are no files."""
    files = {file.field for file in files_of(value)}
    return {name: field for name, field in value.items() if name not in files}


def _whole(name: str, text: str) -> int:
    if _NUMBER.match(text) is None:
        raise BadRequestError(f"{name} must be a whole number", name)
    return int(text)
