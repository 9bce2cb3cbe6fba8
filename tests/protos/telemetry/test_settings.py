"""Telemetry is off until an endpoint is set, and takes the usual variables."""

import pytest

from protos.telemetry.settings import Settings, SettingsError, read_settings
from protos.telemetry.traces import Sampler

HERE = "http://127.0.0.1:4318"


def told(endpoint: str = "", **environment: str) -> Settings | None:
    return read_settings(environment, endpoint=endpoint, service="bursar-x", instance="host")


def on(endpoint: str = HERE, **environment: str) -> Settings:
    found = told(endpoint, **environment)
    assert found is not None
    return found


def test_nothing_is_sent_until_an_endpoint_is_set() -> None:
    assert told() is None
    assert told(OTEL_TRACES_SAMPLER="always_on", OTEL_SERVICE_NAME="x") is None
    assert told(HERE, OTEL_SDK_DISABLED="true") is None


def test_an_endpoint_is_a_base_for_both_signals() -> None:
    found = on(OTEL_EXPORTER_OTLP_ENDPOINT="http://elsewhere:1")
    assert (found.traces_url, found.metrics_url) == (f"{HERE}/v1/traces", f"{HERE}/v1/metrics")
    found = on("", OTEL_EXPORTER_OTLP_ENDPOINT=f"{HERE}/")
    assert found.traces_url == f"{HERE}/v1/traces"
    found = on("", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{HERE}/x")
    assert (found.traces_url, found.metrics_url) == (f"{HERE}/x", "")
    found = on(OTEL_METRICS_EXPORTER="none")
    assert (found.traces_url, found.metrics_url) == (f"{HERE}/v1/traces", "")


def test_what_is_said_of_the_process() -> None:
    found = on(OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=a%20b,service.name=y")
    assert found.resource == {
        "service.name": "y",
        "service.instance.id": "host",
        "deployment.environment.name": "a b",
    }
    assert on(OTEL_SERVICE_NAME="z").resource["service.name"] == "z"


@pytest.mark.parametrize(
    ("name", "argument", "sampler"),
    [
        ("", "", Sampler(1_000_000)),
        ("parentbased_traceidratio", "0.01", Sampler(10_000)),
        ("traceidratio", "0.5", Sampler(500_000, parent_based=False)),
        ("always_off", "", Sampler(0, parent_based=False)),
        ("parentbased_always_off", "", Sampler(0)),
    ],
)
def test_samplers(name: str, argument: str, sampler: Sampler) -> None:
    found = on(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG=argument)
    assert found.sampler == sampler


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "one of"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "from 0 to 1"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "soon"}, "milliseconds"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(names: dict[str, str], hint: str) -> None:
    with pytest.raises(SettingsError, match=hint):
        on(**names)


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:4318", "ftp://x", "http://", "http://u:p@x", "http://x?a=b", "http://x:99999"],
)
def test_an_endpoint_is_a_plain_url(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="--otlp-endpoint"):
        told(endpoint)
