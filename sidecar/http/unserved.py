"""What providers offer and the sidecar does not serve, each with the reason that is told."""

import re
from typing import NamedTuple


class Unserved(NamedTuple):
    """An endpoint of a provider, with all that lies below it."""

    path: str
    """The path; `{...}` stands for one segment of it."""
    reason: str
    """Why it is not served, as the end of a sentence."""


_STORED = "what is stored at the provider is read and changed there, past every client's key"
_LATER = "what it costs is known only after the call has ended, so no hold could cover it"
UNSERVED: tuple[Unserved, ...] = (
    Unserved("/v1/chat/completions", f"stored completions are left alone: {_STORED}"),
    Unserved("/v1/responses/compact", "what it writes has no limit, so no hold could cover it"),
    Unserved("/v1/responses", f"stored responses are left alone: {_STORED}"),
    Unserved("/v1/messages/batches", f"a batch is billed hours later: {_LATER}"),
    Unserved("/v1/batches", f"a batch is billed hours later: {_LATER}"),
    Unserved("/v1/files", f"files are left alone: {_STORED}"),
    Unserved("/v1/models/{model}", "a model is changed at the provider, by your agency"),
)
"""The first row that covers a path speaks for it."""


def _pattern(path: str) -> str:
    return "".join(
        "[^/]+" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]*\})", path)
    )


_PATTERNS = tuple((re.compile(f"{_pattern(row.path)}(?:/|\\Z)"), row.reason) for row in UNSERVED)


def reason_for(path: str) -> str:
    """Why a path of a provider's is not served; empty when nothing is known of it."""
    for pattern, reason in _PATTERNS:
        if pattern.match(path) is not None:
            return reason
    return ""
