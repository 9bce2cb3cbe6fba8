"""The most tokens that texts make: one a byte, after whatever the tokenizer's normalising does."""

import json
import unicodedata
from typing import Any


def tokens(text: str, *, normalises: bool) -> int:
    """One token a byte of a text, or of what NFKC makes of it where that is more."""
    plain = len(text.encode())
    if not normalises or text.isascii():
        return plain
    return max(plain, len(unicodedata.normalize("NFKC", text).encode()))


def tokens_in(value: Any, *, normalises: bool) -> int:
    """All texts in a value; a number as the digits that it has."""
    if type(value) is str:
        return tokens(value, normalises=normalises)
    if type(value) is dict:
        return sum(tokens_in(each, normalises=normalises) for each in value.values())
    if type(value) is list:
        return sum(tokens_in(each, normalises=normalises) for each in value)
    return 0


def shown(value: Any, *, normalises: bool) -> int:
    """A schema as the model is shown it: its JSON, without needless white space."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return tokens(written, normalises=normalises)
