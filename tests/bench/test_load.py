"""The generator's arithmetic, its judgement of answers, and its agreement with the upstream."""

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bench import load, processes, wire, workload

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
PLAIN = HEAD + b"content-length: %d\r\n\r\n" % workload.RESPONSE_BODY_BYTES
STREAMED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def streamed(events: list[bytes]) -> bytes:
    return STREAMED + b"".join(map(wire.chunk, events)) + wire.LAST_CHUNK


def nothing() -> None:
    return


@pytest.mark.parametrize(
    ("samples_us", "p50", "p90", "p99", "most"),
    [
        ([7], 7, 7, 7, 7),
        ([2, 1], 1, 2, 2, 2),
        (list(range(1, 101)), 50, 90, 99, 100),
        (list(range(1000, 0, -1)), 500, 900, 990, 1000),
        ([1] * 98 + [50, 60], 1, 1, 50, 60),
    ],
)
def test_percentiles_are_by_nearest_rank(
    samples_us: list[int], p50: int, p90: int, p99: int, most: int
) -> None:
    measured = load.latency([sample_us * 1_000 for sample_us in samples_us])
    assert measured == load.Latency(p50_us=p50, p90_us=p90, p99_us=p99, max_us=most)


def test_no_samples_have_no_percentiles() -> None:
    assert load.latency([]) is None


def test_a_plain_answer_counts_once_it_is_whole_and_the_very_bytes_that_were_sent() -> None:
    answer = PLAIN + workload.response_body()
    assert all(load.events_in_answer(answer[:cut], None) is None for cut in range(len(answer)))
    assert load.events_in_answer(answer, None) == 0


def test_a_stream_counts_once_it_is_whole_with_every_event() -> None:
    answer = streamed(workload.stream_events(5, include_usage=False))
    assert all(load.events_in_answer(answer[:cut], 5) is None for cut in range(len(answer)))
    assert load.events_in_answer(answer, 5) == 5


@pytest.mark.parametrize(
    ("answer", "stream_events"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", None),
        (PLAIN + workload.response_body().replace(b"82", b"28"), None),
        (PLAIN + workload.response_body() + b"x", None),
        (streamed(workload.stream_events(5, include_usage=False)[1:]), 5),
        (streamed(workload.stream_events(5, include_usage=True)), 5),
        (streamed([*workload.stream_events(5, include_usage=False)[:-1], b": end\n\n"]), 5),
    ],
    ids=["refused", "changed", "too long", "an event lost", "usage shown unasked", "no [DONE]"],
)
def test_any_other_answer_is_an_error(answer: bytes, stream_events: int | None) -> None:
    with pytest.raises(load.AnswerError):
        load.events_in_answer(answer, stream_events)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log = tmp_path_factory.mktemp("upstream") / "log"
    with processes.Child("tests.bench.upstream", [], core=None, log=log) as child:
        yield child.port()


@pytest.fixture(scope="module")
def pass_through(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log: Path = tmp_path_factory.mktemp("pass-through") / "log"
    arguments = ["--upstream", f"http://127.0.0.1:{upstream}"]
    with processes.Child("tests.bench.passthrough", arguments, core=None, log=log) as child:
        yield child.port()


def counts(port: int) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/counts")
    read: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return read


def unhurried(tried: Callable[[int], bool]) -> None:
    """Try it, and again ten times and a hundred times as slowly where a machine stood still."""
    assert any(map(tried, (1, 10, 100)))


SHAPES = {
    "plain": None,
    "rushed": workload.StreamShape(events=12),
    "paced": workload.StreamShape(events=5, gap_ms=2),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("rate_per_s", [None, 400], ids=["closed loop", "open loop"])
@pytest.mark.parametrize("through", ["upstream", "pass_through"])
def test_the_upstream_answers_exactly_the_calls_that_are_counted(
    through: str,
    rate_per_s: int | None,
    shape: workload.StreamShape | None,
    upstream: int,
    request: pytest.FixtureRequest,
) -> None:
    def some_are(times: int) -> bool:
        before = counts(upstream)
        result = load.Generator(
            load.Load(
                port=request.getfixturevalue(through),
                request=workload.request_bytes("127.0.0.1", "none", shape),
                # An open loop's bound is far away: a busy machine may stand still for seconds.
                in_flight=8 if rate_per_s is None else 4_000,
                warm_up_ms=10,
                window_ms=50 * times,
                stream_events=shape.events if shape else None,
                rate_per_s=rate_per_s,
            )
        ).run(nothing, nothing)
        answered = {name: count - before[name] for name, count in counts(upstream).items()}
        assert (result.errors, result.first_error) == (0, None)
        assert result.calls <= result.answered == answered["calls"]
        assert answered["streams"] == (result.answered if shape else 0)
        assert result.events == (result.calls * shape.events if shape else 0)
        return result.calls > 0

    unhurried(some_are)


def test_streams_held_open_are_all_open_at_the_same_time(upstream: int) -> None:
    def all_are(times: int) -> bool:
        shape = workload.StreamShape(events=4, gap_ms=200 * times)
        result = load.Generator(
            load.Load(
                port=upstream,
                request=workload.request_bytes("127.0.0.1", "none", shape),
                in_flight=50,
                warm_up_ms=100 * times,
                window_ms=10,
                stream_events=shape.events,
                once=True,
            )
        ).run(nothing, nothing)
        assert (result.first_error, result.answered) == (None, 50)
        return result.streaming_at_end == 50

    unhurried(all_are)


def test_an_answer_that_is_not_the_expected_one_makes_the_run_invalid(upstream: int) -> None:
    request = workload.request_bytes("127.0.0.1", "none").replace(workload.PATH.encode(), b"/v2")
    result = load.Generator(
        load.Load(port=upstream, request=request, in_flight=2, warm_up_ms=10, window_ms=20)
    ).run(nothing, nothing)
    assert result.errors > 0
    assert result.first_error is not None
    assert "400" in result.first_error


def test_usage_is_streamed_only_to_those_who_ask() -> None:
    silent = workload.stream_events(6, include_usage=False)
    asked = workload.stream_events(6, include_usage=True)
    assert not any(b'"usage"' in event for event in silent)
    assert len(asked) == len(silent) + 1
    assert json.loads(asked[-2].removeprefix(b"data: "))["usage"] == workload.usage()
