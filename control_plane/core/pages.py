"""Pages of a list: how many, and from where on.

A page continues after the key of the last row of the page before, so rows that come and go
meanwhile shift nothing. The token that says so also carries a digest of what was asked for: a token
that is sent with another filter is refused and not misread.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from control_plane import limits
from control_plane.core import fields

Part = str | int
After = tuple[Part, ...]
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page is asked for."""

    size: int = 0
    """Rows at most; 0 for the default."""
    token: str = ""
    """From the page before; empty for the first."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page."""

    items: tuple[T, ...]
    next_token: str
    """Empty on the last page."""

    def map(self, change: Callable[[T], U]) -> "Page[U]":
        """The same page of other things."""
        return Page(tuple(change(item) for item in self.items), self.next_token)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows a store is asked for."""

    after: After | None
    """The key of the last row of the page before; None for the first page."""
    limit: int
    """Rows wanted: one more than the page holds, to see whether another follows."""


def begin(asked: Asked, filters: Mapping[str, str], key: Sequence[type]) -> Slice:
    """Which rows belong to the page that is asked for."""
    if asked.size < 0:
        raise fields.invalid("page_size", "must not be negative")
    size = min(asked.size or limits.PAGE_ROWS_DEFAULT, limits.PAGE_ROWS_MAX)
    after = _read_token(asked.token, filters, key) if asked.token else None
    return Slice(after, size + 1)


def finish(
    rows: Sequence[T], asked: Slice, filters: Mapping[str, str], key_of: Callable[[T], After]
) -> Page[T]:
    """The page that the rows make."""
    assert len(rows) <= asked.limit
    kept = tuple(rows[: asked.limit - 1])
    more = len(rows) == asked.limit
    return Page(kept, _write_token(key_of(kept[-1]), filters) if more else "")


def _write_token(after: After, filters: Mapping[str, str]) -> str:
    text = json.dumps([_digest(filters), *after], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_token(token: str, filters: Mapping[str, str], key: Sequence[type]) -> After:
    refusal = fields.invalid("page_token", "not a token of this list: begin again without one")
    if len(token) > limits.PAGE_TOKEN_CHARACTERS_MAX:
        raise refusal
    try:
        read = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise refusal from None
    if not isinstance(read, list) or [type(part) for part in read] != [str, *key]:
        raise refusal
    digest, *after = read
    if not all(_is_storable(part) for part in after):
        raise refusal
    if digest != _digest(filters):
        raise fields.invalid(
            "page_token", "belongs to another question: keep all other fields as they were"
        )
    return tuple(after)


def _is_storable(part: Part) -> bool:
    """Whether any row could have it: integers of 64 bits, and texts that are UTF-8."""
    if isinstance(part, int):
        return -(2**63) <= part < 2**63
    return not any("\ud800" <= letter <= "\udfff" for letter in part)


def _digest(filters: Mapping[str, str]) -> str:
    text = json.dumps(sorted(filters.items()), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
