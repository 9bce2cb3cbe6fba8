"""Makes every change safe to repeat: the same id and the same request get the earlier answer.

A request's id is its principal's own. The answer is kept for 24 h as it went on the wire, with
every secret taken out: secrets live in memory alone, so that a repeated request gets its secret
again only from the process that made it.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from control_plane.store import requests
from control_plane.store.engine import Tx
from control_plane.store.requests import Request
from control_plane.usecases.acts import Act
from protos.values.errors import RequestIdReusedError

REPEATABLE_MS: Final = 24 * 3_600_000
"""For so long a request may be repeated."""
SECRETS_KEPT_MAX: Final = 1_000
"""Secrets that are kept in memory for repeated requests; the oldest goes first."""


def earlier_answer(tx: Tx, act: Act, body_sha256: bytes) -> bytes | None:
    """What was answered when this request came before; None when it is new.

    Raises RequestIdReusedError when the id came with another request.
    """
    requests.forget_before(tx, act.now_unix_ms - REPEATABLE_MS)
    earlier = requests.get(tx, act.actor.principal_id, act.request_id)
    if earlier is None:
        return None
    if (earlier.method, earlier.body_sha256) != (act.method, body_sha256):
        raise RequestIdReusedError(
            f"request_id came before with another request ({earlier.method}): make a new id for "
            "every new wish, and keep an id only to repeat the very same request",
            request_id=act.request_id,
        )
    return earlier.answer


def keep_answer(tx: Tx, act: Act, body_sha256: bytes, answer: bytes) -> None:
    """Remember what was answered; in the transaction of the change."""
    requests.insert(
        tx,
        Request(
            principal_id=act.actor.principal_id,
            request_id=act.request_id,
            method=act.method,
            body_sha256=body_sha256,
            answer=answer,
            created_unix_ms=act.now_unix_ms,
        ),
    )


class KeptSecrets:
    """Texts that were shown once, for requests that are repeated because an answer was lost."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[str, str], tuple[int, str]] = OrderedDict()
        self._lock = Lock()

    def keep(self, principal_id: str, request_id: str, text: str, now_unix_ms: int) -> None:
        """Keep a text; call it after the commit."""
        with self._lock:
            self._texts[principal_id, request_id] = (now_unix_ms, text)
            while len(self._texts) > SECRETS_KEPT_MAX:
                self._texts.popitem(last=False)

    def find(self, principal_id: str, request_id: str, now_unix_ms: int) -> str:
        """The text that was shown; empty when it is gone."""
        with self._lock:
            kept_unix_ms, text = self._texts.get((principal_id, request_id), (0, ""))
            return text if kept_unix_ms > now_unix_ms - REPEATABLE_MS else ""

    def __repr__(self) -> str:
        return f"KeptSecrets({len(self._texts)} kept)"
