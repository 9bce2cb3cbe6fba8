"""Round after round: set up, let traffic and faults meet, heal, wait until all is told, judge."""

import random
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tests.chaos import caller
from tests.chaos.books import Books
from tests.chaos.checker import differences, reason_of
from tests.chaos.deck import Plan, calls_of, plan_of
from tests.chaos.facts import Facts, Made
from tests.chaos.havoc import Havoc
from tests.chaos.installation import Installation
from tests.chaos.limits import (
    AFTER_LONG_MS,
    CALLERS,
    FAILURES_MAX,
    INSTALLATION_ROUNDS_MAX,
    LOOK_S,
    PAUSE_MS,
    SETTLE_S,
    TRAFFIC_MS,
)

_PROBE_SHARE = 0.06
"""Calls that are made with a key that was revoked."""
_SPARED_SHARE = 0.2
"""Of the calls through a seat that is to be spared."""
_LONG_PAUSES = 8
"""In a long round callers take so much more time between two calls."""


@dataclass
class Round:
    """What came of a round."""

    plan: Plan
    calls: int = 0
    billed_calls: int = 0
    billed_nano_usd: int = 0
    cap_nano_usd: int = 0
    """What the client's budget may spend."""
    client_nano_usd: int = 0
    """What was billed for it, over all its rounds."""
    booked_calls: int = 0
    estimated: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Calls by what their callers saw: ok, no answer, broken, or the reason of a refusal."""
    happened: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """Faults that were there and that nobody ran into."""
    promises_awaited: int = 0
    promises_made: int = 0
    served_cut_off: int = 0
    """Calls that a sidecar passed on while it was cut off for long, from what it had leased."""
    settle_ms: int = 0
    """From the healing until everything was told."""
    wall_ms: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences


@dataclass
class Findings:
    """What came of a run."""

    rounds: list[Round] = field(default_factory=list)
    sweeps: list[list[str]] = field(default_factory=list)
    """Differences when all rounds of an installation were looked at together, at its end."""
    missing: dict[str, str] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)
    unplayed: int = 0
    """Rounds that were not played, because too many failed or a signal came."""
    wall_ms: int = 0

    @property
    def failures(self) -> int:
        """Rounds and sweeps with differences, and what was not played."""
        return self.unplayed + sum(not one.ok for one in self.rounds) + sum(map(bool, self.sweeps))


@dataclass(frozen=True)
class Order:
    """What to do."""

    rounds: int
    seed: int
    only: str = ""
    keep: bool = False
    own_mounts: bool = False


async def run(order: Order, folder: Path, tell: Callable[[Round], None]) -> Findings:
    """Play all rounds, some per installation, until too many failed or a signal says stop."""
    findings = Findings()
    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_at_a_signal, nursery.cancel_scope)
        seeds = list(range(order.seed, order.seed + order.rounds))
        while seeds and findings.failures < FAILURES_MAX:
            place = folder / f"installation-{seeds[0]}"
            place.mkdir()
            played, failed = await _installation(order, place, seeds, findings, tell)
            del seeds[:played]
            if failed or order.keep:
                findings.kept.append(place)
            else:
                shutil.rmtree(place)
        nursery.cancel_scope.cancel()
    findings.unplayed = order.rounds - len(findings.rounds)
    findings.wall_ms = int((time.monotonic() - began) * 1_000)
    return findings


async def _stop_at_a_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        task_status.started()
        async for _ in received:
            scope.cancel()


async def _installation(
    order: Order,
    place: Path,
    seeds: list[int],
    findings: Findings,
    tell: Callable[[Round], None],
) -> tuple[int, bool]:
    """Play rounds in one installation, to the first that fails: how many, and whether one did."""
    installation = Installation(place, own_mounts=order.own_mounts)
    findings.missing.update(installation.missing)
    books = Books(installation)
    played, failed = 0, True
    try:
        async with trio.open_nursery() as nursery:
            await installation.begin(nursery)
            for seed in seeds[:INSTALLATION_ROUNDS_MAX]:
                one = await _played(installation, books, plan_of(seed, order.only))
                findings.rounds.append(one)
                tell(one)
                played += 1
                if not one.ok:
                    break
            else:
                swept = await _sweep(books)
                findings.sweeps.append(swept)
                failed = bool(swept)
            nursery.cancel_scope.cancel()
    finally:
        installation.end()
        installation.let_go_of_disks(keep=failed or order.keep)
    return played, failed


async def _played(installation: Installation, books: Books, plan: Plan) -> Round:
    """A round; one that could not be played to its end has failed."""
    try:
        return await play(installation, books, plan)
    except Exception as error:  # noqa: BLE001 - whatever it is, the round did not pass
        return Round(plan, differences=traceback.format_exception(error))


async def _sweep(books: Books) -> list[str]:
    """Look at all rounds of an installation together: nothing may have come later.

    Then what nobody can tell any more is charged, as an administrator would; and looked at again.
    """
    swept = await _look_at_all(books)
    await books.charge_orphans()
    return swept + await _look_at_all(books)


async def _look_at_all(books: Books) -> list[str]:
    deadline = time.monotonic() + SETTLE_S
    while True:
        found = differences(await books.gather())
        if not found or time.monotonic() > deadline:
            return found
        await trio.sleep(LOOK_S)


async def play(installation: Installation, books: Books, plan: Plan) -> Round:
    """Play one round."""
    one = Round(plan)
    began = time.monotonic()
    account = await books.prepare(plan)
    promises = len(books.promises)
    havoc = Havoc(installation, books, plan, account)
    over = trio.Event()
    async with trio.open_nursery() as callers:
        for number in range(CALLERS):
            callers.start_soon(_keep_calling, installation, books, havoc, number, over)
        async with trio.open_nursery() as both:
            both.start_soon(havoc.happen)
            both.start_soon(trio.sleep, TRAFFIC_MS / 1_000)
        if plan.long:
            await trio.sleep(AFTER_LONG_MS / 1_000)
        over.set()
        await installation.heal()
    one.happened, one.skipped, one.missed = havoc.happened, havoc.skipped, havoc.missed
    one.promises_awaited = havoc.promises_awaited
    one.promises_made = len(books.promises) - promises
    books.bad_lines += havoc.bad_lines
    healed = time.monotonic()
    facts = await _judge(installation, books, havoc, one)
    one.settle_ms = int((time.monotonic() - healed) * 1_000)
    _count(one, books, facts, account.client_budget)
    one.served_cut_off = sum(
        made.sidecar == name and made.answer.status == 200 and made.answer.started_ns > span.from_ns
        for name, span in havoc.cut_off
        for made in facts.made.values()
        if made.answer.started_ns < span.to_ns
    )
    one.wall_ms = int((time.monotonic() - began) * 1_000)
    return one


async def _keep_calling(
    installation: Installation, books: Books, havoc: Havoc, number: int, over: trio.Event
) -> None:
    """One call after the other, each through some sidecar, until the traffic is over."""
    account, plan = havoc.account, havoc.plan
    rng = random.Random(f"keys {plan.seed} {number}")
    pause_ms = PAUSE_MS * (_LONG_PAUSES if plan.long else 1)
    for asked, seat_name, share in calls_of(plan.seed, number):
        if over.is_set():
            return
        seat = installation.seats[seat_name]
        if seat_name == havoc.spared and rng.random() > _SPARED_SHARE:
            continue
        probing = books.revoked_keys and rng.random() < _PROBE_SHARE
        key = rng.choice(books.revoked_keys if probing else account.keys)
        port = seat.port
        if port:
            answer = caller.Answer(time.monotonic_ns())
            books.enter(asked, key, seat.folder_name, answer)
            await caller.call(port, key.secret, asked, answer)
        with trio.move_on_after(share * pause_ms / 1_000):
            await over.wait()


async def _judge(installation: Installation, books: Books, havoc: Havoc, one: Round) -> Facts:
    """Look until nothing differs, or until it has to be taken for what it is; the last facts."""
    alarms: list[tuple[str, str]] = []
    expected = havoc.expected_alarms | books.expected_alarms
    deadline = time.monotonic() + SETTLE_S
    while True:
        facts = await books.gather(f"r{one.plan.seed}-")
        alarms += installation.alarms()
        facts.alarms, facts.expected_alarms = alarms, frozenset(expected)
        one.differences = [*havoc.problems, *differences(facts)]
        if one.ok or time.monotonic() > deadline:
            # What a process says on its way out may be read a round later.
            books.expected_alarms = set(havoc.expected_alarms)
            return facts
        await trio.sleep(LOOK_S)


def _count(one: Round, books: Books, facts: Facts, client_budget: str) -> None:
    one.calls = len(facts.made)
    one.billed_calls = sum(row.cost_nano_usd > 0 for row in facts.billed)
    one.billed_nano_usd = sum(row.cost_nano_usd for row in facts.billed)
    one.cap_nano_usd = books.ceilings[client_budget]
    one.client_nano_usd = books.bills.get(client_budget, 0)
    one.booked_calls = len(facts.booked)
    one.estimated = sum(call.estimated for call in facts.booked)
    for made in facts.made.values():
        one.answers[_what(made)] += 1


def _what(made: Made) -> str:
    """What a call's caller saw, in a word or two."""
    answer = made.answer
    if answer.status == 0:
        return "hung up" if answer.hung_up else "no answer"
    if answer.status == 200:
        return "ok" if answer.whole else "hung up" if answer.hung_up else "broken off"
    return reason_of(made) or "the provider's error"
