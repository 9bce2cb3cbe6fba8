"""What evidence, and what a person decides, does to one lease and to its period.

Rules. Of a lease nobody knows more than its evidence: granted - returned - spent is its outstanding
money. While its journal lives, all of that is the sidecar's. Once it is ORPHANED, each nano-dollar
of it is in one of three places:

- held: in the period's orphan_hold, so that nobody else can have it;
- lump: charged to the period as if it were spent, estimated;
- released: given back to the period by a named person, who takes it for unspent.

Money that turns out to be spent is taken from what is held, then it replaces the lump, so that no
sum has it twice. Spent all the same after a release, or spent twice by a fork, it is booked beyond:
`overshoot`, which may pass the cap and is an alarm each time. Money that is given back is taken
from what was released (it is free already), then from what is held, then it undoes the lump.

Every function gives the lease after it and by how much each number of the period moves; what is
charged as a lump, or undone of it, is a row of the ledger of its own.
"""

from dataclasses import dataclass, replace

from control_plane.core.leases import Lease
from protos.values.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Move:
    """A lease after a step, and what the step moves in its period."""

    lease: Lease
    allocated_nano_usd: int = 0
    spent_nano_usd: int = 0
    orphan_hold_nano_usd: int = 0
    overshoot_nano_usd: int = 0
    """What was spent, or is out there to be spent, beyond all that was set aside for it."""
    lump_nano_usd: int = 0
    """What is charged as a lump more; negative when evidence takes its place."""
    unknown_nano_usd: int = 0
    """What the evidence shows was once granted, and this database did not know."""


def grown(lease: Lease, granted_nano_usd: int) -> Move:
    """The lease with at least so much granted: what a sidecar can prove was once granted."""
    more = granted_nano_usd - lease.granted_nano_usd
    if more <= 0:
        return Move(lease)
    return Move(
        lease.merge(granted_nano_usd=granted_nano_usd),
        allocated_nano_usd=more,
        orphan_hold_nano_usd=more if lease.orphaned else 0,
        unknown_nano_usd=more,
    )


def spent(lease: Lease, more_nano_usd: int, *, forked: bool) -> Move:
    """The lease with so much more spent; `forked` when two copies of its journal spend from it."""
    assert more_nano_usd >= 0
    left = more_nano_usd
    if not lease.orphaned:
        held = lump = released = 0
        left -= min(left, lease.outstanding_nano_usd)
    else:
        held = min(left, lease.held_back_nano_usd)
        left -= held
        lump = min(left, lease.lump_nano_usd)
        left -= lump
        released = min(left, lease.released_nano_usd)
        left -= released
    after = replace(
        lease,
        granted_nano_usd=lease.granted_nano_usd + left,
        spent_nano_usd=lease.spent_nano_usd + more_nano_usd,
        lump_nano_usd=lease.lump_nano_usd - lump,
        released_nano_usd=lease.released_nano_usd - released,
    )
    return Move(
        after,
        allocated_nano_usd=released + left,
        spent_nano_usd=more_nano_usd - lump,
        orphan_hold_nano_usd=-held,
        overshoot_nano_usd=released + (left if forked else 0),
        lump_nano_usd=-lump,
        unknown_nano_usd=0 if forked else left,
    )


def corrected(lease: Lease, less_nano_usd: int) -> Move:
    """The lease with so much less spent: its holder has it again, or nobody knows who has."""
    assert 0 <= less_nano_usd <= lease.spent_nano_usd
    return Move(
        replace(lease, spent_nano_usd=lease.spent_nano_usd - less_nano_usd),
        spent_nano_usd=-less_nano_usd,
        orphan_hold_nano_usd=less_nano_usd if lease.orphaned else 0,
    )


def returned(lease: Lease, returned_nano_usd: int) -> Move:
    """The lease with so much given back in all. Its granted money covers it: see `grown`."""
    more = returned_nano_usd - lease.returned_nano_usd
    if more <= 0:
        return Move(lease)
    assert more <= lease.outstanding_nano_usd
    after = lease.merge(returned_nano_usd=returned_nano_usd)
    if not lease.orphaned:
        return Move(after, allocated_nano_usd=-more)
    released = min(more, lease.released_nano_usd)
    held = min(more - released, lease.held_back_nano_usd)
    lump = more - released - held
    return Move(
        replace(
            after,
            lump_nano_usd=lease.lump_nano_usd - lump,
            released_nano_usd=lease.released_nano_usd - released,
        ),
        allocated_nano_usd=-(held + lump),
        spent_nano_usd=-lump,
        orphan_hold_nano_usd=-held,
        lump_nano_usd=-lump,
    )


def shown(lease: Lease, less_nano_usd: int) -> Move:
    """What an unknown holder may have, with so much less: a sidecar has shown that it holds it.

    What a person had released of it is out there all the same, and may pass the cap.
    """
    assert 0 <= less_nano_usd <= lease.outstanding_nano_usd
    held = min(less_nano_usd, lease.held_back_nano_usd)
    lump = min(less_nano_usd - held, lease.lump_nano_usd)
    released = less_nano_usd - held - lump
    after = replace(
        lease,
        returned_nano_usd=lease.returned_nano_usd + less_nano_usd,
        lump_nano_usd=lease.lump_nano_usd - lump,
        released_nano_usd=lease.released_nano_usd - released,
    )
    return Move(
        after,
        allocated_nano_usd=-(held + lump),
        spent_nano_usd=-lump,
        orphan_hold_nano_usd=-held,
        overshoot_nano_usd=released,
        lump_nano_usd=-lump,
    )


def orphaned(lease: Lease, cause: str, now_unix_ms: int) -> Move:
    """The lease of a journal that is lost or not trusted any more: all that is left is held."""
    assert not lease.orphaned
    after = replace(lease, state="ORPHANED", orphaned_unix_ms=now_unix_ms, orphan_cause=cause)
    return Move(after, orphan_hold_nano_usd=lease.outstanding_nano_usd)


def charged(lease: Lease) -> Move:
    """The orphan with all that is held charged as a lump."""
    held = lease.held_back_nano_usd
    return Move(
        replace(lease, lump_nano_usd=lease.lump_nano_usd + held),
        spent_nano_usd=held,
        orphan_hold_nano_usd=-held,
        lump_nano_usd=held,
    )


def released(lease: Lease) -> Move:
    """The orphan with all that is held, or was charged as a lump, free for others."""
    held, lump = lease.held_back_nano_usd, lease.lump_nano_usd
    return Move(
        replace(lease, lump_nano_usd=0, released_nano_usd=lease.released_nano_usd + held + lump),
        allocated_nano_usd=-(held + lump),
        spent_nano_usd=-lump,
        orphan_hold_nano_usd=-held,
        lump_nano_usd=-lump,
    )


def reopened(lease: Lease, cause: str, now_unix_ms: int) -> Move:
    """A closed lease in which something moves again; `cause` is why its journal is not alive.

    An empty cause stands for a living journal.
    """
    assert lease.state == "CLOSED"
    if not cause and not lease.orphaned_unix_ms:
        return Move(replace(lease, state="ACTIVE"))
    move = orphaned(lease, lease.orphan_cause or cause, lease.orphaned_unix_ms or now_unix_ms)
    decided = lease.lump_nano_usd + lease.released_nano_usd
    return replace(move, orphan_hold_nano_usd=move.orphan_hold_nano_usd - decided)
