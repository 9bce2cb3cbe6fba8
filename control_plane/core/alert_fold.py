"""Folds what rules find into the alerts that are known: what opens, worsens, eases, ends, mutes.

Pure: alerts and findings in, changes out. Nothing here knows who is told; see escalation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from control_plane.core.alerts import (
    ACKNOWLEDGED_FOR_MS,
    TERMS,
    Alert,
    Effect,
    Event,
    Finding,
    Happening,
    Rule,
    State,
    step,
)

LookedAt = Callable[[Rule, str], bool]
"""Whether a rule was looked at for a client, with data that can be trusted."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of one alert."""

    alert: Alert
    """As it is now."""
    happened: tuple[Happening, ...] = ()
    tell_over: bool = False
    """Those who were told must hear that it is over."""
    quietly: bool = False
    """That it is over is no news to read: another speaks for it, or it told once of a fact."""
    dropped: bool = False
    """It was never told and is gone: nothing of it stays."""


def fold(
    known: Iterable[Alert],
    findings: Iterable[Finding],
    looked_at: LookedAt,
    new_id: Callable[[], str],
    now_unix_ms: int,
) -> list[Changed]:
    """What changed.

    `known` holds each live, pending or still holding alert, and of rules that tell once the latest
    of each subject that is found.
    """
    by_key = {alert.key: alert for alert in known}
    found = _gravest(findings)
    changes: dict[str, Changed] = {}
    for key, finding in found.items():
        before = by_key.get(key)
        change = (
            _open(finding, new_id(), now_unix_ms)
            if before is None or _is_over(before, finding)
            else _seen(before, finding, now_unix_ms)
        )
        if change is not None:
            changes[change.alert.alert_id] = change
    for key, alert in by_key.items():
        if key not in found and looked_at(alert.rule, alert.project_id):
            change = _unseen(alert, now_unix_ms)
            if change is not None:
                changes[alert.alert_id] = change
    _lapse(by_key.values(), changes, now_unix_ms)
    _mute(by_key.values(), changes, now_unix_ms)
    return list(changes.values())


def happen(alert: Alert, event: Event, now_unix_ms: int, detail: str = "") -> Changed | None:
    """Let an event happen to an alert; None where it changes nothing."""
    led = step(alert, event)
    if led is None:
        return None
    state, effects = led
    after = replace(alert, state=state, version=alert.version + 1)
    if Effect.BEGIN_ROUND in effects:
        after = replace(
            after,
            round_unix_ms=now_unix_ms,
            steps_done=0,
            answered_by="",
            answered_unix_ms=0,
            answered_measure=alert.measure,
        )
    if Effect.END_ROUND in effects:
        after = replace(after, round_unix_ms=0, steps_done=0)
    if state is State.RESOLVED:
        after = replace(after, resolved_unix_ms=now_unix_ms, muted_by="")
    line = Happening(alert.alert_id, now_unix_ms, event, state, after.severity, detail)
    return Changed(
        after,
        (line,),
        tell_over=Effect.TELL_OVER in effects and alert.told,
        quietly=bool(alert.muted_by) or TERMS[alert.rule].once,
    )


def answer(alert: Alert, event: Event, actor: str, note: str, now_unix_ms: int) -> Changed | None:
    """Let a person acknowledge or resolve an alert; None where there is nothing to answer."""
    assert event in (Event.ACKNOWLEDGE, Event.RESOLVE)
    change = happen(alert, event, now_unix_ms, note)
    if change is None:
        return None
    return replace(
        change,
        alert=replace(
            change.alert,
            answered_by=actor,
            answered_unix_ms=now_unix_ms,
            answered_measure=alert.measure,
            note=note,
        ),
    )


def _gravest(findings: Iterable[Finding]) -> dict[tuple[Rule, str], Finding]:
    found: dict[tuple[Rule, str], Finding] = {}
    for finding in findings:
        key = (finding.rule, finding.subject)
        if key not in found or finding.severity < found[key].severity:
            found[key] = finding
    return found


def _is_over(before: Alert, finding: Finding) -> bool:
    """Whether a finding is a new alert although there was one of its kind."""
    if before.state is not State.RESOLVED or TERMS[finding.rule].once:
        return False
    return not before.holds or finding.severity < before.severity


def _open(finding: Finding, alert_id: str, now_unix_ms: int) -> Changed:
    alert = Alert(
        alert_id=alert_id,
        rule=finding.rule,
        subject=finding.subject,
        project_id=finding.project_id,
        severity=finding.severity,
        state=State.PENDING,
        found_unix_ms=now_unix_ms,
        measure=finding.measure,
        facts=dict(finding.facts),
        group=finding.group,
        rank=finding.rank,
    )
    return Changed(alert) if TERMS[finding.rule].holds_ms else _tell(alert, now_unix_ms)


def _tell(alert: Alert, now_unix_ms: int) -> Changed:
    change = happen(replace(alert, opened_unix_ms=now_unix_ms), Event.FOUND, now_unix_ms)
    assert change is not None
    return change


def _seen(before: Alert, finding: Finding, now_unix_ms: int) -> Changed | None:
    if before.state is State.RESOLVED:
        return None
    terms = TERMS[finding.rule]
    graver = finding.severity < before.severity
    milder = finding.severity > before.severity
    now = replace(
        before,
        measure=finding.measure,
        facts=dict(finding.facts),
        severity=min(before.severity, finding.severity),
        rank=max(before.rank, finding.rank),
        holds=True,
        gone_unix_ms=(before.gone_unix_ms or now_unix_ms) if milder else 0,
    )
    if before.state is State.PENDING:
        ripe = now_unix_ms - before.found_unix_ms >= terms.holds_ms
        return _tell(now, now_unix_ms) if ripe else _unless_same(before, now)
    if graver or _multiplied(before, finding.measure, terms.worse_ratio):
        return happen(now, Event.WORSE, now_unix_ms)
    if milder and now_unix_ms - now.gone_unix_ms >= terms.clears_ms:
        eased = replace(now, severity=finding.severity, rank=finding.rank, gone_unix_ms=0)
        return happen(eased, Event.EASED, now_unix_ms)
    return _unless_same(before, now)


def _multiplied(before: Alert, measure: int, ratio: int) -> bool:
    return bool(ratio) and measure >= max(1, before.answered_measure) * ratio


def _unseen(before: Alert, now_unix_ms: int) -> Changed | None:
    if before.state is State.PENDING:
        return Changed(before, dropped=True)
    if before.state is State.RESOLVED:
        return Changed(replace(before, holds=False)) if before.holds else None
    gone = replace(before, gone_unix_ms=before.gone_unix_ms or now_unix_ms)
    if now_unix_ms - gone.gone_unix_ms >= TERMS[before.rule].clears_ms:
        return happen(replace(gone, holds=False), Event.GONE, now_unix_ms)
    return _unless_same(before, gone)


def _unless_same(before: Alert, after: Alert) -> Changed | None:
    return None if before == after else Changed(after)


def _lapse(known: Iterable[Alert], changes: dict[str, Changed], now_unix_ms: int) -> None:
    for before in known:
        change = changes.get(before.alert_id)
        alert = change.alert if change else before
        if alert.state is not State.ACKNOWLEDGED or TERMS[alert.rule].once:
            continue
        if now_unix_ms - alert.answered_unix_ms >= ACKNOWLEDGED_FOR_MS:
            lapsed = happen(alert, Event.LAPSE, now_unix_ms)
            assert lapsed is not None
            earlier = change.happened if change else ()
            changes[alert.alert_id] = replace(lapsed, happened=(*earlier, *lapsed.happened))


def _mute(known: Iterable[Alert], changes: dict[str, Changed], now_unix_ms: int) -> None:
    """Let the highest of a group speak for those that are no graver."""
    after: dict[str, Alert] = {alert.alert_id: alert for alert in known}
    after.update({alert_id: change.alert for alert_id, change in changes.items()})
    groups: dict[str, list[Alert]] = {}
    for alert in after.values():
        if alert.group and alert.is_live:
            groups.setdefault(alert.group, []).append(alert)
    for members in groups.values():
        for alert in members:
            speaker = _speaker_for(alert, members)
            if speaker == alert.muted_by:
                continue
            muted = replace(alert, muted_by=speaker)
            if not speaker and alert.state is State.OPEN:
                # Its owner was told once already: the clock begins again with the next one.
                muted = replace(muted, round_unix_ms=now_unix_ms, steps_done=int(alert.told))
            change = changes.get(alert.alert_id, Changed(alert))
            changes[alert.alert_id] = replace(change, alert=muted)


def _speaker_for(alert: Alert, members: Sequence[Alert]) -> str:
    above = [one for one in members if one.rank > alert.rank and one.severity <= alert.severity]
    return max(above, key=lambda one: (one.rank, one.alert_id)).alert_id if above else ""


def looked_everywhere(rule: Rule, project_id: str) -> bool:  # noqa: ARG001 - a LookedAt
    """A pass that looked at everything."""
    return True


def looked_at_in(scopes: Mapping[Rule, frozenset[str] | None], frozen: frozenset[str]) -> LookedAt:
    """A pass that looked at some rules, each for some clients (None: all), but not what is frozen.

    "" among the frozen means that nothing that rests on calls can be trusted.
    """

    def looked(rule: Rule, project_id: str) -> bool:
        if rule not in scopes:
            return False
        scope = scopes[rule]
        if scope is not None and project_id not in scope:
            return False
        is_frozen = "" in frozen or project_id in frozen or (not project_id and bool(frozen))
        return not (TERMS[rule].from_calls and is_frozen)

    return looked
