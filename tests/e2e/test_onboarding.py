"""From `bursar client add` to the first call's cost on the screen, with real processes."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from openai import OpenAI

from tests.e2e.stand import Stand

ONBOARDING_S = 180
"""What issue and README promise: under three minutes."""
_KEY = re.compile(r"  Key       (bursar_pk_\S+)")


@contextmanager
def adding(stand: Stand, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `bursar client add` as a person would; it ends with the block."""
    command = [
        *(sys.executable, "-m", "clients.cli", "client", "add", *arguments),
        *("--data", str(stand.folder / "control-plane")),
        *("--control-plane", stand.control_plane.ready["address"]),
        *("--sidecar-url", stand.url("sidecar")),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.wait(ONBOARDING_S)


def read_key(lines: IO[str]) -> str:
    for line in lines:
        found = _KEY.match(line)
        if found:
            return found[1]
    raise AssertionError("no key was shown")


@pytest.mark.slow
def test_from_client_add_to_the_cost_of_the_first_call_in_under_three_minutes(stand: Stand) -> None:
    url = stand.start_sidecar("sidecar")
    began = time.monotonic()
    with adding(stand, "Acme Dental", "--cap", "300", "--wait", str(ONBOARDING_S)) as process:
        assert process.stdout is not None
        key = read_key(process.stdout)
        stand.until(lambda: answered(url, key))
        rest = process.stdout.read()
        assert process.wait(ONBOARDING_S) == 0
    assert time.monotonic() - began < ONBOARDING_S
    [call] = stand.ledger()
    shown = rest[rest.index("First call") :]
    assert "gpt-5-nano (openai), ok" in shown
    assert f"{call.quantities['input']} in, {call.quantities['output']} out" in shown
    cost_nano_usd = call.cost_nano_usd
    assert cost_nano_usd > 0
    cents = re.search(r"Cost +\$(\d+)\.(\d+)", shown)
    assert cents is not None
    assert int(cents[1]) * 10**9 + int(cents[2].ljust(9, "0")) == cost_nano_usd
    left = re.search(r"Left +\$(\d+)\.(\d+) of the cap", shown)
    assert left is not None
    assert int(left[1]) * 10**9 + int(left[2].ljust(9, "0")) == 300 * 10**9 - cost_nano_usd


def answered(url: str, key: str) -> bool:
    """Call once; False while the sidecar has not heard of the key."""
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        try:
            client.chat.completions.create(
                model="gpt-5-nano", messages=[{"role": "user", "content": "Score this lead."}]
            )
        except Exception as error:
            if getattr(error, "status_code", None) == 401:
                return False
            raise
    return True


@pytest.mark.slow
def test_a_client_whose_call_never_comes_is_there_with_its_key_all_the_same(stand: Stand) -> None:
    stand.start_sidecar("sidecar")
    with adding(stand, "Quiet", "--cap", "5", "--wait", "1", "--json") as process:
        told, talk = process.communicate()
    made = json.loads(told)
    assert process.returncode == 0
    assert made["first_call"] is None
    assert made["secret"].startswith("bursar_pk_")
    assert "No call was seen yet" in talk
    assert "bursar tail Quiet" in talk
