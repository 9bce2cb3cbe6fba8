"""The simulation is worth something only if it catches bugs: each of these is planted and found.

The names are those of the lease protocol's table. What a simulation without threads cannot plant
(M3: a return that is told before it is durable) is held by a story of the control link.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.allowance import Allowance
from sidecar.core.leases import Grant, Lease
from sidecar.runtime import recovery
from sidecar.runtime.journal import Group
from tests.sidecar.builders import DOLLAR
from tests.simulation.test_money import check_ledger, played
from tests.simulation.world import InlineJournal, play

SEEDS = range(12)

_merge = Allowance.merge
_settle = Allowance.settle
_durable = InlineJournal.durable


def hold_on_the_first_lease_only(
    self: Allowance, leases: Sequence[Lease], worst_nano_usd: int, boot_ms: int
) -> None:
    for lease in leases[:1]:
        lease.held_nano_usd += worst_nano_usd
        lease.open_calls += 1
    for lease in leases:
        lease.changed = True
        lease.account.note_opened(worst_nano_usd, boot_ms)


def settle_the_first_lease_only(
    self: Allowance, leases: Iterable[Lease], worst_nano_usd: int, amount_nano_usd: int
) -> None:
    first, *rest = leases
    _settle(self, [first], worst_nano_usd, amount_nano_usd)
    for lease in rest:
        lease.spent_nano_usd += amount_nano_usd


def free_lost_holds(*_: Any) -> None:
    """A hold that a crash left open is simply forgotten."""


async def dispatch_before_open_is_durable(self: InlineJournal, group: Group) -> None:
    if group.errands:
        await _durable(self, group)


def grants_as_increments(
    self: Allowance, grant: Grant, sent_boot_ms: int, *, renews: bool
) -> Lease:
    lease = self.lease(grant.key)
    before = lease.granted_nano_usd if lease is not None else 0
    lease = _merge(self, grant, sent_boot_ms, renews=renews)
    if before and grant.granted_nano_usd > before:
        lease.granted_nano_usd = before + grant.granted_nano_usd
    return lease


MUTANTS: dict[str, list[tuple[Any, str, Any]]] = {
    "V1 hold checked on the first lease only": [
        (Allowance, "hold", hold_on_the_first_lease_only),
        (Allowance, "settle", settle_the_first_lease_only),
    ],
    "V2 settle frees one budget": [(Allowance, "settle", settle_the_first_lease_only)],
    "M1 a hold freed without evidence": [(recovery, "_charge", free_lost_holds)],
    "M4 open not durable before dispatch": [
        (InlineJournal, "durable", dispatch_before_open_is_durable)
    ],
    "M7 grants as increments": [(Allowance, "merge", grants_as_increments)],
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    for where, name, planted in MUTANTS[mutant]:
        monkeypatch.setattr(where, name, planted)
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()

        async def story(folder: Path = folder, seed: int = seed) -> None:
            simulation = await played(
                folder,
                seed,
                calls=200,
                sidecars=3,
                agency=5 * DOLLAR,
                client=2 * DOLLAR,
                storm=True,
            )
            check_ledger(simulation)

        try:
            play(story, seed)
        except (AssertionError, BaseExceptionGroup):
            return
    pytest.fail(f"{mutant}: not found by any of the seeds {SEEDS}")
