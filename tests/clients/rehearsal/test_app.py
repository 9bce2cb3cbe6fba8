"""The provider as a process."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

START = [sys.executable, "-m", "clients.rehearsal"]
ROOT = Path(__file__).parents[3]
LATE_S = 20


@contextmanager
def running(*options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with subprocess.Popen(
        [*START, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("rehearsal provider on http"), process.communicate()
            yield process, line.split()[-1]
        finally:
            process.kill()


def get(url: str, context: ssl.SSLContext | None = None) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=LATE_S, context=context) as answer:  # noqa: S310 - loopback
        told: dict[str, object] = json.loads(answer.read())
    return told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    port_file, ready_file = tmp_path / "port", tmp_path / "ready"
    files = ["--port-file", str(port_file), "--ready-file", str(ready_file)]
    with running("--latency-ms", "7", *files) as (process, url):
        assert int(port_file.read_text()) == int(url.rpartition(":")[2])
        assert json.loads(ready_file.read_text()) == {"url": url, "pid": process.pid}
        assert get(f"{url}/rehearsal/health") == {"status": "ok"}
        assert get(f"{url}/rehearsal/knobs")["latency_ms"] == 7
        # An idle connection must not hold it up.
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
            process.send_signal(number)
            out, err = process.communicate(timeout=LATE_S)
    assert (process.returncode, err) == (0, "")
    assert out == "rehearsal provider ended: 0 calls, 0.000000000 USD\n"


def refused(*options: str) -> str:
    done = subprocess.run(
        [*START, *options], capture_output=True, text=True, cwd=ROOT, timeout=LATE_S, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_busy_port_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refused("--port", str(port))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--port", "70000"], "--port"),
        (["--latency-ms", "soon"], "latency_ms"),
        (["--keep-calls", "0"], "--keep-calls"),
        (["--key", "/nowhere"], "--certificate"),
        (["--certificate", "/nowhere"], "/nowhere"),
        (["--port-file", "/nowhere/port"], "/nowhere/port"),
        (["--host", "256.0.0.1"], "256.0.0.1"),
    ],
)
def test_what_it_cannot_start_with_is_named(options: list[str], named: str) -> None:
    assert named in refused(*options)


def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = ["--certificate", str(certificate), "--key", str(key)]
    with running("--host", "localhost", *tls) as (_, url):
        assert url.startswith("https://localhost:")
        assert get(f"{url}/rehearsal/health", context) == {"status": "ok"}
