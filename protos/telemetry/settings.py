"""Where a process tells of itself, read from its flag and the usual OTEL_* variables.

Nothing is told anywhere until an endpoint is set. What is only for the exporter (headers, which
may carry a secret, time limits, certificates, compression) the exporter reads from the environment
by itself, so that it stands in no value of ours and on no command line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import unquote, urlsplit

from protos.telemetry.limits import METRICS_EVERY_MIN_MS, METRICS_EVERY_MS
from protos.telemetry.traces import Sampler

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_MILLION = 1_000_000
_SAMPLERS = {
    "always_on": (False, _MILLION),
    "always_off": (False, 0),
    "traceidratio": (False, None),
    "parentbased_always_on": (True, _MILLION),
    "parentbased_always_off": (True, 0),
    "parentbased_traceidratio": (True, None),
}
_PROTOCOLS = ("", "http/protobuf")
_Told = Callable[[str], str]


class SettingsError(ValueError):
    """Telemetry cannot be set up like this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where telemetry goes, and how much of it."""

    traces_url: str
    """Where spans are sent; "" for nowhere."""
    metrics_url: str
    """Where metrics are sent; "" for nowhere."""
    sampler: Sampler
    metrics_every_ms: int
    resource: Mapping[str, str]
    """What is said of the process itself, `service.name` included."""


def read_settings(
    environment: Mapping[str, str], *, endpoint: str, service: str, instance: str
) -> Settings | None:
    """What the environment asks for; None when nothing is to be sent. Raises SettingsError.

    `endpoint` is a flag's, which beats the environment's; "" when it was not given.
    """

    def told(name: str) -> str:
        return environment.get(name, "").strip()

    if told("OTEL_SDK_DISABLED").lower() == "true":
        return None
    urls = {
        signal: _url(signal, told, endpoint)
        for signal in ("traces", "metrics")
        if told(f"OTEL_{signal.upper()}_EXPORTER") in ("", "otlp")
    }
    if not any(urls.values()):
        return None
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        if told(name) not in _PROTOCOLS:
            raise SettingsError(
                f"{name}={told(name)}: only http/protobuf is spoken here, which collectors take "
                "on port 4318"
            )
    resource = {"service.name": service}
    if instance:
        resource["service.instance.id"] = instance
    resource |= _pairs(told("OTEL_RESOURCE_ATTRIBUTES"))
    if told("OTEL_SERVICE_NAME"):
        resource["service.name"] = told("OTEL_SERVICE_NAME")
    return Settings(
        traces_url=urls.get("traces", ""),
        metrics_url=urls.get("metrics", ""),
        sampler=_sampler(told("OTEL_TRACES_SAMPLER"), told("OTEL_TRACES_SAMPLER_ARG")),
        metrics_every_ms=_interval_ms(told("OTEL_METRIC_EXPORT_INTERVAL")),
        resource=resource,
    )


def _url(signal: str, told: _Told, endpoint: str) -> str:
    named = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    if told(named) and not endpoint:
        return _checked(named, told(named))
    whole, source = endpoint or told(ENDPOINT_VARIABLE), "--otlp-endpoint"
    if not whole:
        return ""
    return _checked(source if endpoint else ENDPOINT_VARIABLE, whole).rstrip("/") + f"/v1/{signal}"


def _checked(source: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
        parts = None
    if not good or parts is None:
        raise SettingsError(f"{source}: an OTLP endpoint is a URL such as http://127.0.0.1:4318")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"{source}: no user, query or fragment; what the collector must be shown goes into "
            "OTEL_EXPORTER_OTLP_HEADERS"
        )
    return url


def _pairs(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs if name.strip()}


def _sampler(name: str, argument: str) -> Sampler:
    name = name or "parentbased_always_on"
    if name not in _SAMPLERS:
        raise SettingsError(f"OTEL_TRACES_SAMPLER={name}: one of {', '.join(_SAMPLERS)}")
    parent_based, millionths = _SAMPLERS[name]
    if millionths is None:
        millionths = _millionths(argument)
    return Sampler(millionths, parent_based)


def _millionths(argument: str) -> int:
    try:
        ratio = Decimal(argument or "1")
    except InvalidOperation:
        ratio = Decimal(-1)
    if not (ratio.is_finite() and 0 <= ratio <= 1):
        raise SettingsError(
            f"OTEL_TRACES_SAMPLER_ARG={argument}: the part of all traces, from 0 to 1, such as 0.01"
        )
    return int(ratio * _MILLION)


def _interval_ms(text: str) -> int:
    if not text:
        return METRICS_EVERY_MS
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"OTEL_METRIC_EXPORT_INTERVAL={text}: a number of milliseconds")
    return max(METRICS_EVERY_MIN_MS, int(text[:9]))
