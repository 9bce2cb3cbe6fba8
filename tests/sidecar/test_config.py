"""What a sidecar is told on its command line."""

from pathlib import Path

import pytest

from protos.values.keys import ADMIN_TOKEN, JOIN_TOKEN, make_key
from sidecar.config import Config, ConfigError, parse

TOKEN = make_key(JOIN_TOKEN, bytes(24))


def told(*arguments: str, environment: dict[str, str] | None = None) -> Config:
    return parse(["--data", "folder", *arguments], environment or {}, "this-host")


def test_the_defaults_are_loopback_and_full_durability() -> None:
    config = told()
    assert config.data == Path("folder")
    assert config.control_plane == "127.0.0.1:7240"
    assert (config.listening.host, config.listening.port) == ("127.0.0.1", 7250)
    assert config.synchronous == "full"
    assert config.name == "this-host"
    assert config.join_token == ""


def test_the_join_token_comes_from_a_file_before_the_environment(tmp_path: Path) -> None:
    other = make_key(JOIN_TOKEN, bytes(range(24)))
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    environment = {"BURSAR_JOIN_TOKEN": other}
    assert told(environment=environment).join_token == other
    config = told("--join-token-file", str(file), environment=environment)
    assert config.join_token == TOKEN
    assert TOKEN not in repr(config)


@pytest.mark.parametrize(
    "token", [TOKEN[:-1], "hello", make_key(ADMIN_TOKEN, bytes(24))], ids=["cut", "noise", "admin"]
)
def test_what_is_no_join_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ConfigError, match="no join token") as caught:
        told(environment={"BURSAR_JOIN_TOKEN": token})
    assert token not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        told("--join-token-file", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="Is a directory"):
        told("--join-token-file", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--listen", "here"], "no address", id="no address"),
        pytest.param(["--listen", "0.0.0.0:7250"], "can be reached from anywhere", id="anywhere"),
        pytest.param(["--listen", "10.0.0.5:7250"], "--allow-plain", id="private network"),
        pytest.param(
            ["--listen", "10.0.0.5:7250", "--certificate", "c"], "--key is missing", id="half TLS"
        ),
    ],
)
def test_where_it_must_not_listen_it_says_what_to_do(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        told(*arguments)


def test_a_private_bridge_takes_an_explicit_word_and_a_host() -> None:
    config = told(
        "--listen", "172.17.0.1:7250", "--allow-plain", "--allow-host", "host.docker.internal"
    )
    assert "host.docker.internal" in config.listening.hosts
    assert config.allow_plain


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        told("--control-plan", "127.0.0.1:1")
    assert caught.value.code == 2
    assert "--control-plan" in capsys.readouterr().err


def test_nothing_is_shown_or_sent_until_it_is_asked_for() -> None:
    config = told()
    assert config.metrics is None
    assert config.telemetry is None


def test_metrics_are_shown_where_the_rules_for_listening_let_them() -> None:
    config = told("--metrics-listen", "127.0.0.1:7259")
    assert config.metrics is not None
    assert config.metrics.address == "127.0.0.1:7259"
    for address in ("0.0.0.0:7259", "192.168.1.2:7259", "here"):
        with pytest.raises(ConfigError, match="--metrics-listen"):
            told("--metrics-listen", address)


def test_telemetry_goes_where_the_flag_or_the_environment_says() -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere:4318"}
    config = told(environment=environment)
    assert config.telemetry is not None
    assert config.telemetry.traces_url == "http://elsewhere:4318/v1/traces"
    assert config.telemetry.resource["service.instance.id"] == "this-host"
    config = told("--otlp-endpoint", "http://127.0.0.1:1", environment=environment)
    assert config.telemetry is not None
    assert config.telemetry.traces_url == "http://127.0.0.1:1/v1/traces"
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER"):
        told(environment=environment | {"OTEL_TRACES_SAMPLER": "sometimes"})
