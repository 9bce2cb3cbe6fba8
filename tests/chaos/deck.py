"""What happens in a round, decided by its seed alone: pure, and the same at every call.

The order of faults, their instants and sizes, and what callers ask follow from the seed. What real
processes make of it does not: their timing is the machine's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.caller import ANTHROPIC, OPENAI, Asked
from tests.chaos.limits import CENT_NANO_USD, TRAFFIC_MS

SIDECARS = ("one", "two", "three")
"""The seats that sidecars sit in; a revoked one's seat is taken by another."""
SMALL_DISK_SEAT = "three"
"""Whose data folder lies on the small disk."""

DECK = (
    *("kill_sidecar", "link_reset", "cap_lowered", "disk_full", "kill_control_plane"),
    *("link_half_open_up", "fsync_error", "kill_both", "drain", "provider_reset"),
    *("stop_sidecar", "key_revoked", "link_freeze", "kill_sidecar", "restart_everything"),
    *("link_throttle", "stop_control_plane", "overbilled", "fsync_error", "link_half_open_down"),
    *("kill_all_sidecars", "cap_raised", "cut_off", "link_fin", "kill_control_plane"),
    *("provider_delay", "disk_full", "sidecar_revoked", "link_delay", "kill_sidecar"),
    *("database_fsync_error", "drain", "stop_past_authority", "kill_both", "journal_lost"),
    *("restored", "put_back"),
)
"""The first fault of consecutive seeds, in turn: no kind is left to luck."""
MORE = (
    *("kill_sidecar", "kill_control_plane", "stop_sidecar", "link_reset", "link_fin"),
    *("link_delay", "link_throttle", "link_freeze", "link_half_open_up", "link_half_open_down"),
    *("cap_raised", "cap_lowered", "provider_reset", "provider_delay", "drain"),
)
"""What may come on top."""
FORGETTING = frozenset(("restored", "put_back"))
"""Faults after which the control plane has forgotten what it did last."""
DECISIONS = frozenset(("cap_raised", "cap_lowered"))
"""What it must not be asked to do before it forgets: whoever restores looks after that."""
KINDS = tuple(dict.fromkeys(DECK))
LONG = frozenset(("cut_off", "stop_past_authority"))
"""Faults that last until a promise to the administrator must have come true."""

WORKFLOWS = ("nightly", "mails")
_LONG_WEALTH = 10
_STREAM_SHARE, _HANG_UP_SHARE, _TROUBLE_SHARE, _CHEAP_SHARE = 0.45, 0.08, 0.10, 0.15


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    at_ms: int
    """From the beginning of the traffic."""
    seat: str
    """The sidecar that it concerns, if it concerns one."""
    for_ms: int
    """How long it lasts, if it lasts."""
    size: int
    """How much of it, in thousandths."""

    def __str__(self) -> str:
        return f"{self.kind}({self.seat})@{self.at_ms}ms"


@dataclass(frozen=True)
class Plan:
    """A round."""

    seed: int
    faults: tuple[Fault, ...]
    fresh: bool
    """A new project, not the one of the round before."""
    cap_nano_usd: int
    """The client's cap: so much beyond what is allocated already."""
    agency_nano_usd: int
    """The agency's, likewise."""
    workflow_nano_usd: int | None
    """A cap for one workflow; None for no such budget."""
    key_nano_usd: int | None
    """A cap for one key; None for no such budget."""

    @property
    def long(self) -> bool:
        """Whether a fault of it lasts until a promise must have come true."""
        return any(fault.kind in LONG for fault in self.faults)


def plan_of(seed: int, only: str = "") -> Plan:
    """The round of a seed; with one kind of fault alone when it is named."""
    rng = random.Random(f"round {seed}")
    first = only or DECK[seed % len(DECK)]
    # Whoever is cut off for long must have something to live on.
    wealth = _LONG_WEALTH if first in LONG else 1
    kinds = [first]
    if not only and first not in LONG:
        more = [kind for kind in MORE if first not in FORGETTING or kind not in DECISIONS]
        kinds += rng.sample(more, rng.choices((0, 1, 2), (5, 3, 2))[0])
    faults = tuple(sorted((_fault(kind, rng) for kind in kinds), key=lambda fault: fault.at_ms))
    return Plan(
        seed=seed,
        faults=faults,
        fresh=rng.random() < 0.6,
        cap_nano_usd=rng.randint(15, 160) * CENT_NANO_USD * wealth,
        agency_nano_usd=rng.randint(30, 300) * CENT_NANO_USD * wealth,
        workflow_nano_usd=rng.randint(8, 70) * CENT_NANO_USD if rng.random() < 0.6 else None,
        key_nano_usd=rng.randint(8, 70) * CENT_NANO_USD if rng.random() < 0.4 else None,
    )


def _fault(kind: str, rng: random.Random) -> Fault:
    return Fault(
        kind=kind,
        at_ms=rng.randint(150, TRAFFIC_MS - 600),
        seat=SMALL_DISK_SEAT if kind == "disk_full" else rng.choice(SIDECARS),
        for_ms=rng.randint(200, 1_600),
        size=rng.randint(1, 999),
    )


def calls_of(seed: int, caller: int, attempt: int = 0) -> Iterator[tuple[Asked, str, float]]:
    """What one caller asks in a round, without end: the call, the seat it goes to, a pause in s.

    `attempt` tells the stretches of traffic of a round apart.
    """
    rng = random.Random(f"caller {seed} {caller} {attempt}")
    number = 0
    while True:
        tag = f"r{seed}-{attempt}-{caller}-{number}"
        yield _asked(tag, rng), rng.choice(SIDECARS), rng.random()
        number += 1


def _asked(tag: str, rng: random.Random) -> Asked:
    family = rng.choice((OPENAI, ANTHROPIC))
    stream = rng.random() < _STREAM_SHARE
    limit = rng.choice((5, 10, 20, 40))
    if rng.random() < _CHEAP_SHARE:
        model = "gpt-4o-mini" if family == OPENAI else "claude-haiku-4-5"
    else:
        model = "rehearsal-cent" if family == OPENAI else "claude-rehearsal-cent"
    knobs = [f"reply_tokens={rng.randint(1, limit)}", f"latency_ms={rng.choice((0, 20, 60, 250))}"]
    if stream:
        knobs += [f"chunk_ms={rng.choice((0, 10, 40))}", "chunk_tokens=2"]
    if rng.random() < _TROUBLE_SHARE:
        knobs.append(_trouble(rng, stream=stream))
    hang_up = None
    if rng.random() < _HANG_UP_SHARE:
        hang_up = rng.choice((0, 1, 600))
    return Asked(
        tag=tag,
        family=family,
        model=model,
        limit_tokens=limit,
        workflow=rng.choice(WORKFLOWS),
        knobs=" ".join(knobs),
        stream=stream,
        hang_up_after_bytes=hang_up,
    )


def _trouble(rng: random.Random, *, stream: bool) -> str:
    troubles = ["error_status=500", "error_status=429", "hangup_before_headers", "latency_ms=1500"]
    if stream:
        troubles += [
            "hangup_after_chunks=2",
            "error_after_chunks=1",
            "stall_after_chunks=1 stall_ms=900",
        ]
    return rng.choice(troubles)
