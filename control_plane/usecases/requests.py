"""Makes every change safe to repeat: the same id and the same request get the earlier answer.

A request's id is its principal's own. The answer is kept for 24 h as it went on the wire, with
every secret taken out, see rpc/kept_secrets.py.
"""

from control_plane import limits
from control_plane.store import requests
from control_plane.store.engine import Tx
from control_plane.store.requests import Request
from control_plane.usecases.acts import Act
from protos.values.errors import RequestIdReusedError


def earlier_answer(tx: Tx, act: Act, body_sha256: bytes) -> bytes | None:
    """What was answered when this request came before; None when it is new.

    Raises RequestIdReusedError when the id came with another request.
    """
    requests.forget_before(tx, act.now_unix_ms - limits.REQUEST_LIFE_MS)
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
