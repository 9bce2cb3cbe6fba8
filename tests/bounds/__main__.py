"""`python -m tests.bounds`: hold generated requests against their dearest legal bills."""

import argparse
import sys

from tests.bounds.campaign import Outcome, run
from tests.bounds.mutants import MUTANTS, Verdict, hunt, trees
from tests.bounds.proof import Held

DEFAULT_COUNT = 100_000
SHOWN_MAX_BYTES = 2_000


def _counts(outcome: Outcome) -> str:
    labels = sorted(outcome.bounded.keys() | outcome.refused.keys())
    rows = [
        f"  {label:22} {outcome.bounded[label]:8,} bounded {outcome.refused[label]:8,} refused"
        for label in labels
    ]
    total = outcome.bounded.total(), outcome.refused.total()
    rows.append(f"  {'all':22} {total[0]:8,} bounded {total[1]:8,} refused")
    return "\n".join(rows)


def _broken(found: Held, seed: int) -> str:
    case = found.case
    billed_nano_usd = float(found.dearest_pico_usd) / 1_000
    rows = [
        f"seed {seed}: {found.worst_nano_usd:,} nano-USD held, {billed_nano_usd:,.3f} billed",
        f"  {case.surface.value} at {case.dialect}, model {case.model}, clamp {case.clamp}",
        f"  sent: {found.wire[:SHOWN_MAX_BYTES]!r}",
        *(f"  price: {version}" for version in case.versions),
    ]
    return "\n".join(rows)


def _verdict(verdict: Verdict) -> str:
    mutant = verdict.mutant
    found = f"caught by request {verdict.at}" if verdict.caught else "NOT CAUGHT"
    return f"  {mutant.name:24} {found:28} (within {mutant.within:,}) {mutant.words}"


def _hunt_all() -> int:
    caught = True
    with trees() as made:
        for mutant in MUTANTS:
            verdict = hunt(made, mutant)
            caught = caught and verdict.caught
            print(_verdict(verdict), flush=True)
    return 0 if caught else 1


def main() -> int:
    """Run what was asked for; 1 when a bound does not hold, or a mutant was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.bounds", description=__doc__)
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="requests to generate")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed")
    parser.add_argument("--mutants", action="store_true", help="plant bugs, and look for each")
    parser.add_argument("--first", action="store_true", help="print only which request broke")
    asked = parser.parse_args()
    if asked.mutants:
        return _hunt_all()
    if asked.first:
        outcome = run(asked.count, asked.seed, shrink=False)
        print(-1 if outcome.broken is None else outcome.seed - asked.seed + 1)
        return 0 if outcome.broken is None else 1
    outcome = run(asked.count, asked.seed, lambda done: print(f"{done:,} requests", flush=True))
    print(_counts(outcome))
    if outcome.broken is None:
        print("Every bound is at least its dearest legal bill.")
        return 0
    print(_broken(outcome.broken, outcome.seed))
    return 1


if __name__ == "__main__":
    sys.exit(main())
