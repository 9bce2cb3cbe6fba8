"""What providers charged, beside what our books say: the outside truth of stories told by hand.

Small sidecars (tests/control_plane/virtual_sidecar.py) live at the real store and use cases. The
till notes each call as the provider bills it; it never reads a number of ours to do so.
"""

from collections import Counter
from collections.abc import Iterable

from control_plane.core.leases import BudgetRef
from tests.control_plane.leasing_world import World
from tests.control_plane.virtual_sidecar import VirtualSidecar


class Till:
    """The provider's bill."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: dict[str, int] = {}
        """What was billed, by call."""
        self.budgets: Counter[BudgetRef] = Counter()
        """What was billed, by budget."""

    def answer(self, sidecar: VirtualSidecar, call_id: str, cost: int, *refs: BudgetRef) -> None:
        """The provider answers an open call and bills it, whatever becomes of the sidecar."""
        assert call_id in sidecar.open, "nothing goes out that is not open"
        assert call_id not in self.calls
        self.calls[call_id] = cost
        for ref in refs:
            self.budgets[ref] += cost

    def refund(self, call_id: str, left: int, *refs: BudgetRef) -> None:
        """The provider takes back what it billed above so much."""
        for ref in refs:
            self.budgets[ref] += min(0, left - self.calls[call_id])
        self.calls[call_id] = min(left, self.calls[call_id])

    def serve(
        self, sidecar: VirtualSidecar, cost: int, *refs: BudgetRef, only: Iterable[str] = ()
    ) -> int:
        """Answer and settle the open calls of a sidecar; how many there were."""
        chosen = [call_id for call_id in sidecar.open if not only or call_id in only]
        for call_id in chosen:
            self.answer(sidecar, call_id, cost, *refs)
            sidecar.settle(call_id, cost)
        return len(chosen)

    def kept(self, ref: BudgetRef, cap_nano_usd: int) -> bool:
        """Whether the bill is within a cap, and within what the books set aside for it."""
        allocated = self.world.number(
            "SELECT SUM(allocated_nano_usd) FROM period WHERE budget_id = :b AND partition = :p",
            b=ref.budget_id,
            p=ref.partition,
        )
        return self.budgets[ref] <= min(cap_nano_usd, allocated)

    def check_ledger(self, world: World | None = None) -> None:
        """At rest: each call once, exact or flagged and not below what was billed."""
        rows = (world or self.world).store.read(
            lambda tx: tx.rows("SELECT call_id, cost_nano_usd, estimated FROM call")
        )
        booked = {row["call_id"]: row for row in rows.result()}
        assert len(booked) == len(rows.result())
        assert set(self.calls) <= set(booked)
        for call_id, billed in self.calls.items():
            row = booked[call_id]
            assert row["cost_nano_usd"] == billed or (
                row["estimated"] and row["cost_nano_usd"] > billed
            )
