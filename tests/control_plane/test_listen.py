"""The control plane listens where keys cannot be seen, and speaks TLS elsewhere."""

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import grpc.aio
import pytest
import trustme

from control_plane.clock import SystemClock
from control_plane.config import Config
from control_plane.entropy import Entropy
from control_plane.listen import check_listen, check_web, desk_url
from control_plane.rpc.deps import Deps
from control_plane.rpc.hub import Hub
from control_plane.rpc.server import start_server
from control_plane.secrets import open_vault
from control_plane.store.sqlite import open_store
from control_plane.usecases.installation import found
from control_plane.usecases.levels import Levels
from protos.bursar.admin import v1
from protos.values.listening import ListenError, host_of_authority


def test_the_settings_are_held_to_the_rule() -> None:
    config = Config(Path("data"))
    assert check_listen(config).address == "127.0.0.1:7240"
    with pytest.raises(ListenError, match="--certificate"):
        check_listen(replace(config, listen_host="0.0.0.0"))
    with pytest.raises(ListenError, match="--allow-plain"):
        check_listen(replace(config, listen_host="172.17.0.1"))
    plain = replace(
        config, listen_host="172.17.0.1", allow_plain=True, allowed_hosts=("host.docker.internal",)
    )
    assert "host.docker.internal" in check_listen(plain).hosts
    tls = replace(config, listen_host="0.0.0.0", certificate=Path("c"), private_key=Path("k"))
    with pytest.raises(ListenError, match="--public-url"):
        check_listen(tls)
    assert check_listen(replace(tls, public_url="https://ai.example.com")).tls
    with pytest.raises(ListenError, match="--key"):
        check_listen(replace(config, certificate=Path("c")))


@pytest.mark.parametrize(
    ("web_url", "shown"),
    [
        ("https://desk.example", "https://desk.example"),
        ("HTTPS://Desk.Example:8443/", "https://desk.example:8443"),
        ("http://desk.lan", "http://desk.lan"),
    ],
)
@pytest.mark.parametrize("public_url", ["", "https://ai.example.com"])
def test_browsers_may_name_what_they_are_told(web_url: str, shown: str, public_url: str) -> None:
    """Cookies and origins go by the scheme, whatever sidecars are told and however it is typed."""
    config = Config(Path("data"), web_host="127.0.0.1", web_url=web_url, public_url=public_url)
    assert desk_url(config, 7241) == shown
    assert host_of_authority(urlsplit(shown).netloc) in check_web(config).hosts


@pytest.mark.parametrize(
    "web_url", ["desk.example", "javascript:alert(1)", "https://a/b", "ftp://a"]
)
def test_what_no_browser_could_use_is_refused(web_url: str) -> None:
    config = Config(Path("data"), web_host="127.0.0.1", web_url=web_url, public_url="https://a.b")
    with pytest.raises(ListenError, match="--web-url"):
        check_web(config)


def test_tls_is_spoken_with_the_certificate_and_with_nobody_in_plain_text(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    clock, entropy = SystemClock(), Entropy()
    store = open_store(tmp_path / "data", clock)
    tokens: list[str] = []
    store.write(lambda tx: found(tx, entropy, 1, keep_token=tokens.append)).result()
    deps = Deps(
        store=store,
        clock=clock,
        entropy=entropy,
        hub=Hub(),
        levels=Levels(started_unix_ms=1),
        vault=open_vault(tmp_path / "data", entropy.random_bytes, in_use=False),
        config=Config(tmp_path / "data", listen_port=0, certificate=certificate, private_key=key),
    )

    async def ask(channel: grpc.aio.Channel) -> v1.Principal:
        metadata = (("authorization", f"Bearer {tokens[0]}"),)
        async with channel:
            stub: v1.PrincipalServiceAsyncStub = v1.PrincipalServiceStub(channel)
            return await stub.GetCaller(v1.GetCallerRequest(), metadata=metadata, timeout=60)

    async def run() -> tuple[str, grpc.StatusCode]:
        running = await start_server(deps)
        address = f"localhost:{running.port}"
        trust = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        try:
            caller = await ask(grpc.aio.secure_channel(address, trust))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(grpc.aio.insecure_channel(address))
            return caller.display_name, caught.value.code()
        finally:
            await running.drain()

    try:
        assert asyncio.run(run()) == ("owner", grpc.StatusCode.UNAVAILABLE)
    finally:
        store.close()
