"""What collectors and scrapers see of real calls through real processes, and what they do not."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protos.bursar.admin import v1 as admin
from tests.e2e.collector import Collector, told
from tests.e2e.stand import Client, Stand

DOLLAR = 1_000_000_000
CENT = DOLLAR // 100
PROMPT = "The patient Quirinius Vandersloot asks for his x-rays."
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_SPAN = "00f067aa0ba902b7"
SECRET_HEADER = "collector-token-0123456789"
SIDECAR, CONTROL_PLANE = "bursar-sidecar", "bursar-control-plane"
CHAT = "/v1/chat/completions"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def seen(tmp_path: Path, collector: Collector) -> Iterator[Stand]:
    """An installation that a collector and a scraper look at."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET_HEADER}",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    with Stand(tmp_path, env=env, flags=("--metrics-listen", "127.0.0.1:0")) as stand:
        yield stand


class Provider:
    """A provider that keeps the heads of what it is asked, and answers always the same."""

    ANSWER = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "rehearsal-cent",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        }
    ).encode()

    def __init__(self) -> None:
        """Begin to listen."""
        self.heads: list[tuple[set[str], list[str]]] = []
        """The names and the values of each request's headers."""
        heads = self.heads

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                heads.append(({name.lower() for name in self.headers}, self.headers.values()))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(Provider.ANSWER)))
                self.end_headers()
                self.wfile.write(Provider.ANSWER)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


def ask(url: str, client: Client, **headers: str) -> tuple[int, Any]:
    body = {
        "model": "rehearsal-cent",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": f"[rehearse reply_tokens=10] {PROMPT}"}],
    }
    request = Request(  # noqa: S310 - loopback
        f"{url}{CHAT}",
        data=json.dumps(body).encode(),
        headers={
            "authorization": f"Bearer {client.key}",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def scraped(url: str, accept: str = "") -> dict[str, list[Any]]:
    request = Request(url, headers={"accept": accept})  # noqa: S310 - loopback
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        assert answer.headers["content-type"].startswith("text/plain; version=")
        text = answer.read().decode()
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def test_a_call_is_one_trace_from_its_caller_to_the_provider_under_the_conventions_names(
    seen: Stand, collector: Collector
) -> None:
    client = seen.add_client("Acme Dental", DOLLAR, workflow="intake")
    url = seen.start_sidecar("one")
    traceparent = f"00-{TRACE_ID}-{CALLER_SPAN}-01"
    status, answer = ask(url, client, traceparent=traceparent, tracestate="vendor=1")
    assert status == 200, answer

    def of_the_call() -> list[Any]:
        return [
            span
            for service, span in collector.spans()
            if service == SIDECAR and span.trace_id.hex() == TRACE_ID
        ]

    seen.until(lambda: len(of_the_call()) == 2)
    server, at_provider = sorted(of_the_call(), key=lambda span: span.kind)
    assert (server.name, server.kind) == (f"POST {CHAT}", server.SPAN_KIND_SERVER)
    assert server.parent_span_id.hex() == CALLER_SPAN
    assert server.trace_state == "vendor=1"
    said = told(server.attributes)
    seen.until(lambda: len(seen.ledger(client.project_id)) == 1)
    call = seen.ledger(client.project_id)[0]
    assert said["bursar.call_id"] == call.call_id
    assert said["bursar.project_id"] == client.project_id
    assert said["bursar.key_id"] == client.key_id
    assert said["bursar.outcome"] == "ok"
    assert said["bursar.cost.nano_usd"] == CENT == call.cost_nano_usd
    assert said["bursar.cost.estimated"] is False
    assert said["gen_ai.workflow.name"] == "intake"
    assert said["http.route"] == CHAT
    assert (at_provider.name, at_provider.kind) == (
        "chat rehearsal-cent",
        at_provider.SPAN_KIND_CLIENT,
    )
    assert at_provider.parent_span_id == server.span_id
    used = told(at_provider.attributes)
    assert used["gen_ai.operation.name"] == "chat"
    assert used["gen_ai.provider.name"] == "openai"
    assert used["gen_ai.request.model"] == "rehearsal-cent"
    assert used["gen_ai.response.model"] == "rehearsal-cent"
    assert used["gen_ai.usage.input_tokens"] == answer["usage"]["prompt_tokens"]
    assert used["gen_ai.usage.output_tokens"] == 10
    assert used["server.address"] == "127.0.0.1"
    assert server.start_time_unix_nano <= at_provider.start_time_unix_nano
    assert at_provider.end_time_unix_nano <= server.end_time_unix_nano


def test_metrics_come_under_the_conventions_names_and_add_up_to_the_ledger(
    seen: Stand, collector: Collector
) -> None:
    client = seen.add_client("Acme Dental", 3 * CENT, workflow="intake")
    url = seen.start_sidecar("one")
    assert [ask(url, client)[0] for _ in range(4)] == [200, 200, 200, 402]

    def counted(name: str) -> int:
        found = collector.metrics(SIDECAR).get(name)
        return sum(point.as_int for point in found.sum.data_points) if found else 0

    # Two reports may share them: one that is sent between the last call and the refusal.
    seen.until(lambda: (counted("bursar.calls"), counted("bursar.refusals")) == (3, 1))
    metrics = collector.metrics(SIDECAR)
    cost = metrics["bursar.cost.nano_usd"]
    assert cost.sum.is_monotonic
    assert sum(point.as_int for point in cost.sum.data_points) == 3 * CENT
    duration = metrics["gen_ai.client.operation.duration"]
    assert duration.unit == "s"
    point = duration.histogram.data_points[0]
    assert point.count == 3
    assert point.explicit_bounds[0] == 0.01
    assert not point.HasField("min")
    assert told(point.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "rehearsal-cent",
    }
    usage = metrics["gen_ai.client.token.usage"]
    by_type = {
        told(each.attributes)["gen_ai.token.type"]: each.sum
        for each in usage.histogram.data_points
        if each.count
    }
    assert by_type["output"] == 30
    refusals = metrics["bursar.refusals"].sum.data_points
    assert [(told(each.attributes)["bursar.reason"], each.as_int) for each in refusals] == [
        ("exhausted", 1)
    ]


def test_no_secret_no_prompt_and_no_answer_is_in_what_a_collector_gets(
    seen: Stand, collector: Collector
) -> None:
    client = seen.add_client("Acme Dental", DOLLAR)
    url = seen.start_sidecar("one")
    status, answer = ask(url, client)
    assert status == 200
    mistyped = client.key[:-1] + ("y" if client.key.endswith("x") else "x")
    assert ask(url, Client("", "", "", mistyped))[0] == 401
    assert seen.sidecars["one"].stop() == 0
    seen.stop_control_plane()
    services = {service for service, _ in collector.spans()}
    assert services == {SIDECAR, CONTROL_PLANE}
    assert collector.metrics(SIDECAR)
    assert collector.metrics(CONTROL_PLANE)
    told_all = b"".join(body for _, body, _ in collector.raw)
    words = answer["choices"][0]["message"]["content"]
    credential = json.loads((seen.folder / "one" / "identity.json").read_text())
    secrets = [text for text in json.dumps(credential).split('"') if text.startswith("bursar_")]
    for hidden in (client.key, "sk-rehearsal", PROMPT, "Quirinius", words, SECRET_HEADER, *secrets):
        assert hidden
        assert hidden.encode() not in told_all, hidden[:12]
    assert b"bursar_pk_" not in told_all
    # The collector's own credential went where it belongs.
    assert all(headers["authorization"] == SECRET_HEADER for _, _, headers in collector.raw)


def test_a_trace_goes_on_to_the_control_plane_and_never_to_the_provider(
    seen: Stand, collector: Collector
) -> None:
    client = seen.add_client("Acme Dental", DOLLAR)
    with Provider() as provider:
        known = seen.bursar.ask(seen.bursar.providers.ListProviders, admin.ListProvidersRequest())
        (openai,) = [each for each in known.providers if each.provider == "openai"]
        openai.base_url = provider.url
        seen.bursar.ask(
            seen.bursar.providers.SetProvider,
            admin.SetProviderRequest(
                request_id=seen.request_id(),
                provider=openai,
                secret="sk-of-the-recording-provider",
            ),
        )
        url = seen.start_sidecar("one")
        traced = {"traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-01", "tracestate": "vendor=1"}
        assert ask(url, client, **traced, baggage="who=acme", x_bursar_step="first")[0] == 200
        ((names, values),) = provider.heads
    assert "authorization" in names
    assert not names & {"traceparent", "tracestate", "baggage", "x-bursar-step"}
    assert not [value for value in values if TRACE_ID in value or "acme" in value]

    def synced() -> dict[bytes, Any]:
        return {
            span.span_id: span
            for service, span in collector.spans()
            if service == SIDECAR and span.name.endswith("/Sync")
        }

    def heard() -> set[bytes]:
        """Those that came in time: on a busy machine the sidecar gives some up, and asks again."""
        return {
            span.span_id
            for service, span in collector.spans()
            if service == CONTROL_PLANE
            and span.parent_span_id in synced()
            and span.name == "bursar.sidecar.v1.SidecarService/Sync"
            and told(span.attributes)["rpc.response.status_code"] == "OK"
        }

    seen.until(
        lambda: any(
            span.parent_span_id in heard()
            for _, span in collector.spans()
            if span.name == "transaction"
        )
    )


def test_scrapers_find_both_processes_on_addresses_of_their_own(seen: Stand) -> None:
    client = seen.add_client("Acme Dental", DOLLAR)
    url = seen.start_sidecar("one")
    assert ask(url, client)[0] == 200
    of_sidecar = seen.sidecars["one"].ready["metrics"]
    found = scraped(of_sidecar)
    (calls,) = [each for each in found["bursar_calls"] if each.name == "bursar_calls_total"]
    assert calls.value == 1
    assert calls.labels == {
        "bursar_project_id": client.project_id,
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "rehearsal-cent",
        "bursar_outcome": "ok",
    }
    assert found["bursar_sidecar_ready"][0].value == 1
    counts = [
        each.value
        for each in found["gen_ai_client_operation_duration_seconds"]
        if each.name.endswith("_count")
    ]
    assert counts == [1]
    of_control_plane = seen.control_plane.ready["metrics"]
    seen.until(lambda: scraped(of_control_plane)["bursar_ledger_position"][0].value == 1)
    found = scraped(of_control_plane)
    assert {each.labels["bursar_state"]: each.value for each in found["bursar_sidecars"]} == {
        "ACTIVE": 1
    }
    methods = {each.labels["rpc_method"] for each in found["rpc_server_call_duration_seconds"]}
    assert "bursar.sidecar.v1.SidecarService/Sync" in methods
    assert any(
        each.value > 0
        for each in found["bursar_transaction_duration_seconds"]
        if each.name.endswith("_count")
    )
    # No key opens it, so it stands apart from where keys are taken.
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{url}/metrics", timeout=10)  # noqa: S310 - loopback
    with refused.value:
        assert refused.value.code in (403, 404)


def test_a_collector_that_is_gone_costs_no_call_and_little_at_the_end(tmp_path: Path) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with Stand(tmp_path, env=env, flags=("--metrics-listen", "127.0.0.1:0")) as stand:
        client = stand.add_client("Acme Dental", DOLLAR)
        url = stand.start_sidecar("one")
        assert [ask(url, client)[0] for _ in range(3)] == [200] * 3
        assert stand.sidecars["one"].stop() == 0
        log = stand.sidecars["one"].log.read_text()
        # Told once, and without a word of the libraries'.
        assert len(re.findall(r"telemetry signal=traces sent=false", log)) <= 1
        assert "Traceback" not in log
