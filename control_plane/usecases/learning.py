"""Begins learning: this database is older than what a sidecar has seen of it."""

from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder
from control_plane.store import installation, ledger
from control_plane.store.engine import Tx


def begin_learning(tx: Tx, holder: Holder, generation_seen: int, now_unix_ms: int) -> None:
    """Stop granting until every sidecar has spoken; nothing when that is so already."""
    meta = installation.get(tx)
    if meta.learning and generation_seen <= meta.generation:
        return
    installation.begin_learning(tx, max(meta.generation, generation_seen) + 1)
    ledger.raise_alarm(
        tx,
        Alarm(
            kind="OLD_DATABASE",
            holder=holder,
            detail="a sidecar has seen grants that this database does not have: nothing is granted "
            "until every sidecar has synced; revoke those that are gone for good",
        ),
        now_unix_ms,
    )
