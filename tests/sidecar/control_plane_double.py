"""A control plane that says what a story wants, over a real gRPC server."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from protos.bursar.sidecar import v1 as wire
from tests.reserved_port import reserve_port
from tests.sidecar.builders import DOLLAR, MONTH, NOON

Decide = Callable[[wire.SyncRequest], wire.SyncResponse]


class ControlPlaneDouble(wire.SidecarServiceServicer):
    """Takes everything that is told, and grants a dollar to whatever asks."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.joins: list[wire.JoinRequest] = []
        self.registrations: list[wire.RegisterRequest] = []
        self.syncs: list[wire.SyncRequest] = []
        self.drains: list[wire.DrainRequest] = []
        self.watches: list[wire.WatchRequest] = []
        self.records: dict[int, bytes] = {}
        self.credentials: set[str] = set()
        self.granted: dict[tuple[str, str, str], int] = {}
        self.generation = 1
        self.now_unix_ms = 0
        """What it says that the time is; 0 when it does not say."""
        self.epoch = 1
        self.policy: wire.Policy | None = policy_message(1)
        self.register_status = wire.SyncStatus.SYNC_STATUS_OK
        self.keep = DOLLAR
        self.authority_ms = 300_000
        self.decide: Decide = self.grant
        self.refuse: grpc.StatusCode | None = None
        self._directives: queue.Queue[wire.WatchResponse | None] = queue.Queue()
        self._server: grpc.Server | None = None
        self._reserved = reserve_port()
        self.port: int = self._reserved.getsockname()[1]

    # --- Its life ----------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, on the same port each time."""
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        wire.add_SidecarServiceServicer_to_server(self, self._server)
        assert self._server.add_insecure_port(self.address) == self.port
        self._server.start()

    def stop(self) -> None:
        """Be away."""
        if self._server is not None:
            self._directives.put(None)
            self._server.stop(None).wait()
            self._server = None

    def close(self) -> None:
        """Be away for good, and let go of the port."""
        self.stop()
        self._reserved.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    # --- What it is asked --------------------------------------------------------------------

    def _note(self, kept: list[Any], request: Any, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        with self.changed:
            kept.append(request)
            self.credentials.add(str(metadata.get("authorization", "")))
            self.changed.notify_all()
        if self.refuse is not None:
            context.abort(self.refuse, "not you")

    def Join(self, request: wire.JoinRequest, context: Any) -> wire.JoinResponse:  # noqa: N802 - gRPC's name
        self._note(self.joins, request, context)
        return wire.JoinResponse(sidecar_id="sdc_1", display_name="one", region="eu")

    def Register(self, request: wire.RegisterRequest, context: Any) -> wire.RegisterResponse:  # noqa: N802 - gRPC's name
        self._note(self.registrations, request, context)
        answer = wire.RegisterResponse(
            status=self.register_status,
            epoch=self.epoch,
            generation=self.generation,
            now_unix_ms=self.now_unix_ms,
            last_seq=len(self.records),
            sidecar_id="sdc_1",
            display_name="one",
            region="eu",
            last_sync_no=self.syncs[-1].sync_no if self.syncs else 0,
        )
        if self.policy is not None and self.policy.version > request.policy_version:
            answer.policy.CopyFrom(self.policy)
        return answer

    def Sync(self, request: wire.SyncRequest, context: Any) -> wire.SyncResponse:  # noqa: N802 - gRPC's name
        for number, body in enumerate(request.records):
            self.records[request.from_seq + number] = body
        answer = self.decide(request)
        self._note(self.syncs, request, context)
        return answer

    def Watch(self, request: wire.WatchRequest, context: Any) -> Iterator[wire.WatchResponse]:  # noqa: N802 - gRPC's name
        self._note(self.watches, request, context)
        ended = threading.Event()

        def end() -> None:
            ended.set()
            self._directives.put(None)

        context.add_callback(end)
        while not ended.is_set():
            directive = self._directives.get()
            if directive is not None:
                yield directive

    def Drain(self, request: wire.DrainRequest, context: Any) -> wire.DrainResponse:  # noqa: N802 - gRPC's name
        self._note(self.drains, request, context)
        return wire.DrainResponse(stranded_nano_usd=0)

    # --- What it says ------------------------------------------------------------------------

    def answer(self, request: wire.SyncRequest, **changes: Any) -> wire.SyncResponse:
        """An answer without any lease."""
        fields: dict[str, Any] = {
            "status": wire.SyncStatus.SYNC_STATUS_OK,
            "acked_seq": len(self.records),
            "stable_seq": len(self.records),
            "generation": self.generation,
            "now_unix_ms": self.now_unix_ms,
            "policy_version": self.policy.version if self.policy is not None else 0,
            "next_sync_ms": 10_000,
            "sync_no": request.sync_no,
        }
        return wire.SyncResponse(**(fields | changes))

    def grant(self, request: wire.SyncRequest) -> wire.SyncResponse:
        """Grant a dollar once to each lease that is asked for, and name everybody."""
        answer = self.answer(request)
        for report in request.leases:
            key = (report.lease.budget_id, report.lease.partition, report.lease.period_id)
            self.granted.setdefault(key, report.granted_seen_nano_usd)
        for demand in request.demands:
            for ref in demand.budgets:
                self.granted.setdefault((ref.budget_id, ref.partition, MONTH), DOLLAR)
            answer.named_call_ids.append(demand.call_id)
        for key in self.granted:
            answer.leases.append(self.lease(key))
        return answer

    def lease(self, key: tuple[str, str, str], **changes: Any) -> wire.LeaseGrant:
        """An answer for one lease, with plenty left."""
        fields: dict[str, Any] = {
            "lease": wire.LeaseKey(budget_id=key[0], partition=key[1], period_id=key[2]),
            "period_start_unix_ms": NOON - 1_000_000,
            "period_end_unix_ms": NOON + 1_000_000_000,
            "granted_nano_usd": self.granted.get(key, 0),
            "serial": 1,
            "authority_ms": self.authority_ms,
            "keep_nano_usd": self.keep,
            "unspent_nano_usd": 100 * DOLLAR,
            "reachable_nano_usd": 100 * DOLLAR,
            "cap_version": 1,
            "cap_nano_usd": 100 * DOLLAR,
        }
        return wire.LeaseGrant(**(fields | changes))

    def say(self, **directive: Any) -> None:
        """Send a directive down the stream."""
        self._directives.put(wire.WatchResponse(**directive))

    def until(self, condition: Callable[[], bool], within_s: float = 30) -> None:
        """Wait until something was asked; for a thread."""
        with self.changed:
            assert self.changed.wait_for(condition, within_s), "the sidecar did not ask for it"


def policy_message(version: int, *, revoked: bool = False, **changes: Any) -> wire.Policy:
    """A project, a key, a budget, a price and a provider."""
    fields: dict[str, Any] = {
        "version": version,
        "projects": [
            wire.Project(project_id="prj_a", display_name="Acme", active=True, patience_ms=20_000)
        ],
        "keys": [
            wire.Key(
                digest=b"sec_a".ljust(32, b"."),
                key_id="key_a",
                secret_id="sec_a",
                project_id="prj_a",
                revoked=revoked,
            )
        ],
        "budgets": [
            wire.Budget(
                budget_id="bgt_a",
                display_name="Acme monthly",
                project_id="prj_a",
                capped=True,
                cap_version=1,
            )
        ],
        "prices": [
            wire.Price(
                provider="openai",
                model="gpt-x",
                input_max_count=1_000,
                output_max_count=1_000,
                tiers=[wire.PriceTier(rates=[wire.Rate(kind="input", pico_usd=1_000_000)])],
                version="book-1",
                variants=[
                    wire.PriceVariant(
                        name="flex",
                        tiers=[wire.PriceTier(rates=[wire.Rate(kind="input", pico_usd=500_000)])],
                    )
                ],
            )
        ],
        "providers": [
            wire.Provider(provider="openai", family="openai", base_url="http://127.0.0.1:1")
        ],
    }
    return wire.Policy(**(fields | changes))
