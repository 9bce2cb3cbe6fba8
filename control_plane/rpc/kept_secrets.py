"""Texts that are shown once, kept for a while for requests that are repeated.

They live in memory alone: a repeated request gets its secret again only from the process that made
it. Everything here runs on the event loop.
"""

from collections import OrderedDict

from control_plane import limits


class KeptSecrets:
    """Texts that were shown once, for requests that are repeated because an answer was lost."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[str, str], tuple[int, str]] = OrderedDict()

    def keep(self, principal_id: str, request_id: str, text: str, now_unix_ms: int) -> None:
        """Keep a text; call it after the commit."""
        self._texts[principal_id, request_id] = (now_unix_ms, text)
        while len(self._texts) > limits.KEPT_SECRETS_MAX:
            self._texts.popitem(last=False)

    def find(self, principal_id: str, request_id: str, now_unix_ms: int) -> str:
        """The text that was shown; empty when it is gone."""
        kept_unix_ms, text = self._texts.get((principal_id, request_id), (0, ""))
        return text if kept_unix_ms > now_unix_ms - limits.REQUEST_LIFE_MS else ""

    def __repr__(self) -> str:
        return f"KeptSecrets({len(self._texts)} kept)"
