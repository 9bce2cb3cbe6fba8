"""What a field of a request may hold; each refusal names the field and says what is allowed."""

import unicodedata

from control_plane import limits
from protos.values import ids, mailboxes
from protos.values.errors import EtagMismatchError, InvalidArgumentError

_LINE_ENDS = frozenset({"Zl", "Zp"})
"""Unicode's own ends of lines and paragraphs: a name with one breaks the header of a mail."""


def invalid(field: str, message: str) -> InvalidArgumentError:
    """The refusal of one field."""
    return InvalidArgumentError(f"{field}: {message}", field=field)


def check_name(text: str, field: str) -> str:
    """A name for people: 1 to 100 printable characters, NFC, without spaces at its ends."""
    name = unicodedata.normalize("NFC", text)
    if not 1 <= len(name) <= limits.NAME_CHARACTERS_MAX:
        raise invalid(field, f"give a name of 1 to {limits.NAME_CHARACTERS_MAX} characters")
    if name != name.strip() or not _is_printable(name):
        raise invalid(field, "no control characters, and no spaces at the ends")
    return name


def name_key(name: str) -> str:
    """A name as it is compared and sorted: case and compatibility forms do not count."""
    return unicodedata.normalize("NFKC", name).casefold()


def check_reason(text: str, field: str = "reason") -> str:
    """Why something is done; may be empty."""
    if len(text) > limits.REASON_CHARACTERS_MAX:
        raise invalid(field, f"at most {limits.REASON_CHARACTERS_MAX} characters")
    if not all(_is_printable(line) for line in text.splitlines()):
        raise invalid(field, "no control characters")
    return text


def check_text(text: str, field: str, most: int) -> str:
    """Lines for people; may be empty."""
    if len(text) > most:
        raise invalid(field, f"at most {most} characters")
    if not all(_is_printable(line) for line in text.splitlines()):
        raise invalid(field, "no control characters")
    return text


def check_mail_address(text: str, field: str) -> str:
    """An address that a mail can be sent to; whether anybody reads it nobody can tell."""
    if not mailboxes.is_public(text):
        raise invalid(field, f"a mail address such as {mailboxes.EXAMPLE}")
    return text


def check_label(text: str, field: str) -> str:
    """A workflow, a region or another label; may be empty."""
    if text and not ids.is_label(text):
        raise invalid(
            field,
            f"1 to {ids.LABEL_CHARACTERS_MAX} letters, digits and . _ @ / - or inner spaces, "
            "beginning with a letter or a digit",
        )
    return text


def check_id(text: str, prefix: str, field: str) -> str:
    """An id that this installation could have made."""
    if not ids.is_id(text, prefix):
        raise invalid(field, f"an id such as {prefix}_… is required")
    return text


def check_between(value: int, least: int, most: int, field: str) -> int:
    """A whole number within bounds."""
    if not least <= value <= most:
        raise invalid(field, f"must be from {least} to {most}, not {value}")
    return value


def check_request_id(text: str) -> str:
    """The id by which a change is told from its repetition."""
    if not 1 <= len(text) <= limits.REQUEST_ID_CHARACTERS_MAX or not text.isascii():
        raise invalid(
            "request_id",
            f"make one of 1 to {limits.REQUEST_ID_CHARACTERS_MAX} ASCII characters, such as a "
            "random UUID, keep it, and send it again when the answer is lost",
        )
    if not text.isprintable():
        raise invalid("request_id", "no control characters")
    return text


def etag_of(version: int) -> str:
    """What a reader sends back to say which version its decision was made on."""
    return f"v{version}"


def check_etag(given: str, version: int, what: str, *, required: bool = True) -> None:
    """Refuse a decision that was made on an older version."""
    if not given:
        if required:
            raise invalid("etag", f"send the etag that {what} was read with")
        return
    if given != etag_of(version):
        raise EtagMismatchError(
            f"{what} has changed since it was read: read it again, then decide again",
            etag=etag_of(version),
        )


def _is_printable(text: str) -> bool:
    return all(
        category[0] != "C" and category not in _LINE_ENDS
        for category in map(unicodedata.category, text)
    )
