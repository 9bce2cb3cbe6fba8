"""What a message of an alert says: plain sentences, each of them once.

Every alert tells what, since when, how much, what happens when nothing is done, one action, who
owns it and by when it is to be answered. Amounts are "used", never a bare percentage, which
people have read as what is left. A client reads neither of other clients nor of this program.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from control_plane.core.alerts import Alert, Fact, Rule
from control_plane.core.deliveries import Message
from control_plane.core.zones import load_zone
from protos.values.money import nano_to_usd

_CENT_NANO_USD: Final = 10_000_000
_PPM_PER_PERCENT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Context:
    """What a text needs to know besides its alert."""

    owner: str
    """Who answers; empty when nobody is named."""
    due_unix_ms: int
    """By when; 0 when no answer is due."""
    time_zone: str
    """In which instants are told."""
    link: str = ""
    """Where the alert is seen; empty when no such address is known."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The part of a text that a rule decides."""

    what: str
    how_much: str
    otherwise: str
    """What happens when nothing is done."""
    action: str


Facts = Mapping[str, Fact]


def tell(alert: Alert, context: Context) -> Message:
    """The text of an alert that goes on, for those who answer it."""
    words = _WORDS[alert.rule](alert.facts, context)
    owner = context.owner or "nobody: name one with `bursar escalation set --owner`"
    lines = [
        ("Since", instant(alert.found_unix_ms, context.time_zone)),
        ("How much", words.how_much),
        ("If nothing is done", words.otherwise),
        ("Do this", words.action),
        ("Owner", owner),
    ]
    if context.due_unix_ms:
        lines.append(("Answer by", instant(context.due_unix_ms, context.time_zone)))
    lines.append(("Acknowledge", f"bursar alert ack {alert.alert_id}"))
    return Message(
        f"[{alert.severity.name}] {words.what}", words.what + ".", tuple(lines), context.link
    )


def tell_escalated(alert: Alert, context: Context, unanswered_by: str) -> Message:
    """The text for the next one, because the one before did not answer."""
    text = tell(alert, context)
    why = f"{unanswered_by or 'The owner'} has not answered, so it is yours now."
    return Message(text.subject, text.what, (("Why you", why), *text.lines), text.link)


def tell_over(alert: Alert, context: Context) -> Message:
    """The text for those who were told, when it is over."""
    words = _WORDS[alert.rule](alert.facts, context)
    lasted = max(0, alert.resolved_unix_ms - alert.found_unix_ms) // 60_000
    by = f"{alert.answered_by}: {alert.note}".rstrip(": ") if alert.answered_by else "by itself"
    return Message(
        f"[over] {words.what}",
        f"Over: {words.what}.",
        (("Lasted", f"{lasted} min"), ("Ended", by)),
        context.link,
    )


def tell_client(alert: Alert, context: Context) -> Message:
    """The text for the client itself: its own budget, in its own words."""
    facts = alert.facts
    cap, spent = _usd(facts, "cap"), _usd(facts, "spent")
    until = f" until {_when(facts, 'end', context)}" if facts.get("end_unix_ms") else ""
    if alert.rule is Rule.STOPPED:
        what = "Your AI budget is used up"
        lines = (
            (
                "How much",
                f"{spent} of {cap} are used; {facts['refused_count']:,} calls were refused",
            ),
            ("What it means", f"further calls are refused{until}, or until the budget is raised"),
            ("Do this", "answer this message if the budget is to be raised"),
        )
    else:
        what = f"{facts['percent']}% of your AI budget are used"
        lines = (
            ("How much", f"{spent} of {cap} are used"),
            ("What it means", f"calls are refused when all of it is used{until}"),
            ("Do this", "answer this message if the budget is to be raised"),
        )
    return Message(what, what + ".", lines)


def tell_client_over(alert: Alert) -> Message:
    """The text for a client whose calls were stopped, and are not any more."""
    what = "Your AI budget has room again"
    lines = (("What it means", "calls pass again"),) if alert.rule is Rule.STOPPED else ()
    return Message(what, what + ".", lines)


def instant(at_unix_ms: int, time_zone: str) -> str:
    """An instant for reading, in a named zone, such as "2026-11-23 14:05 Europe/Berlin"."""
    local = datetime.fromtimestamp(at_unix_ms // 1_000, UTC).astimezone(load_zone(time_zone))
    return f"{local:%Y-%m-%d %H:%M} {time_zone}"


def about_usd(amount_nano_usd: int) -> str:
    """An amount for reading, rounded half up to cents; what is less than a cent is told exactly."""
    if abs(amount_nano_usd) < _CENT_NANO_USD:
        return nano_to_usd(amount_nano_usd)
    cents = (abs(amount_nano_usd) + _CENT_NANO_USD // 2) // _CENT_NANO_USD
    return nano_to_usd(cents * _CENT_NANO_USD * (1 if amount_nano_usd > 0 else -1))


def about_time(length_ms: int) -> str:
    """A length of time for reading."""
    minutes = length_ms // 60_000
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def together(texts: Sequence[Message]) -> Message:
    """Several texts for one reader as one."""
    if len(texts) == 1:
        return texts[0]
    lines: list[tuple[str, str]] = []
    for text in texts:
        lines += [("", ""), ("", text.what), *text.lines]
    return Message(
        f"{len(texts)} alerts: {texts[0].subject}", f"{len(texts)} alerts.", tuple(lines)
    )


def _usd(facts: Facts, name: str) -> str:
    return about_usd(int(facts[f"{name}_nano_usd"]))


def _when(facts: Facts, name: str, context: Context) -> str:
    return instant(int(facts[f"{name}_unix_ms"]), context.time_zone)


def _budget(facts: Facts) -> str:
    whose = f"{facts['client']}: " if facts["client"] else ""
    part = f" ({facts['partition']})" if facts["partition"] else ""
    return f"{whose}{facts['budget']}{part}"


def _used(facts: Facts) -> str:
    return f"{_usd(facts, 'spent')} of {_usd(facts, 'cap')} are used"


def _raise(facts: Facts) -> str:
    return f"bursar budget raise {facts['budget_id']} --by …"


def _stops(facts: Facts, context: Context) -> str:
    if not facts["end_unix_ms"]:
        return "calls are refused when the cap is reached, until it is raised"
    end = _when(facts, "end", context)
    return f"calls are refused when the cap is reached, until {end}"


def _threshold(facts: Facts, context: Context) -> _Words:
    return _Words(
        f"{_budget(facts)} has used {facts['percent']}% of its cap",
        _used(facts),
        _stops(facts, context),
        f"look at what spends it (bursar usage), or {_raise(facts)}",
    )


def _stopped(facts: Facts, context: Context) -> _Words:
    until = f" until {_when(facts, 'end', context)}" if facts["end_unix_ms"] else ""
    return _Words(
        f"{_budget(facts)} is stopped at its cap",
        f"{facts['refused_count']:,} calls refused since {_when(facts, 'refused', context)}; "
        + _used(facts),
        f"every further call is refused{until}",
        _raise(facts),
    )


def _time_to_cap(facts: Facts, context: Context) -> _Words:
    return _Words(
        f"{_budget(facts)} reaches its cap in {about_time(int(facts['time_to_cap_ms']))}",
        f"{_usd(facts, 'last_hour')} in the last hour; {_used(facts)}",
        _stops(facts, context),
        f"stop what runs away (bursar usage --by workflow), or {_raise(facts)}",
    )


def _forecast(facts: Facts, context: Context) -> _Words:
    return _Words(
        f"{_budget(facts)} is expected to pass its cap",
        f"{_usd(facts, 'expected')} expected ({_usd(facts, 'low')} to {_usd(facts, 'high')}) "
        f"of {_usd(facts, 'cap')}; {_usd(facts, 'spent')} are used",
        _stops(facts, context),
        f"agree on a new cap with the client, then {_raise(facts)}",
    )


def _error_rate(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"{facts['client']}: calls of {facts['workflow'] or 'no named workflow'} to "
        f"{facts['provider']} fail",
        f"{facts['failed_count']} of {facts['call_count']} calls failed in the last "
        f"{about_time(int(facts['window_ms']))}",
        "the workflow goes on failing",
        "look at how they fail: bursar calls",
    )


def _outage(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"{facts['provider']} fails {facts['client_count']} clients",
        f"{facts['failed_count']} calls failed",
        "workflows that use it go on failing",
        "look at the provider's status page, and move workflows to another provider",
    )


def _latency(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"{facts['client']}: calls of {facts['workflow'] or 'no named workflow'} are slow",
        f"one in twenty takes longer than {int(facts['p95_ms']) / 1_000:.1f} s, "
        f"usually {int(facts['usual_p95_ms']) / 1_000:.1f} s",
        "the workflow stays slow, and its tools may give up",
        "look at which model is slow: bursar calls",
    )


def _margin(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"{facts['client']} is charged less than it costs",
        f"{_usd(facts, 'loss')} lost this month: {_usd(facts, 'charge')} charged for "
        f"{_usd(facts, 'cost')}",
        "each further call loses more",
        "bursar client rate-card set",
    )


def _price(facts: Facts, context: Context) -> _Words:
    effect = int(facts["effect_nano_usd"])
    more = "dearer" if effect > 0 else "cheaper"
    sign = "+" if effect > 0 else ""
    return _Words(
        f"{facts['client']}: {facts['provider']}/{facts['model']} gets {more}",
        f"about {sign}{about_usd(effect)} a month, as it spent {_usd(facts, 'spent')} on the model "
        f"in 30 days; from {_when(facts, 'begins', context)}",
        "the client's calls cost that much more" if effect > 0 else "nothing",
        "tell the client, and see whether the cap and the rate card still fit",
    )


def _retiring(facts: Facts, context: Context) -> _Words:
    instead = f"; {facts['replacement']} is to take its place" if facts["replacement"] else ""
    replaced = (
        f", which would cost {_usd(facts, 'replaced')}" if "replaced_nano_usd" in facts else ""
    )
    return _Words(
        f"{facts['client']} uses {facts['provider']}/{facts['model']}, which is retired",
        f"{_usd(facts, 'spent')} in 30 days{instead}{replaced}",
        f"calls with it fail from {_when(facts, 'retires', context)} on",
        "move the client's workflows to another model",
    )


def _silent(facts: Facts, context: Context) -> _Words:
    return _Words(
        f"sidecar {facts['sidecar']} is silent",
        f"last heard {_when(facts, 'heard', context)}",
        "its calls stop when its leases end, and what it spends is not seen",
        f"look whether {facts['sidecar']} runs and reaches the control plane",
    )


def _orphaned(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"money of a lost journal of {facts['sidecar']} waits for a decision",
        f"{_usd(facts, 'held')} in {facts['lease_count']} leases",
        "it stays out of the budgets until their windows end, and is charged then",
        "bursar lease orphans",
    )


def _delivery(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"messages to {facts['channel']} do not arrive",
        f"{facts['failed_count']} given up; the last answer: {facts['error']}",
        "whoever is reached by it hears of nothing",
        f"bursar channel test {facts['channel_id']}",
    )


def _test(facts: Facts, _context: Context) -> _Words:
    return _Words(
        f"this is a test of alerts for {facts['client'] or 'the agency'}",
        "nothing is wrong",
        "nothing happens",
        "acknowledge it, to try that too",
    )


_WORDS: Final[Mapping[Rule, Callable[[Facts, Context], _Words]]] = {
    Rule.THRESHOLD: _threshold,
    Rule.STOPPED: _stopped,
    Rule.TIME_TO_CAP: _time_to_cap,
    Rule.FORECAST: _forecast,
    Rule.ERROR_RATE: _error_rate,
    Rule.OUTAGE: _outage,
    Rule.LATENCY: _latency,
    Rule.MARGIN: _margin,
    Rule.PRICE: _price,
    Rule.RETIRING: _retiring,
    Rule.SILENT: _silent,
    Rule.ORPHANED: _orphaned,
    Rule.DELIVERY: _delivery,
    Rule.TEST: _test,
}
