"""Answers that are lost, late, doubled or out of order: money comes once, and authority ends."""

import itertools
from pathlib import Path

import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.core.allowance import Allowance
from sidecar.core.leases import Grant
from sidecar.core.refusals import Reason
from sidecar.runtime import translate
from tests.simulation.stories.scene import CENT, DOLLAR, Scene, tell


def test_a_lost_answer_grants_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    """1. The control plane commits a grant, and the answer is lost; so are those to its retries.

    What is allocated grows once, and the sidecar gets that very lease when it hears again.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 10 * DOLLAR)
        [one] = await scene.sidecars("one")
        scene.deafen(one)
        before = scene.syncs(one)
        refused = await scene.call(one, acme, 50 * CENT)
        assert refused.reason is Reason.UNREACHABLE
        assert scene.syncs(one) > before + 2
        [lease] = scene.rows("SELECT * FROM lease")
        allocated = scene.period(acme.budget_id)["allocated_nano_usd"]
        assert allocated == lease["granted_nano_usd"] < 2 * DOLLAR
        [serial] = {row["grant_serial"] for row in scene.rows("SELECT grant_serial FROM period")}
        assert serial <= 2  # the call's own money, and a refill beside it: in one Sync
        scene.mend()
        assert (await scene.call(one, acme, 50 * CENT, cost=20 * CENT)).passed
        assert scene.lease(one, acme.budget_id).granted_nano_usd == lease["granted_nano_usd"]
        await scene.at_rest()
        assert scene.billed(acme.budget_id) == 20 * CENT

    tell(tmp_path, story)


def answers_of(scene: Scene, budget_id: str) -> list[Grant]:
    """What was ever answered about a budget's lease, as it came over the wire."""
    return [
        translate.grant_from_wire(grant)
        for message in scene.simulation.history
        if isinstance(message.answer, wire.SyncResponse)
        for grant in message.answer.leases
        if grant.lease.budget_id == budget_id
    ]


def test_grants_that_come_twice_and_in_any_order_are_one_grant(tmp_path: Path) -> None:
    """2. Every answer is delivered twice, in every order; every request too.

    The lease is what the last of them granted, in every order; an answer that was made under an
    older policy prolongs nothing; and the control plane's books stay what they are.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        for worst in (CENT, 40 * CENT, 3 * DOLLAR):
            await scene.calls(4, one, acme, worst)
        distinct = {grant.granted_nano_usd: grant for grant in answers_of(scene, acme.budget_id)}
        chosen = [distinct[granted] for granted in sorted(distinct)[-4:]]
        assert len(chosen) == 4
        for order in itertools.permutations(chosen * 2, 5):
            if len({grant.granted_nano_usd for grant in order}) < 4:
                continue
            allowance = Allowance()
            for grant in order:
                # All under one Sync's time: nothing tells the older from the newer but itself.
                lease = allowance.merge(grant, 1_000, renews=grant is chosen[0])
            assert lease.granted_nano_usd == chosen[-1].granted_nano_usd
            assert lease.authority_boot_ms == 1_000 + chosen[0].authority_ms
        await scene.at_rest()
        before = scene.books()
        for message in reversed(2 * scene.simulation.history):
            if message.method == "Sync":
                scene.simulation.serve(message.life, "Sync", message.request)
        assert scene.books() == before

    tell(tmp_path, story)


def test_an_answer_that_comes_after_its_authority_opens_nothing(tmp_path: Path) -> None:
    """3. A machine sleeps while an answer is under way, and takes it ten seconds too late.

    Authority of 15 s counts from before the question, and it was asleep for 25. Nothing opens on
    it, though the money is there; and that money can be given back at once.
    """

    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 4 * DOLLAR, offline_ms=15_000)
        one, two = await scene.sidecars("one", "two")
        begun = scene.syncs(one)
        scene.begin(scene.call(one, acme, 60 * CENT))
        await scene.until(
            lambda: scene.syncs(one) > begun and bool(scene.rows("SELECT 1 FROM lease"))
        )
        one.freeze()
        await trio.sleep(25)
        scene.cut(one)
        one.thaw()
        assert (await scene.call(one, acme, 60 * CENT)).reason is Reason.UNREACHABLE
        assert not scene.attempts[0].passed
        lease = scene.lease(one, acme.budget_id)
        assert lease.granted_nano_usd >= 60 * CENT
        assert lease.granted_nano_usd == lease.returned_nano_usd + lease.available_nano_usd
        assert scene.sent(one) == []
        scene.mend()
        wanted = await scene.call(two, acme, 4 * DOLLAR, cost=5 * CENT)
        assert wanted.passed
        assert wanted.waited_ms < 3_000
        await scene.at_rest()

    tell(tmp_path, story)
