"""What came of many runs, as a table for people and as JSON for programs."""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.engine import WEAK, Outcome

WEAK_PARTS = 10
"""A kind of fault that was injected in fewer than one run of so many is flagged."""
EXPECTED: tuple[str, ...] = (
    *("lost request", "lost answer", "lost push", "repeated request", "repeated push"),
    *("reordered request", "late answer", "message cut off", "answer cut off", "partition"),
    *("one-way partition", "kill", "kill: write begins", "kill: write ends", "kill: call opened"),
    *("kill: call settled", "kill: answer taken", "power loss", "torn tail", "rotten journal"),
    *("sync error", "disk full", "slow disk", "journal wiped", "old disk returned"),
    *("cloned journal", "suspend", "pause", "clock step", "clock rate", "reboot", "drain"),
    *("control plane killed", "control plane killed in a transaction"),
    *("control plane killed after commit", "two instances", "stale decision"),
    "database full",
    *("cap lowered", "cap raised", "key revoked", "sidecar revoked", "period turned"),
    *("call billed more", "billed after its process died", "provider timeout", "call unbilled"),
    *("database restored",),
)
"""Every kind of fault that a campaign must contain."""


@dataclass(slots=True)
class Report:
    """The sums of a campaign."""

    seeds: int = 0
    steps: list[int] = field(default_factory=list)
    """Of the runs that came to their end."""
    faults: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    simulated_ms: int = 0
    cpu_s: float = 0.0
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.faults.update(outcome.faults)
        self.happened.update(outcome.happened)
        self.simulated_ms += outcome.simulated_ms
        self.cpu_s += outcome.cpu_s
        if outcome.violation:
            self.failed.append(outcome)
        if outcome.violation in ("", WEAK):
            self.steps.append(outcome.steps)
        self.seeds += 1

    def weak(self) -> list[str]:
        """Kinds of faults of which there were too few for so many runs."""
        return [kind for kind in EXPECTED if self.faults[kind] * WEAK_PARTS < self.seeds]

    def lines(self) -> list[str]:
        """The table."""
        steps = self.steps or [0]
        median = int(statistics.median(steps))
        each_s = self.cpu_s / max(1, self.seeds)
        weak = set(self.weak())
        lines = [
            f"seeds              {self.seeds:>12,}",
            f"violations         {len(self.failed):>12,}",
            f"steps a seed       {min(steps):>12,} to {max(steps):,}, median {median:,}",
            f"steps in all       {sum(steps):>12,}",
            f"simulated time     {self.simulated_ms / 3_600_000:>12,.1f} h",
            f"CPU time           {self.cpu_s:>12,.1f} s, {each_s:.2f} s a seed",
            "faults injected:",
        ]
        lines += [
            f"  {kind:<40} {self.faults[kind]:>10,}{_flag(kind in weak)}"
            for kind in sorted(EXPECTED)
        ]
        came = sorted(self.faults.keys() - set(EXPECTED))
        lines += [
            "what came of them:",
            *(f"  {kind:<40} {self.faults[kind]:>10,}" for kind in came),
        ]
        return lines

    def json(self) -> str:
        """The same for programs."""
        told = {
            "seeds": self.seeds,
            "violations": [
                {"seed": each.seed, "invariant": each.violation, "words": each.words}
                for each in self.failed
            ],
            "steps_min": min(self.steps, default=0),
            "steps_median": statistics.median(self.steps) if self.steps else 0,
            "steps_max": max(self.steps, default=0),
            "simulated_ms": self.simulated_ms,
            "cpu_s": round(self.cpu_s, 3),
            "faults": dict(sorted(self.faults.items())),
            "happened": dict(sorted(self.happened.items())),
            "weak": self.weak(),
        }
        return json.dumps(told, indent=1) + "\n"


def _flag(weak: bool) -> str:
    return "   <- too few" if weak else ""


def total(outcomes: Sequence[Outcome]) -> Report:
    """The sums of some runs."""
    report = Report()
    for outcome in outcomes:
        report.add(outcome)
    return report
