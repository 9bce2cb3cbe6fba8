"""Sidecars over real gRPC: join, register, sync, watch, drain, and what is refused."""

import asyncio
import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar, cast

import grpc
import nacl.public
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc

from control_plane import limits
from control_plane.core.ledger import CHAIN_START, chain_after
from control_plane.rpc.sidecar_service import SidecarServicer
from control_plane.store.engine import Tx
from protos.bursar.admin import v1 as admin
from protos.bursar.sidecar import v1
from protos.values import keys
from tests.control_plane.served import DEADLINE_S, Served

T = TypeVar("T")
CENT = 10_000_000


class Remote:
    """A sidecar's end of the wire."""

    def __init__(self, served: Served, seed: int) -> None:
        self.served = served
        self.stub = v1.SidecarServiceStub(served.channel)
        self.credential = keys.make_key(keys.SIDECAR_CREDENTIAL, bytes([seed]) * 24)
        self.private_key = nacl.public.PrivateKey.generate()
        self.incarnation = f"process-{seed}"
        self.epoch = 0
        self.generation = 0
        self.sync_no = 0

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.credential}"),)

    def join(self, token: str) -> v1.JoinResponse:
        return self.stub.Join(
            v1.JoinRequest(
                join_token=token,
                credential_digest=keys.key_digest(self.credential),
                sealing_public_key=bytes(self.private_key.public_key),
                display_name="host one",
            ),
            timeout=DEADLINE_S,
        )

    def register(self, **more: Any) -> v1.RegisterResponse:
        told = {"lost": v1.LostJournal(), **more}
        answer: v1.RegisterResponse = self.stub.Register(
            v1.RegisterRequest(protocol_version=1, incarnation=self.incarnation, **told),
            metadata=self.metadata,
            timeout=DEADLINE_S,
        )
        self.epoch = answer.epoch
        self.generation = answer.generation
        return answer

    def sync(self, **more: Any) -> v1.SyncResponse:
        self.sync_no += 1
        told = {
            "epoch": self.epoch,
            "incarnation": self.incarnation,
            "sync_no": self.sync_no,
            "generation_seen": self.generation,
            **more,
        }
        answer: v1.SyncResponse = self.stub.Sync(
            v1.SyncRequest(**told), metadata=self.metadata, timeout=DEADLINE_S
        )
        return answer


def join_token(served: Served) -> str:
    stub = admin.SidecarAdminServiceStub(served.channel)
    asked = admin.CreateJoinTokenRequest(request_id=served.id(), lifetime=Duration(seconds=60))
    text: str = served.call(stub.CreateJoinToken, asked).join_token
    return text


def joined(served: Served, seed: int) -> Remote:
    remote = Remote(served, seed)
    remote.join(join_token(served))
    remote.register()
    return remote


@pytest.fixture
def budget_id(served: Served) -> str:
    """The budget of a project with a cap of a dollar."""
    served.project(cap_nano_usd=100 * CENT)
    listed = served.call(
        admin.BudgetServiceStub(served.channel).ListBudgets, admin.ListBudgetsRequest()
    )
    found: str = listed.budgets[0].budget_id
    return found


def waiting(call_id: str, worst: int, budget_id: str) -> v1.Demand:
    return v1.Demand(
        call_id=call_id, worst_nano_usd=worst, budgets=[v1.BudgetRef(budget_id=budget_id)]
    )


def test_a_sidecar_joins_once_and_may_repeat_the_same_request(served: Served) -> None:
    token = join_token(served)
    remote = Remote(served, 1)
    first = remote.join(token)
    assert first.sidecar_id.startswith("sdc_")
    assert remote.join(token) == first
    with pytest.raises(grpc.RpcError) as refused:
        Remote(served, 2).join(token)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    again = Remote(served, 3).join(join_token(served))
    assert again.display_name == f"{first.display_name}-2"


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer nonsense"),),
        (("authorization", f"Bearer {keys.make_key(keys.SIDECAR_CREDENTIAL, bytes(24))}"),),
        (("authorization", f"Basic {keys.make_key(keys.SIDECAR_CREDENTIAL, bytes(24))}"),),
        (("authorization", f"Bearer {keys.make_key(keys.ADMIN_TOKEN, bytes(24))}"),),
    ],
    ids=["none", "nonsense", "unknown", "basic", "another kind"],
)
def test_who_is_no_sidecar_is_refused(served: Served, metadata: Any) -> None:
    stub = v1.SidecarServiceStub(served.channel)
    asked: list[tuple[Any, Any]] = [
        (stub.Register, v1.RegisterRequest(protocol_version=1, incarnation="x")),
        (stub.Sync, v1.SyncRequest(epoch=1, incarnation="x", sync_no=1)),
        (stub.Drain, v1.DrainRequest(epoch=1, incarnation="x")),
    ]
    for method, request in asked:
        with pytest.raises(grpc.RpcError) as refused:
            method(request, metadata=metadata, timeout=DEADLINE_S)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as refused:
        next(iter(stub.Watch(v1.WatchRequest(), metadata=metadata, timeout=DEADLINE_S)))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_call_is_granted_settled_and_found_in_the_ledger(served: Served, budget_id: str) -> None:
    remote = joined(served, 1)
    answer = remote.sync(demands=[waiting("call_1", CENT, budget_id)])
    assert answer.status == v1.SyncStatus.SYNC_STATUS_OK
    assert list(answer.named_call_ids) == ["call_1"]
    grant = answer.leases[0]
    assert grant.granted_nano_usd >= CENT
    assert grant.period_end_unix_ms > grant.period_start_unix_ms > 0
    assert (grant.cap_nano_usd, grant.authority_ms) == (100 * CENT, 300_000)
    call = v1.Call(
        call_id="call_1",
        started_unix_ms=grant.period_start_unix_ms,
        ended_unix_ms=grant.period_start_unix_ms,
        outcome=v1.Outcome.OUTCOME_OK,
        requested_model="gpt",
        worst_nano_usd=CENT,
        cost_nano_usd=CENT // 2,
        vector=[grant.lease],
    )
    record = v1.Record(seq=1, settle=v1.Settle(call=call, amount_nano_usd=CENT // 2))
    raw = record.SerializeToString()
    booked = remote.sync(from_seq=1, records=[raw], chain=chain_after(CHAIN_START, [raw]))
    assert (booked.acked_seq, booked.stable_seq) == (1, 1)
    calls = served.call(admin.CallServiceStub(served.channel).ListCalls, admin.ListCallsRequest())
    assert [one.cost_nano_usd for one in calls.calls] == [CENT // 2]


def negative_return() -> v1.Record:
    record = v1.Record(seq=1)
    told = getattr(record, "return")
    told.lease.budget_id, told.lease.period_id, told.returned_nano_usd = "b", "p", -1
    return record


BAD_SYNCS: dict[str, dict[str, Any]] = {
    "no epoch": {"epoch": 0},
    "no process": {"incarnation": ""},
    "no number": {"sync_no": 0},
    "records without a chain": {"from_seq": 1, "records": [b"x"]},
    "too many records": {
        "from_seq": 1,
        "records": [b""] * (limits.SYNC_RECORDS_MAX + 1),
        "chain": bytes(32),
    },
    "a lease without a name": {"leases": [v1.LeaseReport()]},
    "a negative level": {
        "leases": [
            v1.LeaseReport(
                lease=v1.LeaseKey(budget_id="b", period_id="p"), granted_seen_nano_usd=-1
            )
        ]
    },
    "a demand for nothing": {"demands": [v1.Demand(call_id="c")]},
    "a demand of a negative worth": {
        "demands": [
            v1.Demand(call_id="c", worst_nano_usd=-1, budgets=[v1.BudgetRef(budget_id="b")])
        ]
    },
}


@pytest.mark.parametrize("name", BAD_SYNCS)
def test_a_bad_sync_is_refused_whole(served: Served, name: str) -> None:
    remote = joined(served, 1)
    with pytest.raises(grpc.RpcError) as refused:
        remote.sync(**BAD_SYNCS[name])
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    row = served.store.read(lambda tx: tx.row("SELECT last_sync_no AS n FROM sidecar")).result()
    assert row is not None
    assert row["n"] == 0


BAD_RECORDS: dict[str, bytes] = {
    "one that is none": b"\xff",
    "one of another number": v1.Record(seq=2).SerializeToString(),
    "one that says nothing": v1.Record(seq=1).SerializeToString(),
    "an upward correction": v1.Record(
        seq=1, adjust=v1.Adjust(call_id="c", delta_nano_usd=1)
    ).SerializeToString(),
    "a negative return": negative_return().SerializeToString(),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_kept_and_does_not_hold_up_its_journal(served: Served, name: str) -> None:
    remote = joined(served, 1)
    raw = BAD_RECORDS[name]
    booked = remote.sync(from_seq=1, records=[raw], chain=chain_after(CHAIN_START, [raw]))
    assert (booked.status, booked.acked_seq) == (v1.SyncStatus.SYNC_STATUS_OK, 1)
    kept = served.store.read(lambda tx: tx.row("SELECT raw, why FROM bad_record")).result()
    assert kept is not None
    assert kept["raw"] == raw
    kinds = served.store.read(lambda tx: tx.rows("SELECT kind FROM alarm")).result()
    assert [row["kind"] for row in kinds] == ["BAD_RECORD"]


class Stream:
    """A Watch stream read on a thread of its own."""

    def __init__(self, remote: Remote, policy_version: int = 0) -> None:
        self.call = remote.stub.Watch(
            v1.WatchRequest(
                epoch=remote.epoch, incarnation=remote.incarnation, policy_version=policy_version
            ),
            metadata=remote.metadata,
        )
        self.heard: queue.Queue[v1.WatchResponse | None] = queue.Queue()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for response in self.call:
                self.heard.put(response)
        except grpc.RpcError:
            pass
        self.heard.put(None)

    def next(self, kind: str) -> Any:
        """The next directive of a kind; None when the stream has ended."""
        while (response := self.heard.get(timeout=DEADLINE_S)) is not None:
            if response.WhichOneof("directive") == kind:
                return getattr(response, kind)
        return None

    def close(self) -> None:
        self.call.cancel()
        self.thread.join(DEADLINE_S)


@pytest.fixture
def remote(served: Served) -> Remote:
    return joined(served, 1)


def remote_id(served: Served) -> str:
    stub = admin.SidecarAdminServiceStub(served.channel)
    listed = served.call(stub.ListSidecars, admin.ListSidecarsRequest())
    return str(listed.sidecars[0].sidecar_id)


@pytest.fixture
def stream(remote: Remote) -> Iterator[Stream]:
    opened = Stream(remote)
    yield opened
    opened.close()


def test_a_stream_begins_with_the_policy_and_brings_each_change(
    served: Served, stream: Stream, budget_id: str
) -> None:
    first = stream.next("policy")
    while not first.budgets:
        first = stream.next("policy")
    assert first.budgets[0].budget_id == budget_id
    served.call(
        admin.BudgetServiceStub(served.channel).SetCap,
        admin.SetCapRequest(
            request_id=served.id(), budget_id=budget_id, cap_nano_usd=CENT, reason="less"
        ),
    )
    second = stream.next("policy")
    assert second.version > first.version
    assert second.budgets[0].cap_version > first.budgets[0].cap_version


def test_an_idle_holder_is_asked_to_give_back(
    served: Served, remote: Remote, stream: Stream, budget_id: str
) -> None:
    # Who does not watch yet is asked nothing: its stream has begun when it says the first word.
    assert stream.next("nudge") is not None
    granted = remote.sync(demands=[waiting("call_1", 90 * CENT, budget_id)]).leases[0]
    level = v1.LeaseReport(
        lease=granted.lease,
        granted_seen_nano_usd=granted.granted_nano_usd,
        available_nano_usd=granted.granted_nano_usd,
    )
    remote.sync(leases=[level])
    other = joined(served, 2)
    assert not other.sync(demands=[waiting("call_2", 50 * CENT, budget_id)]).named_call_ids
    recall = stream.next("recall")
    assert recall.lease == granted.lease
    assert recall.keep_nano_usd <= granted.granted_nano_usd - 40 * CENT


class Caller:
    """Who asks, when the servicer is called without a wire."""

    def __init__(self, remote: Remote) -> None:
        self._metadata = remote.metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


class HeldStore:
    """A store whose writes begin, say so, and wait until they may go on."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.begun = asyncio.Event()
        self.go = threading.Event()

    def read(self, fn: Callable[[Tx], T]) -> "Future[T]":
        return self._served.store.read(fn)

    def write(self, fn: Callable[[Tx], T]) -> "Future[T]":
        def held(tx: Tx) -> T:
            self._served.loop.call_soon_threadsafe(self.begun.set)
            assert self.go.wait(DEADLINE_S)
            return fn(tx)

        return self._served.store.write(held)


def test_others_hear_what_a_sync_decided_though_its_caller_hung_up(
    served: Served, remote: Remote, stream: Stream, budget_id: str
) -> None:
    assert stream.next("nudge") is not None
    granted = remote.sync(demands=[waiting("call_1", 90 * CENT, budget_id)]).leases[0]
    level = v1.LeaseReport(
        lease=granted.lease,
        granted_seen_nano_usd=granted.granted_nano_usd,
        available_nano_usd=granted.granted_nano_usd,
    )
    remote.sync(leases=[level])
    other = joined(served, 2)
    asked = v1.SyncRequest(
        epoch=other.epoch,
        incarnation=other.incarnation,
        sync_no=1,
        generation_seen=other.generation,
        demands=[waiting("call_2", 50 * CENT, budget_id)],
    )
    store = HeldStore(served)
    servicer = SidecarServicer(replace(served.deps, store=cast(Any, store)))

    async def hang_up() -> None:
        serving = asyncio.ensure_future(servicer.Sync(asked, cast(Any, Caller(other))))
        await store.begun.wait()
        serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled()
        store.go.set()

    asyncio.run_coroutine_threadsafe(hang_up(), served.loop).result(DEADLINE_S)
    assert stream.next("recall").lease == granted.lease


def test_a_quiet_stream_beats(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_MS", 20)
    opened = Stream(remote, policy_version=10**6)
    beats = [opened.next("heartbeat").now_unix_ms for _ in range(3)]
    assert beats == sorted(beats)
    opened.close()


def test_a_stream_beats_faster_while_calls_of_its_sidecar_wait(
    served: Served, remote: Remote, stream: Stream, budget_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_WAITING_MS", 20)
    joined(served, 2).sync(demands=[waiting("call_1", 90 * CENT, budget_id)])
    remote.sync(demands=[waiting("call_2", 90 * CENT, budget_id)])
    # Some could be owed to the Sync, and to what was said as the stream began.
    assert all(stream.next("heartbeat") for _ in range(8))


def test_a_second_stream_of_a_sidecar_ends_the_first(remote: Remote, stream: Stream) -> None:
    assert stream.next("heartbeat")
    second = Stream(remote)
    assert second.next("heartbeat")
    assert stream.next("recall") is None
    second.close()


@pytest.mark.parametrize("why", ["another process", "fenced"])
def test_who_does_not_speak_for_its_sidecar_takes_no_stream_from_who_does(
    served: Served, remote: Remote, why: str
) -> None:
    opened = Stream(remote, policy_version=10**6)
    assert opened.next("nudge")
    copy = Remote(served, 1)
    copy.incarnation = "process-of-a-copy" if why == "another process" else remote.incarnation
    if why == "fenced":
        served.write(lambda tx: tx.run("UPDATE sidecar SET state = 'FENCED'"))
    refused = Stream(copy)
    assert refused.next("nudge") is None
    assert served.deps.hub.watching(remote_id(served), remote.incarnation)
    refused.close()
    opened.close()


def test_a_revoked_sidecar_loses_its_stream_and_keeps_its_voice(
    served: Served, remote: Remote, stream: Stream
) -> None:
    assert stream.next("heartbeat")
    stub = admin.SidecarAdminServiceStub(served.channel)
    served.call(
        stub.RevokeSidecar,
        admin.RevokeSidecarRequest(
            request_id=served.id(), sidecar_id=remote_id(served), reason="host is gone"
        ),
    )
    assert stream.next("recall") is None
    answer = remote.sync()
    assert answer.status == v1.SyncStatus.SYNC_STATUS_FENCED
    assert answer.revoked
    registered = remote.register()
    assert registered.status == v1.SyncStatus.SYNC_STATUS_FENCED
    assert not registered.HasField("policy")
    again = Stream(remote)
    assert again.next("policy") is None
    assert again.call.code() is grpc.StatusCode.UNAUTHENTICATED
    again.close()


def test_a_drained_sidecar_is_told_what_it_leaves(
    served: Served, remote: Remote, budget_id: str
) -> None:
    granted = remote.sync(demands=[waiting("call_1", CENT, budget_id)]).leases[0]
    left = remote.stub.Drain(
        v1.DrainRequest(epoch=remote.epoch, incarnation=remote.incarnation),
        metadata=remote.metadata,
        timeout=DEADLINE_S,
    )
    assert left.stranded_nano_usd == granted.granted_nano_usd


def test_health_is_told_for_each_service_and_turns_before_the_end(served: Served) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    for service in ("", "bursar.sidecar.v1.SidecarService", "bursar.admin.v1.CallService"):
        asked = health_pb2.HealthCheckRequest(service=service)
        assert stub.Check(asked, timeout=DEADLINE_S).status == 1


def test_a_join_needs_a_whole_digest_and_a_whole_key(served: Served) -> None:
    stub = v1.SidecarServiceStub(served.channel)
    for digest, key in ((b"", bytes(32)), (hashlib.sha256(b"x").digest(), b"short")):
        request = v1.JoinRequest(
            join_token=join_token(served), credential_digest=digest, sealing_public_key=key
        )
        with pytest.raises(grpc.RpcError) as refused:
            stub.Join(request, timeout=DEADLINE_S)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
