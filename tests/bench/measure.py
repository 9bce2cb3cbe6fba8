"""One case, one system, one run: what the generator saw and what the kernel saw meanwhile."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from tests.bench import load, machine, workload


@dataclass(frozen=True, slots=True)
class Case:
    """A load, and how often and how long it is measured."""

    name: str
    in_flight: int
    rounds: int
    window_ms: int
    warm_up_ms: int = 500
    stream: workload.StreamShape | None = None
    rate_per_s: int | None = None
    ramp_ms: int = 0
    once: bool = False
    direct: bool = False
    """Whether the upstream is measured without anything in between, too."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A system under test, as the generator and the kernel know it."""

    name: str
    port: int
    pid: int
    api_key: str
    helper_pids: tuple[int, ...] = field(default=())
    """Processes that belong to the system but not to what is measured: its control plane."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one case."""

    case: str
    subject: str
    in_flight: int
    load: load.LoadResult
    cpu_us: int
    """CPU time of the process under test in the window, all its threads."""
    helper_cpu_us: int
    """CPU time of its helpers in the window."""
    other_core_share: float
    """How busy the core of the generator was; near 1 means that the generator was the limit."""
    foreign_share: float
    """CPU that processes used which are none of ours, in cores."""
    pss_before_kib: int
    pss_at_end_kib: int
    written_bytes: int | None
    """Bytes the process under test sent towards storage in the window."""

    @property
    def calls_per_s(self) -> float:
        return self.load.calls_per_s

    @property
    def cpu_us_per_call(self) -> float | None:
        return self.cpu_us / self.load.calls if self.load.calls else None

    @property
    def cpu_us_per_event(self) -> float | None:
        return self.cpu_us / self.load.events if self.load.events else None

    @property
    def under_test_share(self) -> float:
        """How busy the process under test was, in cores."""
        return self.cpu_us * 1_000 / self.load.window_ns


@dataclass(slots=True)
class _Marks:
    """What the kernel's counters said at one edge of the window."""

    at_ns: int
    busy_us: int
    other_core_us: int
    subject_us: int
    helpers_us: int
    ours_us: int
    written_bytes: int | None


class Bench:
    """What all runs have in common: the cores, and which processes are ours."""

    def __init__(self, cores: machine.Cores) -> None:
        self.cores = cores
        self.our_pids: set[int] = {os.getpid()}

    def run(self, case: Case, subject: Subject) -> Sample:
        """Measure one case on one system."""
        request = workload.request_bytes("127.0.0.1", subject.api_key, case.stream)
        marks: list[_Marks] = []
        pss_before_kib = machine.pss_kib(subject.pid)
        result = load.Generator(
            load.Load(
                port=subject.port,
                request=request,
                in_flight=case.in_flight,
                warm_up_ms=case.warm_up_ms,
                window_ms=case.window_ms,
                stream_events=case.stream.events if case.stream else None,
                rate_per_s=case.rate_per_s,
                ramp_ms=case.ramp_ms,
                once=case.once,
            )
        ).run(
            lambda: marks.append(self._marks(subject)), lambda: marks.append(self._marks(subject))
        )
        opened, closed = marks
        elapsed_us = (closed.at_ns - opened.at_ns) / 1_000
        ours_us = closed.ours_us - opened.ours_us
        written = None
        if opened.written_bytes is not None and closed.written_bytes is not None:
            written = closed.written_bytes - opened.written_bytes
        return Sample(
            case=case.name,
            subject=subject.name,
            in_flight=case.in_flight,
            load=result,
            cpu_us=closed.subject_us - opened.subject_us,
            helper_cpu_us=closed.helpers_us - opened.helpers_us,
            other_core_share=(closed.other_core_us - opened.other_core_us) / elapsed_us,
            foreign_share=(closed.busy_us - opened.busy_us - ours_us) / elapsed_us,
            pss_before_kib=pss_before_kib,
            pss_at_end_kib=self.pss_at_end_kib,
            written_bytes=written,
        )

    def _marks(self, subject: Subject) -> _Marks:
        self.pss_at_end_kib = machine.pss_kib(subject.pid)
        return _Marks(
            at_ns=time.perf_counter_ns(),
            busy_us=machine.busy_us(),
            other_core_us=machine.busy_us(self.cores.others),
            subject_us=machine.cpu_us(subject.pid),
            helpers_us=sum(machine.cpu_us(pid) for pid in subject.helper_pids),
            ours_us=sum(machine.cpu_us(pid) for pid in self.our_pids | {subject.pid}),
            written_bytes=machine.written_bytes(subject.pid),
        )
