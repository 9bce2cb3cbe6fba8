"""What a scraper gets: exact numbers in the text format, if it asks in the right place."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protos.telemetry.instruments import Counter, Histogram, Kind, Metric, Reading, gauge
from protos.telemetry.prometheus import Scraped, render
from protos.values.listening import listening

PATIENCE_S = 60
"""How long a busy machine may take for what otherwise takes no time."""
COST = Metric("bursar.cost.nano_usd", Kind.COUNTER, "{nano_usd}", "Cost.", ("bursar.project_id",))
WAIT = Metric("bursar.call.wait", Kind.HISTOGRAM, "s", "Waits.", (), (10, 20), 1_000)
LAG = Metric("bursar.journal.lag", Kind.GAUGE, "s", "Lag.", divisor=1_000)


def readings() -> list[Reading]:
    cost, wait = Counter(COST), Histogram(WAIT)
    cost.add(1_234_567, 'a"b\\c\nd')
    for value in (5, 10, 15, 99):
        wait.at().note(value)
    return [cost.read(), wait.read(), gauge(LAG, {(): 1_500})]


def test_the_text_says_what_was_counted() -> None:
    body, content_type = render(readings())
    assert content_type.startswith("text/plain; version=")
    samples = [
        sample
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    ]
    values = {sample.name: sample.value for sample in samples if "le" not in sample.labels}
    assert values == {
        "bursar_cost_nano_usd_total": 1_234_567,
        "bursar_call_wait_seconds_count": 4,
        "bursar_call_wait_seconds_sum": 0.129,
        "bursar_journal_lag_seconds": 1.5,
    }
    (labels,) = [each.labels for each in samples if each.name == "bursar_cost_nano_usd_total"]
    assert labels == {"bursar_project_id": 'a"b\\c\nd'}
    buckets = [(each.labels["le"], each.value) for each in samples if each.name.endswith("_bucket")]
    assert buckets == [("0.01", 2), ("0.02", 3), ("+Inf", 4)]


@pytest.fixture
def scraped() -> Iterator[Scraped]:
    running = Scraped(listening("127.0.0.1:0"), readings)
    yield running
    running.close()


def get(scraped: Scraped, path: str, host: str = "127.0.0.1") -> HTTPResponse:
    connection = HTTPConnection(scraped.address, timeout=PATIENCE_S)
    connection.request("GET", path, headers={"host": host})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]  # kept for the test
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/metrics", "127.0.0.1", 200),
        ("/metrics?a=b", "localhost:9", 200),
        ("/", "127.0.0.1", 404),
        ("/metrics/", "127.0.0.1", 404),
        ("/metrics", "rebound.example.com", 421),
        ("/metrics", "", 421),
    ],
)
def test_who_gets_what(scraped: Scraped, path: str, host: str, status: int) -> None:
    assert get(scraped, path, host).status == status


def test_a_process_that_cannot_be_read_says_so() -> None:
    def unreadable() -> list[Reading]:
        raise RuntimeError("the loop is gone")

    running = Scraped(listening("127.0.0.1:0"), unreadable)
    try:
        assert get(running, "/metrics").status == 503
    finally:
        running.close()


def test_only_so_many_scrapes_are_answered_at_once() -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow() -> list[Reading]:
        entered.release()
        leave.wait(PATIENCE_S)
        return []

    running = Scraped(listening("127.0.0.1:0"), slow)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(get(running, "/metrics").status))
        for _ in range(4)
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            assert entered.acquire(timeout=PATIENCE_S)
        assert get(running, "/metrics").status == 503
        leave.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert statuses == [200] * 4
    finally:
        leave.set()
        running.close()
