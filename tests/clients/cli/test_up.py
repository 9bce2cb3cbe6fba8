"""What `up` asks of the processes that it starts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.cli.folder import Folder
from clients.cli.up import Wishes, _control_plane_plan, _reached_by, _sidecar_plan
from protos.values.listening import listening

PLAIN = Wishes(
    control_plane_port=7240,
    desk_port=7241,
    sidecar_port=7250,
    rehearsal_port=7260,
    sidecars=2,
    sidecar_host="127.0.0.1",
    allowed_hosts=(),
    public_url="",
    certificate="",
    private_key="",
    time_zone="",
    rehearsal=None,
)


@pytest.mark.parametrize(
    ("wishes", "asked"),
    [
        (PLAIN, []),
        (replace(PLAIN, allowed_hosts=("n8n",)), ["--allow-host", "n8n"]),
        (replace(PLAIN, public_url="https://ai.example.com"), ["--allow-host", "ai.example.com"]),
        (
            replace(PLAIN, sidecar_host="172.17.0.1", allowed_hosts=("host.docker.internal",)),
            ["--allow-plain", "--allow-host", "host.docker.internal", "--allow-host", "172.17.0.1"],
        ),
        (
            replace(
                PLAIN, sidecar_host="0.0.0.0", certificate="c.pem", private_key="k.pem",
                public_url="https://ai.example.com",
            ),
            ["--certificate", "c.pem", "--key", "k.pem", "--public-url", "https://ai.example.com"],
        ),
    ],
    ids=["loopback", "further name", "behind a proxy", "bridge", "TLS"],
)  # fmt: skip
def test_how_sidecars_are_reached(wishes: Wishes, asked: list[str]) -> None:
    given = _reached_by(wishes)
    assert list(given) == asked
    listening(f"{wishes.sidecar_host}:7250", **as_options(given))  # a sidecar would take it


def as_options(given: Sequence[str]) -> dict[str, Any]:
    pairs = [word for word in given if word != "--allow-plain"]
    named = list(zip(pairs[::2], pairs[1::2], strict=True))
    return {
        "allow_plain": "--allow-plain" in given,
        "allow_hosts": [value for name, value in named if name == "--allow-host"],
        "certificate": any(name == "--certificate" for name, _ in named),
        "key": any(name == "--key" for name, _ in named),
        "public_url": next((value for name, value in named if name == "--public-url"), ""),
    }


def test_sidecars_take_ports_in_a_row_or_any() -> None:
    assert PLAIN.sidecar_ports() == [7250, 7251]
    assert replace(PLAIN, sidecar_port=0).sidecar_ports() == [0, 0]


def test_a_join_token_goes_by_file_and_only_once(tmp_path: Path) -> None:
    token_file = tmp_path / "join-token"
    token_file.write_text("bursar_jt_secret")
    plan = _sidecar_plan(Folder(tmp_path), PLAIN, "127.0.0.1:7240", 1, token_file)
    assert plan.once == ("--join-token-file", str(token_file))
    assert "secret" not in repr(plan)
    token_file.unlink()
    assert _sidecar_plan(Folder(tmp_path), PLAIN, "127.0.0.1:7240", 1, token_file).once == ()


def test_an_ipv6_address_is_bracketed(tmp_path: Path) -> None:
    wishes = replace(PLAIN, sidecar_host="::1")
    plan = _sidecar_plan(Folder(tmp_path), wishes, "127.0.0.1:7240", 1, tmp_path / "none")
    assert "[::1]:{port}" in plan.arguments


def asked_metrics(wishes: Wishes, folder: Path) -> list[str]:
    home = Folder(folder)
    plans = [_control_plane_plan(home, wishes)]
    plans += [
        _sidecar_plan(home, wishes, "127.0.0.1:7240", number, folder / "none")
        for number in range(1, wishes.sidecars + 1)
    ]
    given = [dict(zip(plan.arguments, plan.arguments[1:], strict=False)) for plan in plans]
    return [one.get("--metrics-listen", "") for one in given]


@pytest.mark.parametrize(
    ("metrics", "asked"),
    [
        (None, ["", "", ""]),
        (("127.0.0.1", 7300), ["127.0.0.1:7300", "127.0.0.1:7301", "127.0.0.1:7302"]),
        (("::1", 0), ["[::1]:0", "[::1]:0", "[::1]:0"]),
    ],
)
def test_each_process_shows_its_metrics_on_a_port_of_its_own(
    metrics: tuple[str, int] | None, asked: list[str], tmp_path: Path
) -> None:
    assert asked_metrics(replace(PLAIN, metrics=metrics), tmp_path) == asked
