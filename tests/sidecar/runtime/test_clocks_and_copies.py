"""Clocks that jump, machines that pause, and journals that turn up elsewhere."""

import shutil
from pathlib import Path

import pytest
import trio

from sidecar.core.refusals import Reason
from sidecar.runtime.identity import Host
from sidecar.runtime.recovery import recover
from sidecar.telemetry import Log
from tests.sidecar.builders import CENT, DOLLAR, HandClock, budget, new_call, policy
from tests.sidecar.runtime.admission_world import HERE, OK, World, refusal_of, waiting, world

pytestmark = pytest.mark.trio

MINUTE = 60_000


def restarted(folder: Path, clock: HandClock, host: Host = HERE) -> World:
    """What the next process makes of the journal; it does not run."""
    made = World(folder, clock)
    recover(
        made.recovered,
        admission=made.admission,
        journal=made.journal,
        clock=made.kept,
        log=Log(clock, made.log),
        host=host,
    )
    made.journal.abandon()
    return made


def usable(made: World) -> bool:
    return bool(made.lease().usable(made.kept.now().boot_ms))


# --- Pauses --------------------------------------------------------------------------------------


async def test_a_wall_clock_that_jumps_in_an_outage_costs_one_attempt_and_no_service(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        sidecar.admission.unanswered(sidecar.kept.now().boot_ms, sidecar.kept.now().boot_ms)
        sidecar.clock.unix_ms += MINUTE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sidecar.admission.open, new_call())
            await waiting(sidecar)
            assert sidecar.admission.cadence.urgent
            asked = sidecar.kept.now().boot_ms
            sidecar.admission.unanswered(asked, asked)
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)


async def test_a_wall_clock_that_is_set_back_stops_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        sidecar.admission.away = True
        sidecar.clock.unix_ms -= 10 * MINUTE
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)


async def test_a_pause_that_the_boot_clock_did_not_see_ends_authority_all_the_same(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(authority_ms=5 * MINUTE)
        sidecar.clock.unix_ms += 4 * MINUTE
        asked = sidecar.kept.now().boot_ms
        sidecar.admission.unanswered(asked, asked)
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)
        sidecar.clock.unix_ms += MINUTE
        sidecar.admission.unanswered(sidecar.kept.now().boot_ms, asked - 3_000)
        assert not usable(sidecar)


async def test_a_call_that_no_capped_budget_counts_ends_with_its_authority_too(
    tmp_path: Path,
) -> None:
    known = policy(budget(capped=False))
    async with world(tmp_path, known) as sidecar:
        sidecar.admission.heard_until_boot_ms = sidecar.kept.now().boot_ms + 5 * MINUTE
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)
        sidecar.clock.unix_ms += 6 * MINUTE
        asked = sidecar.kept.now().boot_ms
        sidecar.admission.unanswered(asked, asked - 3_000)
        assert await refusal_of(sidecar.admission) is Reason.UNREACHABLE


# --- The next process ----------------------------------------------------------------------------


async def lived(folder: Path, clock: HandClock) -> None:
    """A process that was told of a lease of five minutes, and ended."""
    async with world(folder, clock=clock) as sidecar:
        sidecar.told(authority_ms=5 * MINUTE)
        sidecar.journal.note_time(sidecar.kept.keeper.kept)
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)


async def test_a_restart_goes_on_where_authority_stands(tmp_path: Path) -> None:
    clock = HandClock()
    await lived(tmp_path, clock)
    clock.forward(4 * MINUTE)
    assert usable(restarted(tmp_path, clock))
    clock.forward(MINUTE)
    assert not usable(restarted(tmp_path, clock))


async def test_a_pause_while_no_process_ran_is_not_missed(tmp_path: Path) -> None:
    clock = HandClock()
    await lived(tmp_path, clock)
    clock.unix_ms += 4 * MINUTE
    made = restarted(tmp_path, clock)
    assert usable(made)
    assert made.admission.paused
    clock.unix_ms += MINUTE
    assert not usable(restarted(tmp_path, clock))


async def test_a_pause_of_the_process_before_is_not_forgotten(tmp_path: Path) -> None:
    clock = HandClock()
    async with world(tmp_path, clock=clock) as sidecar:
        clock.unix_ms += 10 * MINUTE
        now = sidecar.kept.now()
        sidecar.told(authority_ms=0)
        sidecar.lease().authority_boot_ms = now.boot_ms + 5 * MINUTE
        sidecar.journal.note_leases(sidecar.admission.allowance)
        sidecar.journal.note_time(sidecar.kept.keeper.kept)
    # Somebody sets the wall clock back: the time that was lost stays lost.
    clock.unix_ms -= 10 * MINUTE
    assert usable(restarted(tmp_path, clock))
    clock.forward(5 * MINUTE)
    assert not usable(restarted(tmp_path, clock))


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(Host("machine", "another boot"), id="after a reboot"),
        pytest.param(Host("another machine", "boot"), id="on another machine"),
        pytest.param(Host("machine", ""), id="where the boot cannot be told"),
        pytest.param(Host("", "another boot"), id="in a container without a machine's id"),
    ],
)
async def test_elsewhere_or_after_a_reboot_nothing_opens_before_somebody_answered(
    tmp_path: Path, host: Host
) -> None:
    clock = HandClock()
    await lived(tmp_path, clock)
    made = restarted(tmp_path, clock, host)
    assert not usable(made)
    assert made.lease().available_nano_usd == DOLLAR - CENT


async def test_a_copy_of_the_journal_opens_nothing_before_somebody_answered(tmp_path: Path) -> None:
    """Two containers on one host have the same boot, and often the same or no machine's id."""
    clock = HandClock()
    original = tmp_path / "original"
    original.mkdir()
    await lived(original, clock)
    copied = tmp_path / "copy"
    shutil.copytree(original, copied)
    made = restarted(copied, clock)
    assert not usable(made)
    assert "WARNING journal_copied" in made.log.getvalue()
    # The original goes on.
    assert usable(restarted(original, clock))
