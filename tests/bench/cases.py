"""What is measured, how long and how often."""

from __future__ import annotations

import dataclasses

from tests.bench import workload
from tests.bench.measure import Case

# The case that the bars are about.
BAR_CASE = "plain"
BAR_IN_FLIGHT = 64

OPEN_STREAMS = 1_000
PACED_GAP_MS = 20
SLOW_GAP_MS = 1_000
RATE_PER_S = 500
PLAIN_ROUNDS = 5
OTHER_ROUNDS = 3
PACED_ROUNDS = 2
TELEMETRY_ROUNDS = 10
DIRECT_ROUNDS = 2
DIRECT_WINDOW_MS = 1_000
PLAIN_WINDOW_MS = 3_000
OTHER_WINDOW_MS = 2_000


def plain(rounds: int | None, window_ms: int | None) -> list[Case]:
    """Over a plain upstream: capacity, latency, streams."""
    capacity = [
        Case(BAR_CASE, in_flight, OTHER_ROUNDS, OTHER_WINDOW_MS, direct=True)
        for in_flight in (1, 16, 256)
    ]
    capacity.insert(2, Case(BAR_CASE, BAR_IN_FLIGHT, PLAIN_ROUNDS, PLAIN_WINDOW_MS, direct=True))
    even = Case(
        "plain, even",
        BAR_IN_FLIGHT,
        OTHER_ROUNDS,
        OTHER_WINDOW_MS,
        rate_per_s=RATE_PER_S,
        direct=True,
    )
    rushed = [
        Case("stream, rushed", in_flight, OTHER_ROUNDS, OTHER_WINDOW_MS, stream=_RUSHED)
        for in_flight in (16, 64)
    ]
    # A stream lasts two seconds: connections start spread over them, and one whole life is seen.
    paced = Case(
        "stream, paced",
        64,
        PACED_ROUNDS,
        OTHER_WINDOW_MS,
        warm_up_ms=_PACED_MS,
        stream=_PACED,
        ramp_ms=_PACED_MS,
    )
    return [_scaled(case, rounds, window_ms) for case in (*capacity, even, *rushed, paced)]


def tls(rounds: int | None, window_ms: int | None) -> list[Case]:
    """Over a TLS upstream: capacity, and one rushed stream case."""
    cases = (
        Case("plain", 64, OTHER_ROUNDS, PLAIN_WINDOW_MS),
        Case("stream, rushed", 64, 2, OTHER_WINDOW_MS, stream=_RUSHED),
    )
    return [_scaled(case, rounds, window_ms) for case in cases]


def telemetry(rounds: int | None, window_ms: int | None) -> Case:
    """The bar's case, often and shortly: two sidecars that take turns."""
    case = Case(BAR_CASE, BAR_IN_FLIGHT, TELEMETRY_ROUNDS, OTHER_WINDOW_MS)
    return _scaled(case, rounds, window_ms)


def open_streams(count: int) -> Case:
    """Many streams that are merely open: one event a second each."""
    ramp_ms = 1 + count * 3 // 2
    window_ms = 1_000
    warm_up_ms = ramp_ms + 3_000
    events = 2 + (warm_up_ms + window_ms) // SLOW_GAP_MS + 2
    shape = workload.StreamShape(events=events, gap_ms=SLOW_GAP_MS)
    return Case(
        "open streams",
        count,
        rounds=1,
        window_ms=window_ms,
        warm_up_ms=warm_up_ms,
        stream=shape,
        ramp_ms=ramp_ms,
        once=True,
    )


# Run before memory is read, so that what every process allocates once is not counted per stream.
SETTLING = Case("settling", 16, rounds=1, window_ms=1_000)

_RUSHED = workload.StreamShape()
_PACED = workload.StreamShape(gap_ms=PACED_GAP_MS)
_PACED_MS = (workload.STREAM_EVENTS - 1) * PACED_GAP_MS


def direct(case: Case) -> Case:
    """The same load without anything in between: steadier, so it needs less time."""
    return dataclasses.replace(
        case,
        rounds=min(case.rounds, DIRECT_ROUNDS),
        window_ms=min(case.window_ms, DIRECT_WINDOW_MS),
    )


def _scaled(case: Case, rounds: int | None, window_ms: int | None) -> Case:
    """The case with the rounds and the window that were asked for."""
    return dataclasses.replace(
        case,
        rounds=case.rounds if rounds is None else min(rounds, case.rounds) or 1,
        window_ms=window_ms or case.window_ms,
    )
