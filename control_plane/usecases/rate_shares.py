"""Shares out rate limits with each Sync, from what sidecars said last.

Soft state beside `levels`, under the same rules: only the writer touches it. What it forgets at a
start, sidecars tell again; until all of them did, nobody's share is raised (core/rate_shares.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from control_plane.core import limits
from control_plane.core import rate_shares as core
from control_plane.core.policy import in_scope
from control_plane.core.rate_limits import RateLimit
from control_plane.core.rate_shares import Holding, RateShare, Shared, Table
from control_plane.core.reports import Report
from control_plane.core.sidecars import Sidecar
from control_plane.store import projects, rate_limits, sidecars
from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class _Rules:
    """The limits and weights of one version of the policy."""

    version: tuple[int, int]
    """The generation and the policy's version."""
    limits: tuple[RateLimit, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class RateHoldings:
    """What every sidecar holds of every rate limit, as far as it said so."""

    started_unix_ms: int
    """When this process began to listen."""
    by_limit: dict[str, dict[str, Holding]] = field(default_factory=dict)
    spoke: set[str] = field(default_factory=set)
    """Sidecars that were heard since then."""
    rules: _Rules = _Rules((-1, -1))
    nudged_unix_ms: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[int, Mapping[str, RateShare]]] = field(default_factory=dict)
    """What sidecars should have of a limit, and when that was worked out."""

    def leave(self, sidecar_id: str, now_unix_ms: int) -> None:
        """A sidecar has ended, and said so: what it used counts for a window yet."""
        by_id = {limit.rate_limit_id: limit.shared for limit in self.rules.limits}
        for rate_limit_id, holdings in self.by_limit.items():
            if sidecar_id in holdings and rate_limit_id in by_id:
                gone = core.left(holdings[sidecar_id], by_id[rate_limit_id], now_unix_ms)
                holdings[sidecar_id] = gone


@dataclass(frozen=True, slots=True)
class SharedOut:
    """What a sidecar is told of rate limits, and who must speak so that it can have more."""

    shares: tuple[RateShare, ...] = ()
    nudges: frozenset[str] = frozenset()


def share_out(
    tx: Tx,
    sidecar: Sidecar,
    report: Report,
    known: RateHoldings,
    version: tuple[int, int],
    now_unix_ms: int,
) -> SharedOut:
    """Take what a sidecar says of rate limits, and answer with its shares."""
    asker = sidecar.sidecar_id
    known.spoke.add(asker)
    rules = _rules(tx, known, version)
    if not rules.limits:
        return SharedOut()
    levels = {level.rate_limit_id: level for level in report.rate_levels}
    others = [one for one in sidecars.may_speak(tx) if one.sidecar_id != asker]
    shares: list[RateShare] = []
    wanted: set[str] = set()
    for limit in rules.limits:
        level = levels.get(limit.rate_limit_id)
        if level is None or not _concerns(limit, sidecar):
            continue
        holdings = known.by_limit.setdefault(limit.rate_limit_id, {})
        shared = limit.shared
        holdings[asker] = core.heard(holdings.get(asker), level, report.epoch, shared, now_unix_ms)
        _forget_ended(holdings, {asker, *(one.sidecar_id for one in others)}, shared, now_unix_ms)
        table = Table(
            limit=shared,
            holdings=holdings,
            weights=rules.weights,
            known=len(others) + 1,
            unheard=core.is_unheard(
                shared, others, known.spoke, known.started_unix_ms, now_unix_ms
            ),
        )
        made = core.share_out(table, asker, now_unix_ms, _targets(known, table, now_unix_ms))
        holdings[asker] = core.told(holdings[asker], made.share)
        shares.append(made.share)
        wanted |= made.nudges
    return SharedOut(tuple(shares), _nudges(known, wanted, now_unix_ms))


def _rules(tx: Tx, known: RateHoldings, version: tuple[int, int]) -> _Rules:
    """The limits in force, read anew when anything in the policy changed."""
    if known.rules.version != version:
        found = tuple(rate_limits.everything(tx))
        weights = {}
        if found:
            weights = {one.project_id: one.rate_weight for one in projects.everything(tx)}
        known.rules = _Rules(version, found, weights)
        ids = {limit.rate_limit_id for limit in found}
        for gone in known.by_limit.keys() - ids:
            del known.by_limit[gone]
        known.targets.clear()
    return known.rules


def _forget_ended(
    holdings: dict[str, Holding], may_speak: set[str], limit: Shared, now_unix_ms: int
) -> None:
    """Drop those that cannot come back, once nothing that they used counts: their floors too."""
    ended = [
        sidecar_id
        for sidecar_id, holding in holdings.items()
        if sidecar_id not in may_speak and holding.is_over(limit, now_unix_ms)
    ]
    for sidecar_id in ended:
        del holdings[sidecar_id]


def _targets(known: RateHoldings, table: Table, now_unix_ms: int) -> Mapping[str, RateShare]:
    """What each sidecar should have; where there are many, as it was a moment ago."""
    rate_limit_id = table.limit.rate_limit_id
    made_unix_ms, targets = known.targets.get(rate_limit_id, (0, {}))
    fresh = 0 <= now_unix_ms - made_unix_ms < limits.RATE_TARGETS_MS
    if not fresh or len(table.holdings) <= limits.RATE_FRESH_SIDECARS:
        targets = core.targets_of(table, now_unix_ms)
        known.targets[rate_limit_id] = (now_unix_ms, targets)
    return targets


def _concerns(limit: RateLimit, sidecar: Sidecar) -> bool:
    return not limit.project_id or in_scope(limit.project_id, sidecar.project_ids)


def _nudges(known: RateHoldings, wanted: Iterable[str], now_unix_ms: int) -> frozenset[str]:
    """Those that were not asked to speak just now."""
    asked = frozenset(
        one
        for one in wanted
        if now_unix_ms - known.nudged_unix_ms.get(one, 0) >= limits.RATE_NUDGE_INTERVAL_MS
    )
    known.nudged_unix_ms.update(dict.fromkeys(asked, now_unix_ms))
    return asked
