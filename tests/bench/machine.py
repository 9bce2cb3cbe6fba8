"""What the kernel says about the machine and the processes: cores, CPU time, memory, disk.

Linux only: everything comes from /proc. CPU time is utime + stime of all threads of a process,
in clock ticks (usually 10 ms), which a window of seconds makes fine enough.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
MEMORY_FILE_SYSTEMS = frozenset(("tmpfs", "ramfs", "devtmpfs", "hugetlbfs"))
APPEND_BYTES = 100
FSYNC_SAMPLES = 200


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core runs what; the same core for both where there is no choice."""

    under_test: int | None
    """The core of the process under test; None where processes cannot be pinned."""
    others: int | None
    """The core of the generator, the upstream and the control plane."""
    allowed: int
    """How many cores we may use."""

    @property
    def pinned(self) -> bool:
        """Whether the process under test has a core for itself."""
        return self.under_test is not None and self.under_test != self.others


def cores() -> Cores:
    """The last core that we may use is for the process under test, the first for the rest."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None, os.cpu_count() or 1)
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(under_test=allowed[-1], others=allowed[0], allowed=len(allowed))


def cpu_us(pid: int) -> int:
    """CPU time that a process has used so far, its ended threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US


def busy_us(core: int | None = None) -> int:
    """CPU time that the whole machine, or one core, has spent not idle so far."""
    name = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0] == name:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
            return (user + nice + system + irq + softirq + steal) * TICK_US
    raise LookupError(f"/proc/stat does not know {name}")


def pss_kib(pid: int) -> int:
    """Proportional set size: private pages, and a fair share of the shared ones."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError("smaps_rollup has no Pss line")


def written_bytes(pid: int) -> int | None:
    """Bytes that a process has sent towards storage, or None where that is not told."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def file_system(path: Path) -> str:
    """The type of the file system that a path lies on."""
    best, kind = Path("/"), "unknown"
    resolved = path.resolve()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(before.split()[4].replace("\\040", " "))
        if resolved.is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, after.split()[0]
    return kind


def fsync_us(folder: Path) -> tuple[int, int]:
    """Median and 99th percentile of fdatasync after a small append, in this folder."""
    samples_ns = []
    path = folder / "fsync-probe"
    with path.open("ab", buffering=0) as file:
        for _ in range(FSYNC_SAMPLES):
            file.write(b"x" * APPEND_BYTES)
            began_ns = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            samples_ns.append(time.perf_counter_ns() - began_ns)
    path.unlink()
    samples_ns.sort()
    return samples_ns[FSYNC_SAMPLES // 2] // 1_000, samples_ns[FSYNC_SAMPLES * 99 // 100] // 1_000


def facts(folder: Path, cores: Cores) -> dict[str, str]:
    """What a reader must know to compare two reports."""
    p50_us, p99_us = fsync_us(folder)
    return {
        "cpu": _cpu_model(),
        "cores": f"{cores.allowed} allowed of {os.cpu_count()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "trio": importlib.metadata.version("trio"),
        "h11": importlib.metadata.version("h11"),
        "grpcio": importlib.metadata.version("grpcio"),
        "disk": f"{file_system(folder)}, fdatasync of {APPEND_BYTES} B: "
        f"p50 {p50_us} us, p99 {p99_us} us",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
