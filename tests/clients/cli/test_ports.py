"""What `doctor` finds out at a sidecar's port: whether it takes calls, not only connections."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from clients.cli.ports import sidecar_trouble
from tests.clients.cli.conftest import ControlPlane

FENCED = json.dumps({"status": "fenced", "message": "The control plane does not accept this."})


@contextmanager
def sidecar(status: int, body: str) -> Iterator[str]:
    """The URL of something that answers so."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/healthz"
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (200, json.dumps({"status": "ok"}), ""),
        (503, FENCED, "The control plane does not accept this."),
        (503, "[]", "it answers 503"),
        (200, "a page of something else", "it does not say whether it takes calls"),
    ],
)
def test_a_sidecar_is_asked_whether_it_takes_calls(status: int, body: str, trouble: str) -> None:
    with sidecar(status, body) as url:
        assert sidecar_trouble(url) == trouble


def test_doctor_is_not_content_with_a_port_that_refuses_every_call(
    run: Any, control_plane: ControlPlane, tmp_path: Path
) -> None:
    token = (control_plane.data / "owner.token").read_text().strip()
    with sidecar(503, FENCED) as url:
        (tmp_path / "up.json").write_text(json.dumps({"sidecars": [url]}))
        done = run("doctor", code=1, BURSAR_DATA=str(tmp_path), BURSAR_TOKEN=token)
    assert f"{url} answers, but takes no calls: The control plane does not accept" in done.stdout
    assert f"✓ port                   {url}" not in done.stdout
