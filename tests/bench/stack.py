"""The real thing under test: a control plane, a sidecar, a project with a cap and a key.

Nothing is faked or switched off: both are started as an installation starts them, with their
journal and database in a folder on disk, `synchronous=FULL`, the sidecar joined by a token,
leasing and reporting over gRPC. The control plane shares the generator's core; the sidecar, with
all its threads, has the other one.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from protos.bursar.admin import v1 as admin
from tests.bench import machine, measure, processes

# Far more than all runs together can hold or spend: what is measured is calls, not refusals.
CAP_NANO_USD = 1_000_000 * 1_000_000_000
LEDGER_S = 60
# Metrics go out each second, so that a window of seconds holds what they cost, too.
TELEMETRY = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.01",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}
RPC_S = 10


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the control plane has booked."""

    calls: int
    failed: int
    estimated: int
    cost_nano_usd: int


class Stack:
    """A running control plane and sidecar, ready to take calls."""

    def __init__(
        self, subject: measure.Subject, channel: grpc.Channel, token: str, project_id: str
    ) -> None:
        self.subject = subject
        self.usage = admin.CallServiceStub(channel)
        self.token = token
        self.project_id = project_id

    def ledger(self) -> Ledger:
        """The ledger's own sums, now."""
        total = self.usage.QueryUsage(
            admin.QueryUsageRequest(project_id=self.project_id),
            metadata=_bearer(self.token),
            timeout=RPC_S,
        ).total
        return Ledger(
            calls=total.call_count,
            failed=total.failed_count,
            estimated=total.estimated_count,
            cost_nano_usd=total.cost_nano_usd,
        )

    def ledger_after(self, calls: int) -> Ledger:
        """The ledger once it holds so many calls, or as it is when it does not come to that."""
        deadline = time.perf_counter() + LEDGER_S
        ledger = self.ledger()
        while ledger.calls < calls and time.perf_counter() < deadline:
            time.sleep(0.1)
            ledger = self.ledger()
        return ledger


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _provision(
    channel: grpc.Channel, token: str, upstream_url: str, budgets: int
) -> tuple[str, str, str]:
    """Make the provider, the project, its budgets and a key: project id, key, join token."""

    def new_id() -> str:
        return secrets.token_hex(16)

    credentials = _bearer(token)
    admin.ProviderServiceStub(channel).SetProvider(
        admin.SetProviderRequest(
            request_id=new_id(),
            provider=admin.Provider(provider="openai", family="openai", base_url=upstream_url),
            secret="sk-bench-" + secrets.token_hex(16),
        ),
        metadata=credentials,
        timeout=RPC_S,
    )
    made = admin.ProjectServiceStub(channel).CreateProject(
        admin.CreateProjectRequest(
            request_id=new_id(),
            project=admin.Project(display_name="Bench"),
            budget=admin.Budget(display_name="Bench", cap_nano_usd=CAP_NANO_USD),
        ),
        metadata=credentials,
        timeout=RPC_S,
    )
    project_id = made.project.project_id
    more = [
        admin.Budget(display_name="Agency", cap_nano_usd=CAP_NANO_USD),
        admin.Budget(
            display_name="Each key",
            project_id=project_id,
            split_by=admin.SplitBy.SPLIT_BY_KEY,
            cap_nano_usd=CAP_NANO_USD,
        ),
    ]
    for budget in more[: budgets - 1]:
        admin.BudgetServiceStub(channel).CreateBudget(
            admin.CreateBudgetRequest(request_id=new_id(), budget=budget, reason="bench"),
            metadata=credentials,
            timeout=RPC_S,
        )
    key = admin.KeyServiceStub(channel).CreateKey(
        admin.CreateKeyRequest(
            request_id=new_id(), key=admin.Key(project_id=project_id, display_name="bench")
        ),
        metadata=credentials,
        timeout=RPC_S,
    )
    joining = admin.SidecarAdminServiceStub(channel).CreateJoinToken(
        admin.CreateJoinTokenRequest(request_id=new_id()), metadata=credentials, timeout=RPC_S
    )
    return project_id, key.secret, joining.join_token


@contextlib.contextmanager
def running(
    *,
    folder: Path,
    upstream_url: str,
    ca: Path | None,
    cores: machine.Cores,
    budgets: int,
    name: str = "sidecar",
    collector_url: str = "",
) -> Iterator[Stack]:
    """Bring a whole installation up in `folder`, and down again.

    With a collector its sidecar records one call in a hundred and shows its metrics.
    """
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        control_plane = stack.enter_context(
            processes.Child(
                "control_plane",
                ["--data", str(folder / "control-plane"), "--listen", "127.0.0.1:0"],
                core=cores.others,
                log=folder / "control-plane.log",
            )
        )
        address = f"127.0.0.1:{control_plane.port()}"
        token = (folder / "control-plane" / "owner.token").read_text().strip()
        channel = stack.enter_context(grpc.insecure_channel(address))
        project_id, api_key, join_token = _provision(channel, token, upstream_url, budgets)
        arguments = ["--data", str(folder / "sidecar"), "--control-plane", address]
        arguments += ["--listen", "127.0.0.1:0", "--synchronous", "full", "--name", "bench"]
        if ca is not None:
            arguments += ["--upstream-ca", str(ca)]
        environment = {"BURSAR_JOIN_TOKEN": join_token}
        if collector_url:
            arguments += ["--metrics-listen", "127.0.0.1:0"]
            environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector_url, **TELEMETRY}
        sidecar = stack.enter_context(
            processes.Child(
                "sidecar",
                arguments,
                core=cores.under_test,
                log=folder / "sidecar.log",
                environment=environment,
            )
        )
        subject = measure.Subject(
            name=name,
            port=sidecar.port(),
            pid=sidecar.pid,
            api_key=api_key,
            helper_pids=(control_plane.pid,),
        )
        yield Stack(subject, channel, token, project_id)
