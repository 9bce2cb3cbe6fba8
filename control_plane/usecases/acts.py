"""Who does something, when and by which request; and the trail that it leaves.

Every use case that changes something is given an Act and leaves exactly one audit entry, in its own
transaction: what could not be recorded did not happen.
"""

import json
from dataclasses import dataclass

from control_plane.core.principals import AuditEntry, Principal
from control_plane.entropy import Entropy
from control_plane.store import audit
from control_plane.store.engine import Tx

Detail = str | int | bool | None | list[str]
"""What an audit entry may tell of a change; never a secret."""


@dataclass(frozen=True, slots=True)
class Act:
    """One change that somebody asked for."""

    actor: Principal
    """Who asks."""
    method: str
    """The method, such as "SetCap"."""
    request_id: str
    """The id that makes it safe to repeat."""
    now_unix_ms: int
    """When."""
    entropy: Entropy
    """Ids and secrets for what is made."""
    desk_url: str = ""
    """Where browsers find the desk, for messages that lead there; empty for nowhere."""

    def id(self, prefix: str) -> str:
        """A new id."""
        return self.entropy.id(prefix, self.now_unix_ms)


def record(tx: Tx, act: Act, resource: str, *, project_id: str = "", **detail: Detail) -> None:
    """Leave the audit entry of a change."""
    audit.append(
        tx,
        AuditEntry(
            position=0,
            at_unix_ms=act.now_unix_ms,
            actor=act.actor.principal_id,
            method=act.method,
            resource=resource,
            project_id=project_id,
            detail_json=json.dumps(detail, sort_keys=True, ensure_ascii=False),
            request_id=act.request_id,
        ),
    )
