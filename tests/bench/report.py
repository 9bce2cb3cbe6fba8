"""From samples to a table that can be read, and to the bars."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import campaign, cases, machine, measure, workload

RATIO_BAR_PERCENT = 60
PASS_THROUGH_BAR_US = 330

TELEMETRY_BAR_PERCENT = 5

CONTENDED_SHARE = 0.2
OTHER_CORE_FULL_SHARE = 0.95

Number = float | int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """One bar: what was wanted, what was measured."""

    claim: str
    measured: str
    passed: bool | None
    """None when it could not be measured as the bar asks."""


class Group:
    """The samples of one case on one system."""

    def __init__(self, samples: list[measure.Sample]) -> None:
        self.samples = samples

    def values(self, pick: Callable[[measure.Sample], Number]) -> list[float]:
        """One number of each sample, where it has one."""
        return [value for sample in self.samples if (value := pick(sample)) is not None]

    def median(self, pick: Callable[[measure.Sample], Number]) -> float | None:
        """The median of one number over the samples."""
        values = self.values(pick)
        return statistics.median(values) if values else None

    def spread(self, pick: Callable[[measure.Sample], Number], form: str = ",.0f") -> str:
        """Median, least and most."""
        values = self.values(pick)
        if not values:
            return "-"
        middle = format(statistics.median(values), form)
        if len(values) == 1:
            return middle
        return f"{middle} [{format(min(values), form)}-{format(max(values), form)}]"

    @property
    def contended(self) -> bool:
        """Whether processes that are none of ours took part of the machine."""
        return max(sample.foreign_share for sample in self.samples) > CONTENDED_SHARE

    @property
    def flags(self) -> str:
        """What a reader must know about these samples."""
        flags = []
        if self.contended:
            flags.append(f"CONTENDED {max(sample.foreign_share for sample in self.samples):.2f}")
        others = max(sample.other_core_share for sample in self.samples)
        if others > OTHER_CORE_FULL_SHARE and self.samples[0].subject != campaign.DIRECT:
            flags.append("OTHER CORE FULL")
        return " ".join(flags)


def p50_ms(sample: measure.Sample) -> float | None:
    """Median latency."""
    return sample.load.latency.p50_us / 1_000 if sample.load.latency else None


def p99_ms(sample: measure.Sample) -> float | None:
    """99th percentile of latency."""
    return sample.load.latency.p99_us / 1_000 if sample.load.latency else None


def first_event_ms(sample: measure.Sample) -> float | None:
    """Median time to the first event."""
    return sample.load.first_event.p50_us / 1_000 if sample.load.first_event else None


class Report:
    """All samples of a run, grouped."""

    def __init__(
        self, findings: campaign.Findings, facts: dict[str, str], cores: machine.Cores
    ) -> None:
        self.findings = findings
        self.facts = facts
        self.cores = cores
        self.groups: dict[tuple[str, str, int], dict[str, Group]] = {}
        for run in findings.runs:
            key = (run.phase, run.sample.case, run.sample.in_flight)
            group = self.groups.setdefault(key, {}).setdefault(run.sample.subject, Group([]))
            group.samples.append(run.sample)

    def lines(self) -> Iterator[str]:
        """The whole report as text."""
        yield from (f"{name + ':':13} {value}" for name, value in self.facts.items())
        yield f"{'pinned:':13} {self._pinning()}"
        yield ""
        yield from self._calls()
        yield ""
        yield from self._streams()
        yield ""
        yield from self._memory()
        yield ""
        yield from self._work()
        yield ""
        for verdict in self.verdicts():
            word = {True: "PASS", False: "FAIL", None: "NOT JUDGED"}[verdict.passed]
            yield f"{word}: {verdict.claim}: {verdict.measured}"
        yield from (f"INVALID: {problem}" for problem in self.findings.problems)

    def _pinning(self) -> str:
        if self.cores.pinned:
            return f"under test on core {self.cores.under_test}, the rest on {self.cores.others}"
        if self.cores.under_test is None:
            return "NOT PINNED: this system cannot pin processes; figures include migration"
        return "NOT APART: one core for everything; figures include the generator's share"

    def _calls(self) -> Iterator[str]:
        head = ("plain calls", "in flight", "system", "calls/s", "p50 ms", "p99 ms")
        rows: list[tuple[str, ...]] = [(*head, "added p50", "added p99", "CPU us/call", "busy", "")]
        for (phase, case, in_flight), systems in self.groups.items():
            if not case.startswith("plain"):
                continue
            direct = systems.get(campaign.DIRECT)
            for system, group in systems.items():
                rows.append(
                    (
                        _title(phase, case),
                        str(in_flight),
                        system,
                        group.spread(lambda sample: sample.calls_per_s),
                        group.spread(p50_ms, ".2f"),
                        group.spread(p99_ms, ".2f"),
                        _added(group, direct, p50_ms),
                        _added(group, direct, p99_ms),
                        group.spread(lambda sample: sample.cpu_us_per_call),
                        group.spread(lambda sample: sample.under_test_share, ".2f"),
                        group.flags,
                    )
                )
        yield from _table(rows)

    def _streams(self) -> Iterator[str]:
        head = ("streams", "open", "system", "chunks/s", "streams/s", "first ms")
        rows: list[tuple[str, ...]] = [(*head, "p50 ms", "p99 ms", "CPU us/chunk", "busy", "")]
        for (phase, case, in_flight), systems in self.groups.items():
            if not case.startswith("stream"):
                continue
            for system, group in systems.items():
                rows.append(
                    (
                        _title(phase, case),
                        str(in_flight),
                        system,
                        group.spread(lambda sample: sample.load.events_per_s),
                        group.spread(lambda sample: sample.calls_per_s),
                        group.spread(first_event_ms, ".1f"),
                        group.spread(p50_ms, ".0f"),
                        group.spread(p99_ms, ".0f"),
                        group.spread(lambda sample: sample.cpu_us_per_event, ".1f"),
                        group.spread(lambda sample: sample.under_test_share, ".2f"),
                        group.flags,
                    )
                )
        yield from _table(rows)

    def _memory(self) -> Iterator[str]:
        head = ("memory", "open streams", "system", "PSS before MiB", "PSS MiB")
        rows: list[tuple[str, ...]] = [(*head, "KiB/stream", "first event p50 ms", "p99 ms")]
        for (_, case, in_flight), systems in self.groups.items():
            if case != "open streams":
                continue
            for system, group in systems.items():
                for sample in group.samples:
                    grown_kib = sample.pss_at_end_kib - sample.pss_before_kib
                    first = sample.load.first_event
                    rows.append(
                        (
                            "1 event/s each",
                            str(in_flight),
                            system,
                            f"{sample.pss_before_kib / 1024:.1f}",
                            f"{sample.pss_at_end_kib / 1024:.1f}",
                            f"{grown_kib / in_flight:.1f}",
                            f"{first.p50_us / 1_000:.1f}" if first else "-",
                            f"{first.p99_us / 1_000:.1f}" if first else "-",
                        )
                    )
        yield from _table(rows)

    def _work(self) -> Iterator[str]:
        """That the sidecar did what it is for while it was measured."""
        for phase, ledger in self.findings.ledgers.items():
            bill = ledger.calls * workload.COST_NANO_USD
            same = "equals" if ledger.cost_nano_usd == bill else "DIFFERS FROM"
            yield (
                f"ledger, {phase}: {ledger.calls:,} calls, {ledger.cost_nano_usd:,} nano-USD, "
                f"{same} the bill; {ledger.estimated} estimated"
            )
        bar = self.groups.get(_BAR_KEY, {}).get(campaign.SIDECAR)
        if bar is None:
            return
        written = bar.median(
            lambda sample: (
                sample.written_bytes / sample.load.calls
                if sample.written_bytes is not None and sample.load.calls
                else None
            )
        )
        helpers = bar.median(
            lambda sample: sample.helper_cpu_us / sample.load.calls if sample.load.calls else None
        )
        if written is not None:
            yield f"journal: {written:,.0f} bytes to the disk a call at {cases.BAR_IN_FLIGHT}"
        if helpers is not None:
            yield f"control plane: {helpers:.0f} CPU us a call, on the other core"

    def verdicts(self) -> list[Verdict]:
        """All bars that could be measured."""
        return [*self._against_the_bare(), *self._telemetry()]

    def _telemetry(self) -> Iterator[Verdict]:
        """What telemetry adds to a call, by round: two sidecars that took turns."""
        systems = self.groups.get((campaign.TELEMETRY, cases.BAR_CASE, cases.BAR_IN_FLIGHT), {})
        off, on = systems.get(campaign.SIDECAR), systems.get(campaign.WATCHED)
        if off is None or on is None:
            return
        added = [
            100 * (its / mine - 1)
            for without, watched in zip(off.samples, on.samples, strict=True)
            if (mine := without.cpu_us_per_call) and (its := watched.cpu_us_per_call)
        ]
        if not added:
            return
        percent = statistics.median(added)
        noise = " (CONTENDED: measure again on a quiet machine)"
        judged = self.cores.pinned and not self.findings.problems
        yield Verdict(
            f"with one call in a hundred recorded and metrics each second, a call costs less than "
            f"{TELEMETRY_BAR_PERCENT} % more CPU",
            f"{percent:+.1f} % [{min(added):+.1f} to {max(added):+.1f} by round, {len(added)} "
            f"rounds]{noise * (off.contended or on.contended)}",
            percent < TELEMETRY_BAR_PERCENT if judged else None,
        )

    def _against_the_bare(self) -> list[Verdict]:
        systems = self.groups.get(_BAR_KEY, {})
        bare, ours = systems.get(campaign.PASS_THROUGH), systems.get(campaign.SIDECAR)
        groups = [group for group in (bare, ours) if group is not None]
        noise = " (CONTENDED: measure again on a quiet machine)" * any(g.contended for g in groups)
        judged = self.cores.pinned and not self.findings.problems
        verdicts = []
        if bare is not None and (cpu_us := bare.median(lambda s: s.cpu_us_per_call)) is not None:
            verdicts.append(
                Verdict(
                    f"the pass-through costs at most {PASS_THROUGH_BAR_US} CPU us a call",
                    f"{cpu_us:.0f}{noise}",
                    cpu_us <= PASS_THROUGH_BAR_US if judged else None,
                )
            )
        if bare is None or ours is None:
            return verdicts
        pairs = [
            100 * mine.calls_per_s / its.calls_per_s
            for mine, its in zip(ours.samples, bare.samples, strict=True)
            if its.load.calls
        ]
        bare_rate = bare.median(lambda sample: sample.calls_per_s)
        our_rate = ours.median(lambda sample: sample.calls_per_s)
        if pairs and bare_rate and our_rate is not None:
            ratio_percent = 100 * our_rate / bare_rate
            verdicts.append(
                Verdict(
                    f"at {cases.BAR_IN_FLIGHT} in flight the sidecar has at least "
                    f"{RATIO_BAR_PERCENT} % of the pass-through's calls/s",
                    f"{ratio_percent:.1f} % [{min(pairs):.1f}-{max(pairs):.1f} by round, "
                    f"{len(pairs)} rounds]{noise}",
                    ratio_percent >= RATIO_BAR_PERCENT if judged else None,
                )
            )
        return verdicts

    def write_json(self, path: Path) -> None:
        """Everything, for a program to read."""
        runs = [
            {"phase": run.phase, **dataclasses.asdict(run.sample)} for run in self.findings.runs
        ]
        content = {
            "facts": self.facts,
            "pinned": self.cores.pinned,
            "runs": runs,
            "ledgers": {
                phase: dataclasses.asdict(ledger) for phase, ledger in self.findings.ledgers.items()
            },
            "verdicts": [dataclasses.asdict(verdict) for verdict in self.verdicts()],
            "problems": self.findings.problems,
        }
        path.write_text(json.dumps(content, indent=1) + "\n")


_BAR_KEY = ("plain upstream", cases.BAR_CASE, cases.BAR_IN_FLIGHT)


def _title(phase: str, case: str) -> str:
    words = case.partition(", ")[2]
    how = f"{cases.RATE_PER_S}/s, even" if words == "even" else words
    return " ".join(part for part in (phase.removesuffix(" upstream"), how) if part)


def _added(group: Group, direct: Group | None, pick: Callable[[measure.Sample], Number]) -> str:
    """How much more than without anything in between, median against median."""
    if direct is None or direct is group:
        return "-"
    here, there = group.median(pick), direct.median(pick)
    return "-" if here is None or there is None else f"{here - there:.2f}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows in columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
