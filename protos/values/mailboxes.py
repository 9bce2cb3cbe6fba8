"""Mail addresses, as far as their text tells: whether anybody reads them nobody can know."""

import re
from typing import Final

EXAMPLE: Final = "dana@example.com"
ADDRESS_CHARACTERS_MAX: Final = 254
RECIPIENTS_MAX: Final = 20
"""Who gets one client's statements, at most."""
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


def is_address(text: str) -> bool:
    """Whether a text is an address as mail servers take it, unquoted (RFC 5321, Dot-string)."""
    return len(text) <= ADDRESS_CHARACTERS_MAX and _ADDRESS.fullmatch(text) is not None


def is_public(text: str) -> bool:
    """Whether it is one whose domain has a dot, as all have that others can send to."""
    return is_address(text) and "." in text.rpartition("@")[2]
