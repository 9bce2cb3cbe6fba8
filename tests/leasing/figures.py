"""What is read off a run."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from tests.leasing import rivals
from tests.leasing.truth import PAYABLE_SAMPLES, Truth
from tests.leasing.workloads import cases
from tests.leasing.world import Case, Progress, Run, World

OURS = "Bursar"
WAITED_OUT = ("busy", "unreachable")
"""Reasons of calls that gave up waiting."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    case: str
    system: str
    loss_percent: int
    seed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one run. Amounts in nano-dollars, times in milliseconds."""

    job: Job
    calls: int
    passed: int
    reasons: dict[str, int]
    overshoot: int
    """The most that any budget's bill was above its cap."""
    payable: int
    """Refused calls that could have been paid."""
    waited: int
    """Calls that waited before they passed."""
    wait_p50: float
    """Over all calls that waited and passed."""
    wait_p95: float
    wait_p99: float
    first_refusal: float | None
    """The share of the cap that was billed then, of the fullest budget of the refused call."""
    end: float
    """The share of the cap that was billed at the end, of the fullest budget."""
    idle: float
    """The part of all caps that lay idle in leases at the first refusal."""
    starved: int
    """Large calls that gave up waiting and could have been paid for a second of it."""
    syncs: int
    """All Syncs of the run, heartbeats and reports included."""
    far: float | None
    """Syncs about money per call that passed, until the first budget was half spent."""
    far_all: float | None
    """The same with all Syncs."""
    near: float | None
    """Syncs about money per call that was paid for, from when a budget was nine tenths spent."""
    near_opened: float | None
    """The same per call that was opened."""
    near_asked: float | None
    """The same per call that was paid for, or refused after it had asked."""
    near_need: float | None
    """As `near_opened`, with those that were due anyway while a call waited."""
    near_all: float | None
    """As `near`, with all Syncs."""


def measure(job: Job) -> Figures:
    """Play one run and read its figures off."""
    case = cases()[job.case]
    if job.system != OURS:
        truth, idle = rivals.play(case, job.system, job.seed)
        return _figures(job, case, truth, idle, None)
    run = World(case, seed=job.seed, loss_percent=job.loss_percent).play()
    return _figures(job, case, run.truth, run.idle_at_refusal, run)


def _figures(job: Job, case: Case, truth: Truth, idle: float, run: Run | None) -> Figures:
    waits = sorted(
        (call.opened_us - call.came_us) / 1_000
        for call in truth.passed
        if call.opened_us > call.came_us
    )
    first = truth.refused[0] if truth.refused else None
    starved = sum(
        1
        for each in truth.refused
        if each.reason in WAITED_OUT
        and case.large
        and each.call.worst >= case.large
        and each.call.longest_samples >= PAYABLE_SAMPLES
    )
    return Figures(
        job=job,
        calls=len(truth.passed) + len(truth.refused),
        passed=len(truth.passed),
        reasons=dict(Counter(each.reason for each in truth.refused)),
        overshoot=truth.most_over,
        payable=sum(each.payable for each in [*truth.refused_before, *truth.refused]),
        waited=len(waits),
        wait_p50=percentile(waits, 50),
        wait_p95=percentile(waits, 95),
        wait_p99=percentile(waits, 99),
        first_refusal=max(first.shares.values()) if first else None,
        end=max(truth.billed[budget] / cap for budget, cap in truth.caps.items()),
        idle=idle,
        starved=starved,
        syncs=run.end.syncs - run.turned.syncs if run else 0,
        far=_per_call(run.turned, run.half, _MONEY) if run else None,
        far_all=_per_call(run.turned, run.half, _ALL) if run else None,
        near=_per_paid(run) if run else None,
        near_opened=_per_call(run.nine_tenths, run.last_opened, _MONEY) if run else None,
        near_asked=_per_paid(run, or_gave_up=True) if run else None,
        near_need=_per_call(run.nine_tenths, run.last_opened, _NEED) if run else None,
        near_all=_per_call(run.nine_tenths, run.last_opened, _ALL) if run else None,
    )


_Syncs = Callable[[Progress], int]
_MONEY: _Syncs = attrgetter("money_syncs")
_NEED: _Syncs = attrgetter("need_syncs")
_ALL: _Syncs = attrgetter("syncs")


def _per_call(since: Progress | None, until: Progress | None, which: _Syncs) -> float | None:
    if since is None or until is None or until.passed <= since.passed:
        return None
    return (which(until) - which(since)) / (until.passed - since.passed)


def _per_paid(run: Run, *, or_gave_up: bool = False) -> float | None:
    since, until = run.nine_tenths, run.last_opened
    if since is None or until.ended <= since.ended:
        return None
    calls = until.ended - since.ended
    if or_gave_up:
        calls += sum(
            since.at_us < each.at_us <= until.at_us and each.at_us > each.call.came_us
            for each in run.truth.refused
        )
    return (until.money_syncs - since.money_syncs) / calls


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The value below which so many percent lie; 0 when there is none."""
    return ordered[min(len(ordered) - 1, percent * len(ordered) // 100)] if ordered else 0.0
