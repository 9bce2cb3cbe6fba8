"""The runs, in an order that drift and neighbours cannot turn into a result.

Rules:
1. Both systems stay up for a whole phase and take turns: every round runs every case on each, and
   every other round begins with the other one. A slow minute of the machine hits both.
2. A run is invalid if a single answer was wrong, or if the upstream did not answer exactly the
   calls that were asked, or if a stream through the sidecar went without the usage that metering
   needs. At the end of a phase the ledger must hold every call and its cost: a gateway that skips
   its work is not measured.
3. Data lies on a disk. A folder in memory is refused, where fsync costs nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.bench import cases, machine, measure, processes, stack, workload

DIRECT = "direct"
PASS_THROUGH = "pass-through"
SIDECAR = "sidecar"
WATCHED = "sidecar, 1 % recorded"
TELEMETRY = "telemetry"
"""The phase in which a sidecar that is seen from outside takes turns with one that is not."""
_RECORDED_PARTS = 100

_SPARE_FILES = 256
_SINK_S = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    rounds: int | None
    """The most rounds of any case; None for each case's own."""
    window_ms: int | None
    """The window of every case; None for each case's own."""
    open_streams: int
    budgets: int
    """Capped budgets that every call matches."""
    systems: frozenset[str]
    """Which systems are measured."""
    telemetry_only: bool = False
    """Whether only the cost of telemetry is measured."""


@dataclass(frozen=True, slots=True)
class Run:
    """A sample and the phase that it belongs to."""

    phase: str
    sample: measure.Sample


@dataclass(slots=True)
class Findings:
    """Everything that was seen."""

    runs: list[Run] = field(default_factory=list)
    ledgers: dict[str, stack.Ledger] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Why a number must not be believed; empty when all may be."""


class Upstream:
    """The bench upstream as this process sees it."""

    def __init__(self, port: int, ca: Path | None) -> None:
        self.port = port
        self.tls = None if ca is None else ssl.create_default_context(cafile=str(ca))
        self.url = f"{'http' if ca is None else 'https'}://127.0.0.1:{port}"

    def counts(self) -> dict[str, int]:
        """What it has answered so far."""
        connection: http.client.HTTPConnection
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        else:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=10, context=self.tls
            )
        with contextlib.closing(connection):
            connection.request("GET", "/counts")
            counts: dict[str, int] = json.loads(connection.getresponse().read())
        return counts


class Campaign:
    """All phases, one after the other."""

    def __init__(self, options: Options, cores: machine.Cores, folder: Path) -> None:
        self.options = options
        self.cores = cores
        self.folder = folder
        self.bench = measure.Bench(cores)
        self.findings = Findings()

    def run(self) -> Findings:
        """Measure everything."""
        rounds, window_ms = self.options.rounds, self.options.window_ms
        if SIDECAR in self.options.systems:
            self._telemetry(cases.telemetry(rounds, window_ms))
        if self.options.telemetry_only:
            return self.findings
        self._phase("plain upstream", cases.plain(rounds, window_ms), ca=None)
        authority = trustme.CA()
        ca, certificate = self.folder / "ca.pem", self.folder / "server.pem"
        authority.cert_pem.write_to_path(str(ca))
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
        self._phase("TLS upstream", cases.tls(rounds, window_ms), ca=ca)
        allowed = processes.raise_file_limit(2 * self.options.open_streams + _SPARE_FILES)
        streams = min(self.options.open_streams, (allowed - _SPARE_FILES) // 2)
        if streams < self.options.open_streams:
            _tell(f"only {allowed} files may be open: {streams} streams are measured")
        self._phase("memory", [cases.SETTLING, cases.open_streams(streams)], ca=None)
        return self.findings

    def _phase(self, name: str, planned: list[measure.Case], ca: Path | None) -> None:
        with contextlib.ExitStack() as up:
            upstream, subjects, installation = self._start(up, name, ca)
            answered = 0
            for number in range(max(case.rounds for case in planned)):
                turn = subjects if number % 2 == 0 else subjects[::-1]
                for case in planned:
                    if number >= case.rounds:
                        continue
                    for subject in turn:
                        asked = cases.direct(case) if subject.name == DIRECT else case
                        if subject.name == DIRECT and (not case.direct or number >= asked.rounds):
                            continue
                        sample = self._sample(name, asked, subject, upstream)
                        if subject.name == SIDECAR:
                            answered += sample.load.answered
            if installation is not None:
                self._check_ledger(name, installation, answered)

    def _telemetry(self, case: measure.Case) -> None:
        """A sidecar with its telemetry on next to one without any, taking turns."""
        with contextlib.ExitStack() as up:
            provider = self._child(up, "upstream", [], TELEMETRY)
            upstream = Upstream(provider.port(), None)
            sink = self._child(up, "sink", [], TELEMETRY)
            sink_port = sink.port()
            installations = [
                up.enter_context(
                    stack.running(
                        folder=self.folder / f"{TELEMETRY}-{bool(url)}",
                        upstream_url=upstream.url,
                        ca=None,
                        cores=self.cores,
                        budgets=self.options.budgets,
                        name=name,
                        collector_url=url,
                    )
                )
                for name, url in ((SIDECAR, ""), (WATCHED, f"http://127.0.0.1:{sink_port}"))
            ]
            pids = {provider.pid, sink.pid}
            for each in installations:
                pids |= {each.subject.pid, *each.subject.helper_pids}
            up.callback(setattr, self.bench, "our_pids", self.bench.our_pids)
            self.bench.our_pids = self.bench.our_pids | pids
            answered = dict.fromkeys((SIDECAR, WATCHED), 0)
            for number in range(case.rounds):
                for each in installations if number % 2 == 0 else installations[::-1]:
                    sample = self._sample(TELEMETRY, case, each.subject, upstream)
                    answered[each.subject.name] += sample.load.answered
            for each in installations:
                name = each.subject.name
                self._check_ledger(f"{TELEMETRY}, {name}", each, answered[name])
            self._check_sink(Upstream(sink_port, None), answered[WATCHED])

    def _check_sink(self, sink: Upstream, answered: int) -> None:
        """One call in a hundred was recorded, and every one was counted."""
        deadline = time.perf_counter() + _SINK_S
        counts = sink.counts()
        while counts["calls_counted"] < answered and time.perf_counter() < deadline:
            time.sleep(0.1)
            counts = sink.counts()
        wanted = answered // _RECORDED_PARTS
        if not wanted // 2 <= counts["spans"] <= wanted * 2 or counts["calls_counted"] != answered:
            self.findings.problems.append(
                f"{TELEMETRY}: of {answered} calls the collector was told {counts}"
            )

    def _start(
        self, up: contextlib.ExitStack, name: str, ca: Path | None
    ) -> tuple[Upstream, list[measure.Subject], stack.Stack | None]:
        """Start the upstream and the systems of one phase."""
        slug = name.replace(" ", "-")
        provider = self._child(
            up, "upstream", ["--cert", str(self.folder / "server.pem")] if ca else [], slug
        )
        upstream = Upstream(provider.port(), ca)
        subjects = [measure.Subject(DIRECT, upstream.port, provider.pid, "none")]
        installation = None
        if PASS_THROUGH in self.options.systems:
            trust = {"SSL_CERT_FILE": str(ca)} if ca else {}
            bare = self._child(up, "passthrough", ["--upstream", upstream.url], slug, trust)
            subjects.append(measure.Subject(PASS_THROUGH, bare.port(), bare.pid, "none"))
        if SIDECAR in self.options.systems:
            installation = up.enter_context(
                stack.running(
                    folder=self.folder / slug,
                    upstream_url=upstream.url,
                    ca=ca,
                    cores=self.cores,
                    budgets=self.options.budgets,
                )
            )
            subjects.append(installation.subject)
        ours = {pid for subject in subjects for pid in (subject.pid, *subject.helper_pids)}
        ours |= self.bench.our_pids
        up.callback(setattr, self.bench, "our_pids", self.bench.our_pids)
        self.bench.our_pids = ours
        return upstream, subjects, installation

    def _child(
        self,
        up: contextlib.ExitStack,
        module: str,
        arguments: list[str],
        slug: str,
        environment: dict[str, str] | None = None,
    ) -> processes.Child:
        core = self.cores.under_test if module == "passthrough" else self.cores.others
        return up.enter_context(
            processes.Child(
                f"tests.bench.{module}",
                arguments,
                core=core,
                log=self.folder / f"{module}-{slug}.log",
                environment=environment,
            )
        )

    def _sample(
        self, phase: str, case: measure.Case, subject: measure.Subject, upstream: Upstream
    ) -> measure.Sample:
        before = upstream.counts()
        sample = self.bench.run(case, subject)
        counts = {name: count - before[name] for name, count in upstream.counts().items()}
        where = f"{phase}, {case.name}, {case.in_flight} in flight, {subject.name}"
        self.findings.runs.append(Run(phase, sample))
        self.findings.problems += [f"{where}: {why}" for why in _problems(sample, case, counts)]
        _tell(f"{where}: {_short(sample)}")
        return sample

    def _check_ledger(self, phase: str, installation: stack.Stack, answered: int) -> None:
        ledger = installation.ledger_after(answered)
        self.findings.ledgers[phase] = ledger
        wanted = stack.Ledger(answered, 0, 0, answered * workload.COST_NANO_USD)
        if ledger != wanted:
            self.findings.problems.append(f"{phase}: the ledger has {ledger}, the bill is {wanted}")


def _problems(sample: measure.Sample, case: measure.Case, counts: dict[str, int]) -> Iterator[str]:
    """Everything that makes a sample unfit."""
    result = sample.load
    if result.errors:
        yield f"{result.errors} wrong answers; the first: {result.first_error}"
        return
    if counts["calls"] != result.answered:
        yield f"the upstream answered {counts['calls']} calls, the client got {result.answered}"
    if counts["hang_ups"]:
        yield f"{counts['hang_ups']} streams were cut off at the upstream"
    if sample.subject == SIDECAR and counts["usage_chunks"] != counts["streams"]:
        yield f"{counts['streams'] - counts['usage_chunks']} streams were sent without metering"
    if case.once and result.streaming_at_end != case.in_flight:
        yield f"only {result.streaming_at_end} of {case.in_flight} streams were open together"
    if not case.once and not result.calls:
        yield "no call ended in the window"


def _short(sample: measure.Sample) -> str:
    if sample.load.events:
        return f"{sample.load.events_per_s:,.0f} chunks/s"
    if sample.load.calls:
        return f"{sample.load.calls_per_s:,.0f} calls/s"
    return f"{sample.pss_at_end_kib / 1024:.0f} MiB"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
