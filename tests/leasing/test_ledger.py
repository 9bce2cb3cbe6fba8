"""The benchmark's control plane in memory answers as the real use case on SQLite does."""

from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.core import calls as records
from control_plane.core.reports import Answer, Offer, Report
from tests.control_plane.leasing_world import World as Installation
from tests.control_plane.virtual_sidecar import VirtualSidecar, call, raw
from tests.leasing.ledger import Decided, Told
from tests.leasing.test_safety import turning
from tests.leasing.workloads import cases
from tests.leasing.world import Case, World


class Paired(World):
    """A fleet whose Syncs go to both; the answers must be the same."""

    def __init__(self, case: Case, installation: Installation, *, seed: int, loss: int) -> None:
        super().__init__(case, seed=seed, loss_percent=loss)
        self.installation = installation
        for name, cap in case.caps.items():
            installation.budget(name, cap)
        self.real = {one.name: installation.sidecar(one.name) for one in self.sidecars}
        self.compared = self.offered = 0
        installation.watching = lambda name, _: name in self.real

    def decide(self, name: str, told: Told) -> Decided | None:
        self.installation.clock.now_unix_ms = self.loop.unix_ms()
        real = self.real[name].send(report_of(self.real[name], told))
        self.real[name].acked = real.acked_seq
        decided = super().decide(name, told)
        assert decided is not None
        assert as_decided(real) == replace(
            decided,
            leases=tuple(sorted(decided.leases, key=repr)),
            offers=tuple(in_order(offer) for offer in decided.offers),
        )
        self.offered += len(decided.offers)
        self.compared += 1
        return decided

    def end(self) -> None:
        """Hold the books to what must be so, and close them."""
        self.installation.check()
        self.installation.store.close()


def report_of(sidecar: VirtualSidecar, told: Told) -> Report:
    """The same Sync with records: what was spent since the last one as a call of each lease."""
    sidecar.listens = False
    for key, (returned, spent) in told.evidence.items():
        made = [each for each in sidecar.journal if isinstance(each, records.Settle)]
        before = sum(each.amount_nano_usd for each in made if each.call.vector == (key,))
        if spent > before:
            amount, number = spent - before, len(sidecar.journal)
            settled = call(f"{sidecar.name}-{number}", sidecar.world.now, amount, amount, (key,))
            sidecar.journal.append(records.Settle(number + 1, settled, amount))
        given = [each for each in sidecar.journal if isinstance(each, records.Return)]
        if returned > max((r.returned_nano_usd for r in given if r.lease == key), default=0):
            sidecar.journal.append(records.Return(len(sidecar.journal) + 1, key, returned))
    fresh = sidecar.journal[sidecar.acked :]
    return Report(
        epoch=sidecar.epoch,
        incarnation=sidecar.incarnation,
        sync_no=told.sync_no,
        generation_seen=sidecar.generation,
        from_seq=sidecar.acked + 1 if fresh else 0,
        raw_records=tuple(map(raw, fresh)),
        records=tuple(fresh),
        chain=sidecar.chain(len(sidecar.journal)),
        leases=told.leases,
        demands=told.demands,
        policy_acked=1,
        policy_refused="",
    )


def in_order(offer: Offer) -> Offer:
    return replace(offer, leases=tuple(sorted(offer.leases, key=repr)))


def as_decided(answer: Answer) -> Decided:
    return Decided(
        sync_no=answer.sync_no,
        leases=tuple(sorted(answer.leases, key=repr)),
        named=answer.named,
        hopeless=answer.hopeless,
        recalls=answer.recalls,
        nudges=answer.nudges,
        next_sync_ms=answer.next_sync_ms,
        offers=tuple(in_order(offer) for offer in answer.offers),
        lefts=answer.lefts,
    )


@pytest.mark.parametrize(
    ("name", "loss", "seconds"),
    [("three-budgets", 0, 5), ("three-budgets", 12, 5), ("50-cents-on-5", 1, 10)],
)
def test_both_answer_every_sync_alike(tmp_path: Path, name: str, loss: int, seconds: int) -> None:
    world = Paired(cases()[name], Installation(tmp_path), seed=loss, loss=loss)
    world.play(seconds)
    assert world.compared > 100
    assert world.offered > 0
    world.end()


def test_both_answer_alike_before_and_after_a_month_turns(tmp_path: Path) -> None:
    world = Paired(turning(), Installation(tmp_path), seed=1, loss=0)
    world.play(33)
    assert world.compared > 50
    assert len(world.truth.passed) > 30
    world.end()
