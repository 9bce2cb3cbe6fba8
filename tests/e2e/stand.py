"""A whole installation as real processes: control plane, sidecars, rehearsal provider.

Everything runs on 127.0.0.1 with ports of the system's choice, in one folder of the test's. A
process is ended by its own id, and every end is waited for. Each hangs on a tether and leads a
process group of its own: should whoever started it die, it ends too, even when it is stopped.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc

from protos.bursar.admin import v1 as admin
from tests.e2e.starter import Started, only_ours, start_from_nothing, starter
from tests.reserved_port import reserve_port

START_S = 90
"""How long a process may take until it says that it is ready, the first one with all imports."""
STOP_S = 30
"""How long a process may take to end cleanly."""
RPC_S = 30


class Process:
    """A child process with a ready file and a log."""

    def __init__(
        self,
        name: str,
        folder: Path,
        argv: list[str],
        env: dict[str, str],
        *,
        forked: bool = False,
    ) -> None:
        """Start it and wait until it wrote its ready file; forked, it shows no command line."""
        self.name = name
        self.log = folder / f"{name}.log"
        self.ready_file = folder / f"{name}.ready"
        self.ready_file.unlink(missing_ok=True)
        held, self._tether = os.pipe()
        asked = [*argv, "--ready-file", str(self.ready_file)]
        with self.log.open("ab") as log:
            start = starter().start if forked and only_ours(env) else start_from_nothing
            self._popen: subprocess.Popen[bytes] | Started = start(
                asked, os.environ | env, log, held
            )
        os.close(held)
        self.ready: dict[str, Any] = self._wait_ready()

    def _wait_ready(self) -> dict[str, Any]:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                break
            if self.ready_file.exists():
                found: dict[str, Any] = json.loads(self.ready_file.read_text())
                return found
            time.sleep(0.02)
        self.kill()
        message = f"{self.name} did not get ready:\n{self.log.read_text()[-4000:]}"
        raise AssertionError(message)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; a paused one runs."""
        return self._popen.poll() is None

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
        try:
            status = self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"{self.name} did not end:\n{self.log.read_text()[-4000:]}"
            raise AssertionError(message) from None
        self._untie()
        return status

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._popen.kill()
        self._popen.wait(STOP_S)
        self._untie()

    def pause(self) -> None:
        """Stop it where it stands, by SIGSTOP."""
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, by SIGCONT."""
        self._popen.send_signal(signal.SIGCONT)

    def _untie(self) -> None:
        tether, self._tether = self._tether, -1
        if tether >= 0:
            os.close(tether)


@dataclass(frozen=True)
class Client:
    """A project of the agency, with a key that works."""

    project_id: str
    budget_id: str
    key_id: str
    key: str


class Bursar:
    """The admin services, each as its stub."""

    def __init__(self, address: str, token: str) -> None:
        """Open a channel as the owner of the token."""
        self._channel = grpc.insecure_channel(address)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self.projects = admin.ProjectServiceStub(self._channel)
        self.keys = admin.KeyServiceStub(self._channel)
        self.budgets = admin.BudgetServiceStub(self._channel)
        self.prices = admin.PriceServiceStub(self._channel)
        self.providers = admin.ProviderServiceStub(self._channel)
        self.output_defaults = admin.OutputDefaultServiceStub(self._channel)
        self.routes = admin.ModelRouteServiceStub(self._channel)
        self.calls = admin.CallServiceStub(self._channel)
        self.rate_limits = admin.RateLimitServiceStub(self._channel)
        self.leases = admin.LeaseServiceStub(self._channel)
        self.principals = admin.PrincipalServiceStub(self._channel)
        self.sidecars = admin.SidecarAdminServiceStub(self._channel)
        self.installation = admin.InstallationServiceStub(self._channel)
        self.channels = admin.ChannelServiceStub(self._channel)
        self.escalation = admin.EscalationServiceStub(self._channel)
        self.alerts = admin.AlertServiceStub(self._channel)

    def ask(self, method: Any, request: Any) -> Any:
        """Call a method with the token and a deadline."""
        return method(request, timeout=RPC_S, metadata=self._metadata, wait_for_ready=True)

    def close(self) -> None:
        self._channel.close()


REHEARSAL_PRICES: tuple[tuple[str, str, tuple[int, int], dict[str, int]], ...] = (
    ("openai", "rehearsal-cent", (1_000_000, 40), {"input": 0, "output": 10**9}),
    ("anthropic", "claude-rehearsal-cent", (1_000_000, 40), {"input": 0, "output": 10**9}),
    ("gemini", "gemini-rehearsal-cent", (1_000_000, 40), {"input": 0, "output": 10**9}),
    ("openai", "rehearsal-cent-picture", (1_000_000, 0), {"images": 10**10}),
    ("openai", "rehearsal-cent-speech", (1_000_000, 0), {"characters": 10**9}),
    ("openai", "rehearsal-cent-transcript", (1_000_000, 0), {"milliseconds": 10**6}),
    (
        "openai",
        "rehearsal-picture",
        (100_000, 40_000),
        {"input": 5 * 10**6, "image_input": 8 * 10**6, "image_output": 30 * 10**6},
    ),
)
"""Models that only the rehearsal provider has: name, limits, pico-dollars by kind.

Ten tokens, a picture, ten characters and ten seconds cost a cent.
"""


class Stand:
    """An installation that a story plays in."""

    forks = True
    """Whether its processes are forked from one that has imported them."""

    def __init__(
        self, folder: Path, *, env: dict[str, str] | None = None, flags: tuple[str, ...] = ()
    ) -> None:
        """Take a folder; nothing runs yet. The rest is for control plane and sidecars alike."""
        self.folder = folder
        self._env = env or {}
        self._flags = flags
        self._stack = ExitStack()
        self._requests = 0
        self.sidecars: dict[str, Process] = {}
        self.rehearsal: Process
        self.control_plane: Process
        self.bursar: Bursar

    def __enter__(self) -> Self:
        """Start the rehearsal provider and a control plane that knows it."""
        self.rehearsal = Process(
            "rehearsal",
            self.folder,
            ["clients.rehearsal", "--port", "0"],
            env={},
            forked=self.forks,
        )
        self._stack.callback(self.rehearsal.stop)
        self.start_control_plane()
        self._stack.callback(lambda: self.control_plane.stop())  # noqa: PLW0108 - the one that runs then
        for family in ("openai", "anthropic", "gemini"):
            self.bursar.ask(
                self.bursar.providers.SetProvider,
                admin.SetProviderRequest(
                    request_id=self.request_id(),
                    provider=admin.Provider(
                        provider=family, family=family, base_url=self.provider_url()
                    ),
                    secret=f"sk-rehearsal-{family}",
                ),
            )
        self._price_the_cent_models()
        return self

    def provider_url(self) -> str:
        """Where sidecars find the provider."""
        found: str = self.rehearsal.ready["url"]
        return found

    def __exit__(self, *_: object) -> None:
        """End all that runs, sidecars first."""
        for sidecar in self.sidecars.values():
            self._stack.callback(sidecar.stop)
        self._stack.close()
        self.bursar.close()

    def request_id(self) -> str:
        """A new id for a mutation."""
        self._requests += 1
        return f"{self.folder.name}-{self._requests}"

    def start_control_plane(self, address: str = "") -> None:
        """Start the control plane, anew or where it was: its port is kept while it is away."""
        if not address:
            host, port = self._stack.enter_context(reserve_port()).getsockname()
            address = f"{host}:{port}"
        data = self.folder / "control-plane"
        self.control_plane = Process(
            "control-plane",
            self.folder,
            [
                "control_plane",
                *("--data", str(data)),
                *("--listen", address),
                *("--web", "127.0.0.1:0"),
                *self._flags,
            ],
            env=self._env,
            forked=self.forks,
        )
        token = (data / "owner.token").read_text().strip()
        self.bursar = Bursar(self.control_plane.ready["address"], token)

    def stop_control_plane(self) -> str:
        """End the control plane; the address that it had."""
        address: str = self.control_plane.ready["address"]
        self.bursar.close()
        assert self.control_plane.stop() == 0
        return address

    def start_sidecar(
        self, name: str, *, control_plane: str = "", env: dict[str, str] | None = None
    ) -> str:
        """Start a sidecar, joining first when it is new; its base URL.

        It finds its control plane at the address that is given, which may be that of a proxy.
        """
        data = self.folder / name
        env = self._env | (env or {})
        if not (data / "identity.json").exists():
            answer = self.bursar.ask(
                self.bursar.sidecars.CreateJoinToken,
                admin.CreateJoinTokenRequest(request_id=self.request_id()),
            )
            env["BURSAR_JOIN_TOKEN"] = answer.join_token
        self.sidecars[name] = Process(
            name,
            self.folder,
            [
                "sidecar",
                *("--data", str(data)),
                *("--name", name),
                *("--control-plane", control_plane or self.control_plane.ready["address"]),
                *("--listen", "127.0.0.1:0"),
                *self._flags,
            ],
            env=env,
            forked=self.forks,
        )
        return self.url(name)

    def url(self, name: str) -> str:
        """The base URL of a sidecar."""
        found: str = self.sidecars[name].ready["url"]
        return found

    def add_client(
        self,
        name: str,
        cap_nano_usd: int,
        *,
        patience_ms: int = 20_000,
        workflow: str = "",
        anchor_day: int = 0,
    ) -> Client:
        """Make a project with a capped month and a key."""
        made = self.bursar.ask(
            self.bursar.projects.CreateProject,
            admin.CreateProjectRequest(
                request_id=self.request_id(),
                project=admin.Project(display_name=name, patience_ms=patience_ms),
                budget=admin.Budget(
                    display_name=f"{name} month", cap_nano_usd=cap_nano_usd, anchor_day=anchor_day
                ),
            ),
        )
        key = self.bursar.ask(
            self.bursar.keys.CreateKey,
            admin.CreateKeyRequest(
                request_id=self.request_id(),
                key=admin.Key(
                    project_id=made.project.project_id, display_name=name, workflow=workflow
                ),
            ),
        )
        return Client(made.project.project_id, made.budget.budget_id, key.key.key_id, key.secret)

    def until_known(self, name: str, client: Client) -> None:
        """Wait until a sidecar that runs already has heard of a client's key."""
        asked = Request(f"{self.url(name)}/v1/models")  # noqa: S310 - loopback
        asked.add_header("authorization", f"Bearer {client.key}")

        def known() -> bool:
            try:
                with urlopen(asked, timeout=RPC_S):  # noqa: S310 - loopback
                    return True
            except HTTPError as error:
                error.close()
                return False

        self.until(known)

    def call(self, name: str, client: Client, body: dict[str, Any]) -> int:
        """Make a chat call through a sidecar; its status, 402 where a cap refused it."""
        asked = Request(  # noqa: S310 - loopback
            f"{self.url(name)}/v1/chat/completions", data=json.dumps(body).encode()
        )
        asked.add_header("authorization", f"Bearer {client.key}")
        asked.add_header("content-type", "application/json")
        try:
            with urlopen(asked, timeout=60) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code

    def add_budget(self, name: str, cap_nano_usd: int, **selector: Any) -> str:
        """Make another budget; its id."""
        made = self.bursar.ask(
            self.bursar.budgets.CreateBudget,
            admin.CreateBudgetRequest(
                request_id=self.request_id(),
                budget=admin.Budget(display_name=name, cap_nano_usd=cap_nano_usd, **selector),
                reason="a story",
            ),
        )
        budget_id: str = made.budget_id
        return budget_id

    def set_route(
        self, name: str, *targets: str, project_id: str = "", cheaper: str = "", above: int = 0
    ) -> None:
        """Let calls for a name go to targets such as openai/gpt-5, for one client or for all."""

        def target_of(text: str) -> admin.ModelTarget:
            provider, model = text.split("/", 1)
            return admin.ModelTarget(provider=provider, model=model)

        self.bursar.ask(
            self.bursar.routes.SetModelRoute,
            admin.SetModelRouteRequest(
                request_id=self.request_id(),
                route=admin.ModelRoute(
                    project_id=project_id,
                    name=name,
                    targets=map(target_of, targets),
                    cheaper=target_of(cheaper) if cheaper else None,
                    above_percent=above,
                ),
            ),
        )

    def add_secret(self, provider: str, secret: str, project_id: str = "") -> str:
        """Add one more secret at a provider; its id."""
        made = self.bursar.ask(
            self.bursar.providers.AddProviderSecret,
            admin.AddProviderSecretRequest(
                request_id=self.request_id(),
                provider=provider,
                project_id=project_id,
                secret=secret,
            ),
        )
        secret_id: str = made.provider_secret_id
        return secret_id

    def set_cap(self, budget_id: str, cap_nano_usd: int, **options: Any) -> Any:
        """Set a budget's cap on the latest etag."""
        budget = self.budget(budget_id)
        return self.bursar.ask(
            self.bursar.budgets.SetCap,
            admin.SetCapRequest(
                request_id=self.request_id(),
                budget_id=budget_id,
                cap_nano_usd=cap_nano_usd,
                reason="a story",
                etag=budget.etag,
                **options,
            ),
        )

    def budget(self, budget_id: str) -> Any:
        """A budget with its current period."""
        return self.bursar.ask(
            self.bursar.budgets.GetBudget, admin.GetBudgetRequest(budget_id=budget_id)
        )

    def ledger(self, project_id: str = "") -> list[Any]:
        """Every call that the ledger has, newest first."""
        calls: list[Any] = []
        token = ""
        while True:
            page = self.bursar.ask(
                self.bursar.calls.ListCalls,
                admin.ListCallsRequest(project_id=project_id, page_size=1000, page_token=token),
            )
            calls += page.calls
            token = page.next_page_token
            if not token:
                return calls

    def usage_nano_usd(self, project_id: str = "") -> int:
        """The total of the ledger's sums."""
        answer = self.bursar.ask(
            self.bursar.calls.QueryUsage, admin.QueryUsageRequest(project_id=project_id)
        )
        total: int = answer.total.cost_nano_usd
        return total

    def provider(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the rehearsal provider something outside the wire formats."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.rehearsal.ready["url"] + path, data=data)  # noqa: S310 - loopback
        with urlopen(request, timeout=RPC_S) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())

    def bill_nano_usd(self) -> int:
        """What the provider billed in all."""
        return int(self.provider("/rehearsal/bill")["total_nano_usd"])

    def until(self, holds: Callable[[], bool], within_s: float = 60) -> None:
        """Wait until something holds that other processes bring about."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold in time"
            time.sleep(0.05)

    def _price_the_cent_models(self) -> None:
        for provider, model, limits, rates in REHEARSAL_PRICES:
            self.bursar.ask(
                self.bursar.prices.SetPrice,
                admin.SetPriceRequest(
                    request_id=self.request_id(),
                    price=admin.Price(
                        provider=provider,
                        model=model,
                        input_max_count=limits[0],
                        output_max_count=limits[1],
                        tiers=[
                            admin.PriceTier(
                                rates=[
                                    admin.Rate(kind=kind, pico_usd=pico_usd)
                                    for kind, pico_usd in rates.items()
                                ]
                            )
                        ],
                    ),
                    reason="as the rehearsal provider bills it",
                ),
            )
