"""Traces as plain values: whose trace a call belongs to, whether it is recorded, and what of it.

The wire form is W3C Trace Context, level 1. Whether a call is recorded is decided before anything
is built: as its caller decided, where it comes with a trace, else by a ratio of the trace's id. So
a call that is not recorded costs a look for one header and one random number.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from protos.telemetry.limits import TRACE_STATE_CHARACTERS_MAX

Draw = Callable[[int], int]
"""A random number of so many bits."""
Value = str | int | bool | tuple[str, ...]
_TRACE_BITS = 128
_SPAN_BITS = 64
_RATIO_BITS = 64
_HEX = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_STATE = re.compile(r"[ -~\t]*\Z")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span as others refer to it."""

    trace_id: int
    """128 bits, not all zero."""
    span_id: int
    """64 bits, not all zero."""
    sampled: bool
    """Whether who made it records it."""
    state: str = ""
    """What tracing systems add for each other; kept as it came."""

    @property
    def traceparent(self) -> str:
        """The header that carries it on."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


def read_traceparent(header: str, state: str = "") -> TraceContext | None:
    """A caller's trace; None when there is none, or the header is not one."""
    head, rest = header[:55], header[55:]
    if _HEX.match(head) is None or head.startswith("ff") or rest[:1] not in ("", "-"):
        return None
    if rest and head.startswith("00"):
        return None  # Only later versions may say more.
    trace_id, span_id = int(head[3:35], 16), int(head[36:52], 16)
    if not trace_id or not span_id:
        return None
    if len(state) > TRACE_STATE_CHARACTERS_MAX or _STATE.match(state) is None:
        state = ""
    return TraceContext(trace_id, span_id, bool(int(head[53:55], 16) & 1), state)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Which traces are recorded."""

    ratio_millionths: int
    """Of a million traces that begin here, so many are recorded."""
    parent_based: bool = True
    """Whether a caller's decision is followed, where it comes with one."""

    def wants(self, parent: TraceContext | None, trace_id: int) -> bool:
        """Whether a trace is recorded; its id decides, so that all who see it decide the same."""
        if parent is not None and self.parent_based:
            return parent.sampled
        low = trace_id & ((1 << _RATIO_BITS) - 1)
        return low < (self.ratio_millionths << _RATIO_BITS) // 1_000_000


@dataclass(frozen=True, slots=True)
class Started:
    """A span that was begun, because it is recorded."""

    context: TraceContext
    parent: TraceContext | None


def start(sampler: Sampler, parent: TraceContext | None, draw: Draw) -> Started | None:
    """Begin a span under a caller's trace or a new one; None when it is not recorded."""
    trace_id = parent.trace_id if parent is not None else draw(_TRACE_BITS) or 1
    if not sampler.wants(parent, trace_id):
        return None
    state = parent.state if parent is not None else ""
    return Started(TraceContext(trace_id, _span_id(draw), True, state), parent)


def child(of: TraceContext, draw: Draw) -> Started:
    """Begin a span below one that is recorded."""
    return Started(TraceContext(of.trace_id, _span_id(draw), True, of.state), of)


def _span_id(draw: Draw) -> int:
    return draw(_SPAN_BITS) or 1


class SpanKind(Enum):
    """Where a span stands between processes."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened within a span."""

    name: str
    unix_ms: int


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended."""

    name: str
    kind: SpanKind
    started: Started
    begun_unix_ms: int
    ended_unix_ms: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    failed: bool = False
    """Whether it counts as an error."""
