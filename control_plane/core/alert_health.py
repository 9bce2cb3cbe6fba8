"""Rules about what serves the clients: failures, outages, latency, sidecars, lost money, delivery.

Failures are measured against an objective, by the burn rates of service objectives: calls fail in
a steady way where they fail at all, which spend does not. A short window must agree with the long
one, so that an alert ends soon after its cause; both need a floor, or one failed call of two
would page.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.core.alerts import DAY_MS, HOUR_MS, MINUTE_MS, Finding, Rule, Severity

OBJECTIVE_FAILED_PPM: Final = 20_000
"""Of a million calls of a workflow so many may fail."""
BURNS: Final = (
    (HOUR_MS, 15 * MINUTE_MS, 144, Severity.P1),
    (6 * HOUR_MS, 30 * MINUTE_MS, 60, Severity.P2),
)
"""Long window, short window, tenths of the objective's rate, and how grave that is. The rates are
those of the usual table for two and five percent of a month's allowance; the short windows are
whole quarter hours, because roll-ups are."""
FAILED_FLOOR_COUNT: Final = 20
"""So many calls must have failed in the long window."""
SHORT_FLOOR_COUNT: Final = 3
"""So many calls must have failed in the short window."""
OUTAGE_CLIENTS: Final = 3
"""A provider that fails so many clients at once is out."""
OUTAGE_FLOOR_COUNT: Final = 5
"""So many calls of a client must have failed for it to count."""

LATENCY_RATIO_PERCENT: Final = 200
LATENCY_FLOOR_COUNT: Final = 20
"""So many calls there must be on either side."""
LATENCY_FLOOR_MS: Final = 500
"""What takes less is nobody's worry."""

SILENT_MS: Final = 2 * MINUTE_MS
"""A sidecar that said nothing for so long is silent."""

MARGIN_FLOOR_NANO_USD: Final = 1_000_000_000
"""A client that cost less this month is not judged."""

RETIRING_DAYS: Final = ((7, Severity.P2), (30, Severity.P3), (90, Severity.P4))
"""Days before a model is gone, and how grave it is that it is in use."""
PRICE_EFFECT_PPM: Final = 50_000
"""A price change that moves a client's cost by less is not told."""

_RANK_ERRORS: Final = 1
_RANK_OUTAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Answers:
    """How calls ended in one window."""

    call_count: int = 0
    failed_count: int = 0

    def burns(self, tenths: int) -> bool:
        """Whether the share that failed is at least so many tenths of the objective's."""
        return self.failed_count * 1_000_000 * 10 >= (
            self.call_count * OBJECTIVE_FAILED_PPM * tenths
        )


@dataclass(frozen=True, slots=True)
class WorkflowSeen:
    """How one workflow's calls to one provider ended lately."""

    project_id: str
    client: str
    workflow: str
    provider: str
    windows: Mapping[int, Answers]
    """By their length in milliseconds, up to now."""


@dataclass(frozen=True, slots=True)
class LatencySeen:
    """How long one workflow's calls took."""

    project_id: str
    client: str
    workflow: str
    call_count: int
    """In the last half hour."""
    p95_ms: int
    usual_count: int
    """In the two weeks before."""
    usual_p95_ms: int


@dataclass(frozen=True, slots=True)
class SidecarSeen:
    """A sidecar that is meant to speak."""

    sidecar_id: str
    sidecar: str
    """Its name."""
    project_ids: tuple[str, ...]
    """Whom it serves; empty for all."""
    heard_unix_ms: int


@dataclass(frozen=True, slots=True)
class OrphanSeen:
    """Money of a lost journal that nobody has decided about."""

    sidecar_id: str
    sidecar: str
    held_nano_usd: int
    lease_count: int


@dataclass(frozen=True, slots=True)
class MarginSeen:
    """What a client was charged this month, of the calls that are charged at all."""

    project_id: str
    client: str
    month: str
    cost_nano_usd: int
    charge_nano_usd: int


@dataclass(frozen=True, slots=True)
class PriceSeen:
    """A price that began lately or begins soon, for a client who uses the model."""

    project_id: str
    client: str
    provider: str
    model: str
    version: str
    begins_unix_ms: int
    spent_nano_usd: int
    """On the model, in 30 days."""
    effect_ppm: int
    """What the new price adds to that, in millionths of it; negative where it is cheaper."""


@dataclass(frozen=True, slots=True)
class RetirementSeen:
    """A model that will be gone, for a client who uses it."""

    project_id: str
    client: str
    provider: str
    model: str
    retires_unix_ms: int
    replacement: str
    """Empty when none is named."""
    spent_nano_usd: int
    """On the model, in 30 days."""
    replaced_nano_usd: int | None
    """What that would have cost with the replacement; None when it has no price."""


@dataclass(frozen=True, slots=True)
class DeliverySeen:
    """Messages that could not be delivered to a channel, and are given up."""

    channel_id: str
    channel: str
    failed_count: int
    error: str
    """The last one, as the other side said it."""


def judge_answers(seen: Iterable[WorkflowSeen]) -> Iterator[Finding]:
    """Workflows that fail, and providers that fail many."""
    workflows = list(seen)
    outages = _outages(workflows)
    yield from outages.values()
    for one in workflows:
        for long_ms, short_ms, tenths, severity in BURNS:
            long = one.windows.get(long_ms, Answers())
            short = one.windows.get(short_ms, Answers())
            if (
                long.failed_count >= FAILED_FLOOR_COUNT
                and short.failed_count >= SHORT_FLOOR_COUNT
                and long.burns(tenths)
                and short.burns(tenths)
            ):
                yield Finding(
                    Rule.ERROR_RATE,
                    f"{one.project_id}/{one.workflow}/{one.provider}",
                    one.project_id,
                    severity,
                    measure=long.failed_count,
                    facts={
                        "client": one.client,
                        "workflow": one.workflow,
                        "provider": one.provider,
                        "failed_count": long.failed_count,
                        "call_count": long.call_count,
                        "window_ms": long_ms,
                    },
                    group=f"provider/{one.provider}",
                    rank=_RANK_ERRORS,
                )
                break


def _outages(workflows: Iterable[WorkflowSeen]) -> dict[str, Finding]:
    long_ms, short_ms, tenths, _ = BURNS[0]
    hit: dict[str, dict[str, int]] = {}
    for one in workflows:
        short = one.windows.get(short_ms, Answers())
        long = one.windows.get(long_ms, Answers())
        if short.failed_count >= OUTAGE_FLOOR_COUNT and short.burns(tenths) and long.burns(tenths):
            clients = hit.setdefault(one.provider, {})
            clients[one.project_id] = clients.get(one.project_id, 0) + long.failed_count
    return {
        provider: Finding(
            Rule.OUTAGE,
            provider,
            "",
            Severity.P1,
            measure=len(clients),
            facts={
                "provider": provider,
                "client_count": len(clients),
                "failed_count": sum(clients.values()),
            },
            group=f"provider/{provider}",
            rank=_RANK_OUTAGE,
        )
        for provider, clients in hit.items()
        if len(clients) >= OUTAGE_CLIENTS
    }


def judge_latency(seen: LatencySeen) -> Iterator[Finding]:
    """Whether a workflow's slow calls take much longer than they use to."""
    if min(seen.call_count, seen.usual_count) < LATENCY_FLOOR_COUNT:
        return
    if seen.p95_ms < LATENCY_FLOOR_MS:
        return
    if seen.p95_ms * 100 > seen.usual_p95_ms * LATENCY_RATIO_PERCENT:
        yield Finding(
            Rule.LATENCY,
            f"{seen.project_id}/{seen.workflow}",
            seen.project_id,
            Severity.P3,
            measure=seen.p95_ms,
            facts={
                "client": seen.client,
                "workflow": seen.workflow,
                "p95_ms": seen.p95_ms,
                "usual_p95_ms": seen.usual_p95_ms,
                "call_count": seen.call_count,
            },
        )


def judge_sidecar(seen: SidecarSeen, now_unix_ms: int) -> Iterator[Finding]:
    """Whether a sidecar is silent."""
    if now_unix_ms - seen.heard_unix_ms > SILENT_MS:
        yield Finding(
            Rule.SILENT,
            seen.sidecar_id,
            seen.project_ids[0] if len(seen.project_ids) == 1 else "",
            Severity.P2,
            measure=(now_unix_ms - seen.heard_unix_ms) // MINUTE_MS,
            facts={"sidecar": seen.sidecar, "heard_unix_ms": seen.heard_unix_ms},
        )


def judge_orphans(seen: OrphanSeen) -> Iterator[Finding]:
    """Money that stays out of budgets until somebody decides."""
    if seen.held_nano_usd > 0:
        yield Finding(
            Rule.ORPHANED,
            seen.sidecar_id,
            "",
            Severity.P2,
            measure=seen.held_nano_usd,
            facts={
                "sidecar": seen.sidecar,
                "held_nano_usd": seen.held_nano_usd,
                "lease_count": seen.lease_count,
            },
        )


def judge_margin(seen: MarginSeen) -> Iterator[Finding]:
    """A client that is charged less than it costs."""
    loss = seen.cost_nano_usd - seen.charge_nano_usd
    if seen.cost_nano_usd >= MARGIN_FLOOR_NANO_USD and loss > 0:
        yield Finding(
            Rule.MARGIN,
            f"{seen.project_id}/{seen.month}",
            seen.project_id,
            Severity.P3,
            measure=loss,
            facts={
                "client": seen.client,
                "month": seen.month,
                "cost_nano_usd": seen.cost_nano_usd,
                "charge_nano_usd": seen.charge_nano_usd,
                "loss_nano_usd": loss,
            },
        )


def judge_price(seen: PriceSeen) -> Iterator[Finding]:
    """A price that changes what a client costs."""
    if abs(seen.effect_ppm) <= PRICE_EFFECT_PPM or not seen.spent_nano_usd:
        return
    yield Finding(
        Rule.PRICE,
        f"{seen.project_id}/{seen.version}",
        seen.project_id,
        Severity.P3,
        measure=abs(seen.effect_ppm),
        facts={
            "client": seen.client,
            "provider": seen.provider,
            "model": seen.model,
            "version": seen.version,
            "begins_unix_ms": seen.begins_unix_ms,
            "spent_nano_usd": seen.spent_nano_usd,
            "effect_nano_usd": seen.spent_nano_usd * seen.effect_ppm // 1_000_000,
        },
    )


def judge_retirement(seen: RetirementSeen, now_unix_ms: int) -> Iterator[Finding]:
    """A model that is in use and will be gone; graver as the day comes nearer."""
    days = (seen.retires_unix_ms - now_unix_ms) // DAY_MS
    severity = next((grave for within, grave in RETIRING_DAYS if days < within), None)
    if severity is None or not seen.spent_nano_usd:
        return
    facts: dict[str, str | int] = {
        "client": seen.client,
        "provider": seen.provider,
        "model": seen.model,
        "retires_unix_ms": seen.retires_unix_ms,
        "replacement": seen.replacement,
        "spent_nano_usd": seen.spent_nano_usd,
    }
    if seen.replaced_nano_usd is not None:
        facts["replaced_nano_usd"] = seen.replaced_nano_usd
    yield Finding(
        Rule.RETIRING,
        f"{seen.project_id}/{seen.provider}/{seen.model}",
        seen.project_id,
        severity,
        measure=max(0, -days),
        facts=facts,
    )


def judge_delivery(seen: DeliverySeen) -> Iterator[Finding]:
    """A channel that takes no messages."""
    yield Finding(
        Rule.DELIVERY,
        seen.channel_id,
        "",
        Severity.P2,
        measure=seen.failed_count,
        facts={
            "channel": seen.channel,
            "channel_id": seen.channel_id,
            "failed_count": seen.failed_count,
            "error": seen.error,
        },
    )
