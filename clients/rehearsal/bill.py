"""What the rehearsal provider billed, call by call: the outside truth.

Rules:
- A call costs ceil(sum(quantity x price) x tier + fees), rounded up to a nano-USD once, with
  `Fraction`.
- A call is open from the moment its request was read whole until it is settled, once. A whole
  answer is settled before its last bytes leave, so whoever has read an answer finds it here.
- Rows and events are kept up to a limit, oldest dropped first; totals are never dropped.
- Time is an argument.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import islice
from typing import Any

from clients.rehearsal.prices import (
    FILE_SEARCH_NANO_USD,
    NANO_USD_PER_USD,
    WEB_SEARCH_NANO_USD,
    Model,
    nano_usd_per_token,
)

PPM = 1_000_000
OUTCOMES = ("done", "error", "hung_up", "client_gone")


@dataclass(frozen=True, slots=True)
class Quantities:
    """What one call used; the prompt is split into four kinds that do not overlap."""

    input_tokens: int = 0
    """Prompt tokens at the full price."""
    cached_tokens: int = 0
    """Prompt tokens read from a cache."""
    cache_write_tokens: int = 0
    """Prompt tokens written to a cache for the shorter time."""
    cache_write_1h_tokens: int = 0
    """Prompt tokens written to a cache for an hour."""
    output_tokens: int = 0
    """Generated tokens, reasoning included."""
    reasoning_tokens: int = 0
    """Of the generated tokens, those that were never shown."""
    web_searches: int = 0
    """Searches of the web, each with a fee."""
    file_searches: int = 0
    """Searches of stored files, each with a fee."""
    image_input_tokens: int = 0
    """Tokens of pictures in the prompt, where they have a price of their own."""
    audio_input_tokens: int = 0
    """Tokens of sound in the prompt."""
    image_output_tokens: int = 0
    """Tokens of the pictures made."""
    audio_output_tokens: int = 0
    """Tokens of the sound made."""
    pictures: int = 0
    """Pictures made, where each has a price."""
    characters: int = 0
    """Characters spoken, where each has a price."""
    milliseconds: int = 0
    """Time heard, where it has a price."""

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt."""
        return (
            self.input_tokens
            + self.cached_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.image_input_tokens
            + self.audio_input_tokens
        )

    def overbilled(self, ppm: int) -> "Quantities":
        """Return every quantity that many millionths higher, rounded up."""
        if ppm == 0:
            return self
        told = self.to_json().items()
        return Quantities(**{name: -(-count * (PPM + ppm) // PPM) for name, count in told})

    def to_json(self) -> dict[str, int]:
        """Return the quantities by kind."""
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = tuple(each.name for each in fields(Quantities))
NOTHING = Quantities()


def cost_nano_usd(model: Model, used: Quantities, multiplier: Fraction = Fraction(1)) -> int:
    """Return what the quantities cost, rounded up once."""
    tokens = multiplier * (
        used.input_tokens * nano_usd_per_token(model.input)
        + used.cached_tokens * nano_usd_per_token(model.cached_input)
        + used.cache_write_tokens * nano_usd_per_token(model.cache_write)
        + used.cache_write_1h_tokens * nano_usd_per_token(model.cache_write_1h)
        + used.output_tokens * nano_usd_per_token(model.output)
        + _media(model, used)
    )
    fees = used.web_searches * WEB_SEARCH_NANO_USD + used.file_searches * FILE_SEARCH_NANO_USD
    exact = tokens + fees
    return -(-exact.numerator // exact.denominator)


def _media(model: Model, used: Quantities) -> Fraction:
    """Return what pictures and sound cost, exactly."""
    minutes = Fraction(used.milliseconds, 60_000)
    return (
        used.image_input_tokens * nano_usd_per_token(model.media.image_input or model.input)
        + used.audio_input_tokens * nano_usd_per_token(model.media.audio_input)
        + used.image_output_tokens * nano_usd_per_token(model.media.image_output)
        + used.audio_output_tokens * nano_usd_per_token(model.media.audio_output)
        + used.characters * nano_usd_per_token(model.media.per_million_characters)
        + used.pictures * Fraction(model.media.per_picture or "0") * NANO_USD_PER_USD
        + minutes * Fraction(model.media.per_minute or "0") * NANO_USD_PER_USD
    )


@dataclass(frozen=True, slots=True)
class Subject:
    """Who called what; known when a call begins."""

    request_id: str
    """The id the answer carries."""
    provider: str
    """`openai` or `anthropic`."""
    path: str
    """The path asked for."""
    model: str
    """The model as the request named it; empty if it named none."""
    streamed: bool
    """Whether the answer is a stream of events."""
    tier: str
    """The service tier that the bill counts with."""
    key_hint: str
    """The last characters of the caller's key."""
    tag: str
    """The request's x-request-tag."""
    prompt: str
    """The beginning of the prompt, without directives."""


@dataclass(slots=True)
class Call:
    """One call, open until it is settled."""

    number: int
    """Counts calls in the order they came."""
    subject: Subject
    """Who called what."""
    worst_nano_usd: int
    """The most it can cost by this provider's own count, over-billing aside."""
    planned_nano_usd: int
    """What it will cost if nothing cuts it short."""
    started_ns: int
    """When its request had been read, on the monotonic clock."""
    life: int
    """Which life of the bill it belongs to; a reset begins the next."""
    generated_tokens: int = 0
    """Visible tokens generated so far."""
    status: int = 0
    """The HTTP status sent; 0 if none was."""
    ended_ns: int = 0
    """When it was settled; 0 while it is open."""
    outcome: str = ""
    """How it ended: done, error, hung_up or client_gone."""
    used: Quantities = NOTHING
    """What was billed, by kind."""
    cost_nano_usd: int = 0
    """What was billed."""

    @property
    def ended(self) -> bool:
        """Whether it is settled."""
        return self.outcome != ""


@dataclass(frozen=True, slots=True)
class Event:
    """A call that began or ended, with the totals just after."""

    kind: str
    """`start` or `end`."""
    call: Call
    """The call."""
    at_ns: int
    """When, on the monotonic clock."""
    billed_nano_usd: int
    """Billed in total, just after."""
    in_flight: int
    """Calls open, just after."""
    in_flight_worst_nano_usd: int
    """The most the open calls can cost, just after."""


class Bill:
    """Every call since the last reset, and what it cost."""

    def __init__(self, rows_max: int, now_ns: int) -> None:
        self._rows_max = rows_max
        self._life = 0
        self._clear(now_ns)

    def _clear(self, now_ns: int) -> None:
        self.origin_ns = now_ns
        self._rows: deque[Call] = deque(maxlen=self._rows_max)
        self._events: deque[Event] = deque(maxlen=2 * self._rows_max)
        self._calls_started = 0
        self._rows_ended = 0
        self._events_seen = 0
        self._total_nano_usd = 0
        self._in_flight = 0
        self._in_flight_peak = 0
        self._in_flight_worst_nano_usd = 0
        self._in_flight_worst_peak_nano_usd = 0
        self._by_outcome = dict.fromkeys(OUTCOMES, 0)
        self._by_model: dict[str, list[int]] = {}

    @property
    def next_number(self) -> int:
        """The number the next call will get."""
        return self._calls_started + 1

    def reset(self, now_ns: int) -> None:
        """Forget everything; calls still open will not be counted when they end."""
        self._life += 1
        self._clear(now_ns)

    def open(
        self, subject: Subject, worst_nano_usd: int, planned_nano_usd: int, now_ns: int
    ) -> Call:
        """Begin a call."""
        assert planned_nano_usd >= 0
        assert worst_nano_usd >= 0
        self._calls_started += 1
        call = Call(
            self._calls_started, subject, worst_nano_usd, planned_nano_usd, now_ns, self._life
        )
        self._in_flight += 1
        self._in_flight_worst_nano_usd += worst_nano_usd
        self._in_flight_peak = max(self._in_flight_peak, self._in_flight)
        self._in_flight_worst_peak_nano_usd = max(
            self._in_flight_worst_peak_nano_usd, self._in_flight_worst_nano_usd
        )
        self._note("start", call, now_ns)
        return call

    def settle(
        self, call: Call, now_ns: int, outcome: str, used: Quantities, cost_nano_usd: int
    ) -> None:
        """End a call with what it used and cost."""
        assert outcome in OUTCOMES
        assert not call.ended
        assert cost_nano_usd >= 0
        call.ended_ns, call.outcome, call.used = now_ns, outcome, used
        call.cost_nano_usd = cost_nano_usd
        if call.life != self._life:
            return
        self._in_flight -= 1
        self._in_flight_worst_nano_usd -= call.worst_nano_usd
        self._total_nano_usd += cost_nano_usd
        self._by_outcome[outcome] += 1
        if cost_nano_usd or outcome != "error":
            counted = self._by_model.setdefault(call.subject.model, [0, 0])
            counted[0] += 1
            counted[1] += cost_nano_usd
        self._rows.append(call)
        self._rows_ended += 1
        self._note("end", call, now_ns)

    def _note(self, kind: str, call: Call, now_ns: int) -> None:
        self._events_seen += 1
        self._events.append(
            Event(
                kind,
                call,
                now_ns,
                self._total_nano_usd,
                self._in_flight,
                self._in_flight_worst_nano_usd,
            )
        )

    def summary(self) -> dict[str, Any]:
        """Return the totals."""
        return {
            "total_nano_usd": str(self._total_nano_usd),
            "calls_started": self._calls_started,
            "calls_ended": self._rows_ended,
            "by_outcome": dict(self._by_outcome),
            "by_model": {
                model: {"calls": calls, "cost_nano_usd": str(cost)}
                for model, (calls, cost) in self._by_model.items()
            },
            "in_flight": self._in_flight,
            "in_flight_peak": self._in_flight_peak,
            "in_flight_worst_nano_usd": str(self._in_flight_worst_nano_usd),
            "in_flight_worst_peak_nano_usd": str(self._in_flight_worst_peak_nano_usd),
            "origin_monotonic_ns": self.origin_ns,
        }

    def page(self, since: int, rows: int) -> dict[str, Any]:
        """Return the totals and the calls that ended after the since-th, oldest first."""
        calls = [
            {"seq": seq, **_row_to_json(call, self.origin_ns)}
            for seq, call in _after(self._rows, self._rows_ended, since, rows)
        ]
        return {**self.summary(), **_cursor(calls, since, self._rows_ended), "calls": calls}

    def log(self, since: int, rows: int) -> dict[str, Any]:
        """Return the totals and the events after the since-th, oldest first."""
        events = [
            {"seq": seq, **_event_to_json(event, self.origin_ns)}
            for seq, event in _after(self._events, self._events_seen, since, rows)
        ]
        return {**self.summary(), **_cursor(events, since, self._events_seen), "events": events}


def _after(kept: deque[Any], seen: int, since: int, rows: int) -> Iterator[tuple[int, Any]]:
    dropped = seen - len(kept)
    skip = max(0, since - dropped)
    return enumerate(islice(kept, skip, skip + rows), start=dropped + skip + 1)


def _cursor(shown: list[dict[str, Any]], since: int, seen: int) -> dict[str, Any]:
    last = shown[-1]["seq"] if shown else max(since, 0)
    return {
        "next_since": last,
        "more": last < seen,
        "dropped": shown[0]["seq"] - 1 - since if shown else 0,
    }


def _ms(at_ns: int, origin_ns: int) -> int:
    return (at_ns - origin_ns) // 1_000_000


def _row_to_json(call: Call, origin_ns: int) -> dict[str, Any]:
    subject = call.subject
    return {
        "id": call.number,
        "request_id": subject.request_id,
        "started_ms": _ms(call.started_ns, origin_ns),
        "ended_ms": _ms(call.ended_ns, origin_ns),
        "provider": subject.provider,
        "model": subject.model,
        "path": subject.path,
        "streamed": subject.streamed,
        "tier": subject.tier,
        "status": call.status,
        "outcome": call.outcome,
        "quantities": call.used.to_json(),
        "cost_nano_usd": str(call.cost_nano_usd),
        "worst_nano_usd": str(call.worst_nano_usd),
        "key_hint": subject.key_hint,
        "tag": subject.tag,
        "prompt": subject.prompt,
    }


def _event_to_json(event: Event, origin_ns: int) -> dict[str, Any]:
    call = event.call
    told: dict[str, Any] = {
        "event": event.kind,
        "at_ms": _ms(event.at_ns, origin_ns),
        "at_monotonic_ns": event.at_ns,
        "call": call.number,
        "request_id": call.subject.request_id,
        "worst_nano_usd": str(call.worst_nano_usd),
        "planned_nano_usd": str(call.planned_nano_usd),
    }
    if event.kind == "end":
        told["cost_nano_usd"] = str(call.cost_nano_usd)
        told["outcome"] = call.outcome
    return {
        **told,
        "billed_nano_usd": str(event.billed_nano_usd),
        "in_flight": event.in_flight,
        "in_flight_worst_nano_usd": str(event.in_flight_worst_nano_usd),
    }
