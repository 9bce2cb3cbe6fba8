"""What is counted and recorded of a call, and that it can hold no words of a provider's."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protos.telemetry.instruments import Distribution, Metric
from protos.telemetry.traces import Sampler, Span, SpanKind, Started
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.refusals import Reason, Refusal
from sidecar.http.surfaces import SURFACES, Kind
from sidecar.providers import conventions
from sidecar.runtime import call_metrics, gauges
from sidecar.runtime.watch import Watch
from tests.sidecar.builders import attributes, new_call

README = Path(__file__).parents[3] / "protos" / "telemetry" / "README.md"
NOW = Now(1_000_000, 500_000)
ALWAYS = Sampler(1_000_000)
HEADER = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Seen:
    """A watch that records everything."""

    def __init__(self, sampler: Sampler = ALWAYS) -> None:
        numbers = itertools.count(1)
        self.watch = Watch(lambda _: next(numbers))
        self.spans: list[Span] = []
        self.watch.record(sampler, self.spans.append, lambda _: "https://api.example.com/v1")

    def hold(self, trace: Started | None = None, **changes: Any) -> Hold:
        call = replace(new_call(), trace=trace, **changes)
        return Hold("call_1", call, 40, None, NOW.unix_ms - 300, waited_ms=200)

    def points(self, metric: Metric) -> dict[tuple[str, ...], int | Distribution]:
        (found,) = [each for each in self.watch.read() if each.metric is metric]
        return dict(found.points)


def test_a_call_is_counted_once_by_who_what_and_how_it_ended() -> None:
    seen = Seen()
    done = Settlement(
        Outcome.OK, 30, quantities={"input": 5, "cached": 7, "output": 3}, first_byte_ms=40
    )
    seen.watch.ended(seen.hold(), done, NOW)
    seen.watch.ended(seen.hold(), Settlement(Outcome.BROKEN, 10, estimated=True), NOW)
    seen.watch.refused(Refusal(Reason.BUSY, "Wait."), attributes())
    calls = seen.points(call_metrics.CALLS)
    assert {labels[-1]: count for labels, count in calls.items()} == {"ok": 1, "broken": 1}
    cost = seen.points(call_metrics.COST)
    assert {labels[-1]: amount for labels, amount in cost.items()} == {"false": 30, "true": 10}
    used = seen.points(call_metrics.QUANTITIES)
    assert {labels[-1]: count for labels, count in used.items()} == {
        "input": 5,
        "cached": 7,
        "output": 3,
    }
    tokens = seen.points(call_metrics.USAGE)
    totals = {
        labels[-1]: each.total for labels, each in tokens.items() if isinstance(each, Distribution)
    }
    assert totals == {"input": 12, "output": 3}
    ((_, wait),) = seen.points(call_metrics.WAIT).items()
    assert isinstance(wait, Distribution)
    assert (sum(wait.counts), wait.total) == (2, 400)
    assert list(seen.points(call_metrics.REFUSALS).values()) == [1]
    assert seen.spans == []


def test_unsampled_calls_are_counted_and_not_recorded() -> None:
    seen = Seen(Sampler(0))
    assert seen.watch.begin({}) is None
    assert seen.watch.begin({b"traceparent": HEADER}) is not None
    assert Watch(lambda _: 1).begin({b"traceparent": HEADER}) is None


def test_a_call_that_ended_has_a_span_of_its_own_and_one_at_the_provider() -> None:
    seen = Seen()
    trace = seen.watch.begin({b"traceparent": HEADER})
    done = Settlement(
        Outcome.OK, 30, quantities={"input": 5, "reasoning": 2, "output": 3}, status=200
    )
    seen.watch.ended(seen.hold(trace), done, NOW)
    server, client = seen.spans
    assert server.kind is SpanKind.SERVER
    assert server.started is trace
    assert (server.begun_unix_ms, server.ended_unix_ms) == (NOW.unix_ms - 500, NOW.unix_ms)
    assert server.moments[0].unix_ms == NOW.unix_ms - 300
    assert client.kind is SpanKind.CLIENT
    assert client.started.parent == server.started.context
    assert client.name == "chat gpt-x"
    assert client.attributes["server.address"] == "api.example.com"
    assert client.attributes["server.port"] == 443
    assert client.attributes["gen_ai.usage.reasoning.output_tokens"] == 2
    assert not server.failed
    assert not client.failed


@pytest.mark.parametrize(
    ("settlement", "error", "failed", "spans"),
    [
        (Settlement(Outcome.TIMEOUT, 40, estimated=True), "timeout", True, 2),
        (
            Settlement(Outcome.PROVIDER_ERROR, status=429, error_kind="rate_limit_exceeded"),
            "rate_limit_exceeded",
            False,
            2,
        ),
        (
            Settlement(Outcome.PROVIDER_ERROR, status=500, error_kind="Mr. X was bad"),
            "_OTHER",
            True,
            2,
        ),
        (Settlement(Outcome.NOT_SENT), "not_sent", True, 1),
    ],
    ids=["timeout", "limited", "words", "not sent"],
)
def test_what_went_wrong_is_told_in_a_word(
    settlement: Settlement, error: str, failed: bool, spans: int
) -> None:
    seen = Seen()
    seen.watch.ended(seen.hold(seen.watch.begin({})), settlement, NOW)
    assert len(seen.spans) == spans
    assert seen.spans[0].attributes["error.type"] == error
    assert seen.spans[0].failed is failed
    assert all(span.attributes["error.type"] == error for span in seen.spans)


def test_an_attempt_that_follows_another_stands_below_the_same_request() -> None:
    seen = Seen()
    trace = seen.watch.begin({})
    assert trace is not None
    again = seen.hold(trace, parent_call_id="call_0")
    seen.watch.ended(again, Settlement(Outcome.OK, 1), NOW)
    attempt, client = seen.spans
    assert attempt.kind is SpanKind.INTERNAL
    assert attempt.started.parent == trace.context
    assert client.started.parent == attempt.started.context


def test_a_refusal_is_the_callers_to_see_and_no_error_of_ours() -> None:
    seen = Seen()
    call = replace(new_call(), trace=seen.watch.begin({}))
    seen.watch.turned_away(call, Refusal(Reason.BUSY, "Wait."), 250, NOW)
    (span,) = seen.spans
    assert span.begun_unix_ms == NOW.unix_ms - 250
    assert span.attributes["bursar.reason"] == "busy"
    assert span.attributes["http.response.status_code"] == 429
    assert not span.failed


def test_every_surface_that_goes_to_a_provider_has_an_operation() -> None:
    forwarded = [surface for surface, row in SURFACES.items() if row.kind is not Kind.LOCAL]
    assert not [each for each in forwarded if conventions.operation_of(each) == "other"]


def test_every_metric_is_in_the_readme_with_its_unit() -> None:
    text = README.read_text()
    metrics = [
        each
        for module in (call_metrics, gauges)
        for each in vars(module).values()
        if isinstance(each, Metric)
    ]
    assert len(metrics) > 15
    missing = [each.name for each in metrics if f"| `{each.name}` | {each.unit} |" not in text]
    assert not missing, "tell of them in the README"
