"""From figures to tables, and to the targets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from tests.leasing.figures import OURS, Figures
from tests.leasing.workloads import cases

FIRST_REFUSAL_MIN = {
    "20-on-100": 0.94,
    "50-on-1000": 0.98,
    "agency-30": 0.98,
    "agency-30-turn": 0.98,
    "50-cents-on-5": 0.90,
}
"""The share of the cap that is spent before the first refusal, without loss."""
END_MIN = 0.999
PAYABLE_PER_1000_MAX = 1
"""Calls refused that could have been paid, in a thousand, with 1 % loss; without loss none."""
NEAR_SYNCS_MAX = 1.5
FAR_SYNCS_MAX = 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """What was wanted and what was measured."""

    claim: str
    measured: str
    held: bool


def table(found: Sequence[Figures]) -> list[str]:
    """One row for each run of ours: how far the cap was used, who was refused, who waited."""
    head = (
        "| case | loss | calls | over | unpaid | first refusal | end | idle | starved "
        "| waited | p50 / p95 / p99 ms | Syncs/1,000 | far | near | opened | waiting | asked |"
    )
    lines = [head, "|---|" + "---:|" * 16]
    for each in found:
        if each.job.system == OURS:
            waits = f"{each.wait_p50:,.0f} / {each.wait_p95:,.0f} / {each.wait_p99:,.0f}"
            lines.append(
                f"| {each.job.case} | {each.job.loss_percent} % | {each.calls:,} "
                f"| {_usd(each.overshoot)} | {each.payable} | {_percent(each.first_refusal)} "
                f"| {_percent(each.end)} | {_percent(each.idle)} | {each.starved} "
                f"| {_percent(each.waited / max(1, each.passed), 1)} | {waits} "
                f"| {1_000 * each.syncs / max(1, each.calls):,.0f} "
                f"| {_rate(each.far)} ({_rate(each.far_all)}) "
                f"| {_rate(each.near)} ({_rate(each.near_all)}) | {_rate(each.near_opened)} "
                f"| {_rate(each.near_need)} | {_rate(each.near_asked)} |"
            )
    return lines


def rivals_table(found: Sequence[Figures]) -> list[str]:
    """The same calls under the rules of others."""
    head = [
        "| case | system | over | unpaid | first refusal | end | idle |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    return head + [
        f"| {each.job.case} | {each.job.system} | {_usd(each.overshoot)} | {each.payable} "
        f"| {_percent(each.first_refusal)} | {_percent(each.end)} | {_percent(each.idle)} |"
        for each in found
        if each.job.loss_percent == 0
    ]


def refusals(found: Iterable[Figures]) -> list[str]:
    """Why calls were refused, by case."""
    lines = ["| case | loss | passed | refused, by reason |", "|---|---:|---:|---|"]
    for each in found:
        if each.job.system == OURS:
            reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(each.reasons.items()))
            job = each.job
            lines.append(f"| {job.case} | {job.loss_percent} % | {each.passed:,} | {reasons} |")
    return lines


def targets(found: Sequence[Figures]) -> list[Target]:
    """Every target that these runs can show."""
    ours = [each for each in found if each.job.system == OURS]
    still = [each for each in ours if each.job.loss_percent == 0]
    lossy = [each for each in ours if each.job.loss_percent == 1]
    known = cases()
    far = [each for each in still if known[each.job.case].roomy]
    roomy = [each for each in far if not known[each.job.case].cold]
    cold = [each for each in far if known[each.job.case].cold]
    filled = [each for each in still if known[each.job.case].fills]
    made = [
        _all("overshoot is $0.00 in every run", ours, lambda f: f.overshoot == 0, _over),
        _all("without loss no refused call could be paid", still, lambda f: not f.payable, _unpaid),
        _all(
            "with 1 % loss at most 1 in 1,000 could",
            lossy,
            lambda f: f.payable * 1_000 <= PAYABLE_PER_1000_MAX * f.calls,
            _unpaid,
        ),
        *_first_refusals(still),
        _all(
            "at the end at least 99.9 % is spent",
            [each for each in still if known[each.job.case].fills],
            lambda f: f.end >= END_MIN,
            lambda f: _percent(f.end),
        ),
        _all(
            "at most 0.05 Syncs about money per passed call, far from the cap",
            roomy,
            lambda f: f.far is not None and f.far <= FAR_SYNCS_MAX,
            lambda f: _rate(f.far),
            beside=cold,
        ),
        _all(
            "at most 1.5 Syncs about money per call that the end of a cap pays for",
            filled,
            lambda f: f.near is not None and f.near <= NEAR_SYNCS_MAX,
            lambda f: _rate(f.near),
        ),
        _all(
            "at most 1.5 of them per call that asked: paid for, or refused after it had waited",
            filled,
            lambda f: f.near_asked is not None and f.near_asked <= NEAR_SYNCS_MAX,
            lambda f: _rate(f.near_asked),
        ),
    ]
    return [target for target in made if target.measured]


def _first_refusals(still: Sequence[Figures]) -> Iterator[Target]:
    for name, minimum in FIRST_REFUSAL_MIN.items():
        yield _all(
            f"{name}: first refusal after {minimum:.0%}",
            [each for each in still if each.job.case == name],
            partial(_refused_no_sooner, minimum),
            lambda f: _percent(f.first_refusal),
        )


def _all(
    claim: str,
    found: Sequence[Figures],
    holds: Callable[[Figures], bool],
    says: Callable[[Figures], str],
    *,
    beside: Sequence[Figures] = (),
) -> Target:
    """One target over some runs; those `beside` are told and not judged."""
    failing = [each for each in found if not holds(each)]
    told = [f"{f.job.case} {f.job.loss_percent} %: {says(f)}" for f in found]
    told += [f"not judged, {f.job.case} {f.job.loss_percent} %: {says(f)}" for f in beside]
    return Target(claim, ", ".join(told), not failing)


def _refused_no_sooner(minimum: float, figures: Figures) -> bool:
    return figures.first_refusal is None or figures.first_refusal >= minimum


def _over(figures: Figures) -> str:
    return _usd(figures.overshoot)


def _unpaid(figures: Figures) -> str:
    return f"{figures.payable} of {figures.calls:,}"


def _usd(nano_usd: int) -> str:
    return f"${nano_usd / 1e9:,.2f}"


def _percent(share: float | None, digits: int = 2) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
