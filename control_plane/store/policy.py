"""The number of the policy: it rises with every change of anything that a sidecar is told."""

from control_plane.store.engine import Tx


def bump(tx: Tx) -> int:
    """Raise the number; the new one."""
    changed = tx.run("UPDATE meta SET policy_version = policy_version + 1 WHERE id = 1")
    assert changed == 1
    return version(tx)


def version(tx: Tx) -> int:
    """The number now."""
    row = tx.row("SELECT policy_version FROM meta WHERE id = 1")
    assert row is not None
    return int(row["policy_version"])
