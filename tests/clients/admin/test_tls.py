"""A token leaves this machine only inside TLS."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from clients.admin import connect
from protos.bursar.admin import v1
from protos.values.errors import UnavailableError


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    made = trustme.CA()
    path = tmp_path / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, path


def serve(script: Any, authority: trustme.CA, pool: ThreadPoolExecutor) -> tuple[grpc.Server, int]:
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
    server = grpc.server(pool, handlers=[script])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, port


def test_a_server_of_the_named_authority_is_spoken_to(
    script: Any, authority: tuple[trustme.CA, Path]
) -> None:
    script.on("GetCaller", v1.Principal(display_name="owner"))
    with ThreadPoolExecutor(2) as pool:
        server, port = serve(script, authority[0], pool)
        with connect(f"localhost:{port}", token="t", ca=authority[1]) as bursar:
            assert bursar.principals.caller().display_name == "owner"
        server.stop(grace=None).wait()


def test_a_server_of_another_authority_never_sees_the_token(
    script: Any, authority: tuple[trustme.CA, Path], pauses: list[int]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        server, port = serve(script, trustme.CA(), pool)
        with (
            connect(f"localhost:{port}", token="t", ca=authority[1]) as bursar,
            pytest.raises(UnavailableError),
        ):
            bursar.principals.caller()
        server.stop(grace=None).wait()
    assert not script.metadata


def test_another_machine_is_not_spoken_to_in_clear_text(
    script: Any, monkeypatch: pytest.MonkeyPatch, pauses: list[int]
) -> None:
    made: list[str] = []
    real = grpc.insecure_channel

    def insecure(target: str, **settings: Any) -> grpc.Channel:
        made.append(target)
        return real(target, **settings)

    monkeypatch.setattr(grpc, "insecure_channel", insecure)
    connect("control-plane.example.com:7240", token="t").close()
    assert not made
    connect("control-plane.example.com:7240", token="t", plain=True).close()
    connect("127.0.0.1:7240", token="t").close()
    assert made == ["control-plane.example.com:7240", "127.0.0.1:7240"]
