"""Requests that changed something, with their answers, so that a repeated one changes nothing."""

from dataclasses import dataclass

from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was carried out."""

    principal_id: str
    request_id: str
    method: str
    body_sha256: bytes
    """Digest of the whole request."""
    answer: bytes
    """The answer as it goes on the wire, without secrets."""
    created_unix_ms: int


def get(tx: Tx, principal_id: str, request_id: str) -> Request | None:
    """The request of that id by that principal."""
    row = tx.row(
        "SELECT * FROM request WHERE principal_id = :principal AND request_id = :request",
        {"principal": principal_id, "request": request_id},
    )
    if row is None:
        return None
    return Request(
        principal_id=row["principal_id"],
        request_id=row["request_id"],
        method=row["method"],
        body_sha256=row["body_sha256"],
        answer=row["answer"],
        created_unix_ms=row["created_unix_ms"],
    )


def insert(tx: Tx, request: Request) -> None:
    """Add a request that was carried out."""
    tx.run(
        """INSERT INTO request (principal_id, request_id, method, body_sha256, answer,
             created_unix_ms)
           VALUES (:principal, :request, :method, :sha256, :answer, :created)""",
        {
            "principal": request.principal_id,
            "request": request.request_id,
            "method": request.method,
            "sha256": request.body_sha256,
            "answer": request.answer,
            "created": request.created_unix_ms,
        },
    )


def forget_before(tx: Tx, unix_ms: int) -> int:
    """Drop requests that are too old to be repeated; how many."""
    return tx.run("DELETE FROM request WHERE created_unix_ms < :before", {"before": unix_ms})
