"""`bursar lease` and `bursar sidecars revoke`, against a real control plane and a lost sidecar.

At the end the sidecar is revoked and nothing of it is set aside, for the control plane is shared.
"""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from protos.bursar.sidecar import v1
from protos.values import keys
from tests.clients.cli.conftest import ControlPlane

CENT = 10_000_000
DEADLINE_S = 20


class Remote:
    """A sidecar's end of the wire."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = v1.SidecarServiceStub(channel)
        self.credential = keys.make_key(keys.SIDECAR_CREDENTIAL, bytes([77]) * 24)
        self.sync_no = 0
        self.epoch = 0
        self.generation = 0

    @property
    def settings(self) -> dict[str, Any]:
        metadata = (("authorization", f"Bearer {self.credential}"),)
        return {"metadata": metadata, "timeout": DEADLINE_S}

    def join(self, token: str) -> None:
        self.stub.Join(
            v1.JoinRequest(
                join_token=token,
                credential_digest=keys.key_digest(self.credential),
                sealing_public_key=bytes([9]) * 32,
                display_name="lost-host",
            ),
            timeout=DEADLINE_S,
        )

    def register(self, incarnation: str) -> None:
        """Begin with a new journal."""
        asked = v1.RegisterRequest(
            protocol_version=1, incarnation=incarnation, lost=v1.LostJournal()
        )
        answer = self.stub.Register(asked, **self.settings)
        self.epoch, self.generation = answer.epoch, answer.generation
        self.incarnation = incarnation
        self.sync_no = 0

    def sync(self, **more: Any) -> v1.SyncResponse:
        self.sync_no += 1
        request = v1.SyncRequest(
            epoch=self.epoch,
            incarnation=self.incarnation,
            sync_no=self.sync_no,
            generation_seen=self.generation,
            **more,
        )
        answer: v1.SyncResponse = self.stub.Sync(request, **self.settings)
        return answer

    def borrow(self, budget_id: str) -> int:
        """Let a call wait for money; what was granted for it."""
        demand = v1.Demand(
            call_id=f"call_{self.epoch}",
            worst_nano_usd=50 * CENT,
            budgets=[v1.BudgetRef(budget_id=budget_id)],
            patience_ms=20_000,
        )
        for _ in range(10):
            answer = self.sync(demands=[demand])
            if answer.leases and answer.leases[0].granted_nano_usd:
                return int(answer.leases[0].granted_nano_usd)
        raise AssertionError


@pytest.fixture
def remote(control_plane: ControlPlane) -> Iterator[Remote]:
    with grpc.insecure_channel(control_plane.address) as channel:
        yield Remote(channel)


def test_lost_money_is_shown_charged_and_released_and_its_sidecar_revoked(
    run: Any, run_json: Any, remote: Remote
) -> None:
    run("client", "add", "Lost Ltd", "--cap", "10")
    (budget,) = run_json("budget", "list", "Lost Ltd")["budgets"]
    remote.join(run("sidecars", "invite").stdout.strip())
    remote.register("first")
    held = remote.borrow(budget["budget_id"])
    assert "Lost Ltd" in run("leases", COLUMNS="300").stdout
    assert "Nothing is set aside" in run("lease", "orphans").stderr
    remote.register("second")

    shown = run("lease", "orphans", "--budget", "Lost Ltd")
    assert "lost-host" in shown.stdout
    assert "Lost Ltd" in shown.stdout
    assert "journal lost" in shown.stdout
    assert "bursar lease release SIDECAR" in shown.stderr
    (one,) = run_json("lease", "orphans")["orphans"]
    assert one["held_back_nano_usd"] == str(held)
    assert "bursar lease orphans" in run("sidecars").stderr

    # Nothing happens unasked, and a reason is needed.
    assert "--yes" in run("lease", "charge", "lost-host", "--reason", "x", code=2).stderr
    assert "--reason" in run("lease", "charge", "lost-host", "--yes", code=2).stderr
    charged = run_json("lease", "charge", "lost-host", "--reason", "the disk burnt", "--yes")
    assert charged["decided_nano_usd"] == str(held)
    assert run_json("lease", "orphans")["orphans"] == []
    assert run_json("lease", "orphans", "--all")["orphans"][0]["lease"]["lump_nano_usd"] == str(
        held
    )
    usage = run_json("usage", "Lost Ltd")
    assert usage["lump_nano_usd"] == str(held)
    assert "lost sidecars" in run("usage", "Lost Ltd").stderr

    released = run("lease", "release", "lost-host", "--reason", "it was idle", "--yes")
    assert "Lost Ltd, monthly, " in released.stderr
    assert "the cap may be passed by up to" in released.stderr
    assert "may still be starting calls" in released.stderr
    assert "is released" in released.stdout
    run("lease", "release", "lost-host", "--reason", "again", "--yes", code=3)
    trail = run("audit").stdout
    assert "ChargeOrphans" in trail
    assert "ReleaseOrphans" in trail
    revoked_of_the_living(run, run_json, remote, budget["budget_id"])


def revoked_of_the_living(run: Any, run_json: Any, remote: Remote, budget_id: str) -> None:
    """The sidecar goes on with its new journal, and is revoked."""
    held = remote.borrow(budget_id)
    told = run_json("sidecars", "revoke", "lost-host", "--reason", "stolen", "--yes")
    assert told["orphaned_nano_usd"] == str(held)
    assert (told["reach"]["sidecar_count"], told["reach"]["acked_count"]) == (1, 0)
    assert told["reach"]["guaranteed_time"] > told["sidecar"]["revoke_time"]
    answer = remote.sync(stopped=True)
    assert answer.status == v1.SyncStatus.SYNC_STATUS_FENCED
    assert answer.revoked
    again = run("sidecars", "revoke", "lost-host", "--yes")
    assert "It has said that it starts no calls (1 of 1)" in again.stdout
    assert run_json("sidecars", "list")["sidecars"] == []
    assert "sidecar revoked" in run("lease", "orphans", "--sidecar", "lost-host").stdout
    run("lease", "release", "lost-host", "--reason", "it says so", "--yes")
    assert run_json("leases")["leases"] == []


def test_who_operates_sees_what_an_owner_decides(run: Any, run_json: Any) -> None:
    made = run_json("principal", "add", "Otto", "--role", "operator")
    as_otto = {"BURSAR_TOKEN": made["token"]}
    run("lease", "orphans", **as_otto)
