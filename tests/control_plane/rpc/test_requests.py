"""A change happens once for each request id, whatever the wire does to its answer."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from control_plane import limits
from control_plane.store.engine import Tx
from protos.bursar.admin import v1
from tests.control_plane.served import Served


def create_key(project_id: str, request_id: str, name: str = "n8n") -> v1.CreateKeyRequest:
    return v1.CreateKeyRequest(
        request_id=request_id, key=v1.Key(project_id=project_id, display_name=name)
    )


def keys_of(served: Served) -> int:
    stub = served.stub(v1.KeyServiceStub)
    return len(served.call(stub.ListKeys, v1.ListKeysRequest()).keys)


def test_the_same_request_gets_the_same_answer_with_its_secret(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    first = served.call(stub.CreateKey, create_key(project_id, "once"))
    assert served.call(stub.CreateKey, create_key(project_id, "once")) == first
    assert keys_of(served) == 1


def test_requests_that_race_are_carried_out_once(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    request = create_key(project_id, "race")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: served.call(stub.CreateKey, request), range(24)))
    assert {answer.key.key_id for answer in answers} == {answers[0].key.key_id}
    assert keys_of(served) == 1


def test_a_secret_is_gone_with_the_process_that_made_it(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    first = served.call(stub.CreateKey, create_key(project_id, "once"))
    stored = served.write(lambda tx: tx.row("SELECT answer FROM request WHERE request_id = 'once'"))
    assert stored is not None
    kept = v1.CreateKeyResponse.FromString(stored["answer"])
    assert kept.key == first.key
    assert not kept.secret


def test_an_id_that_came_with_another_request_is_refused(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    made = served.call(stub.CreateKey, create_key(project_id, "once"))
    other = served.refused(stub.CreateKey, create_key(project_id, "once", "make"))
    method = served.refused(
        stub.RevokeKey, v1.RevokeKeyRequest(request_id="once", key_id=made.key.key_id)
    )
    for refused in (other, method):
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.reason == "REQUEST_ID_REUSED"
    assert keys_of(served) == 1


def test_an_id_belongs_to_its_principal(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    operator = served.as_role(v1.Role.ROLE_OPERATOR)
    first = served.call(stub.CreateKey, create_key(project_id, "once"))
    second = operator.call(stub.CreateKey, create_key(project_id, "once"))
    assert first.key.key_id != second.key.key_id
    assert first.secret != second.secret


def test_what_was_refused_can_be_asked_for_again_with_the_same_id(served: Served) -> None:
    stub = served.stub(v1.KeyServiceStub)
    unknown = create_key("prj_" + "0" * 26, "once")
    assert served.refused(stub.CreateKey, unknown).reason == "NOT_FOUND"
    project_id = served.project().project.project_id
    assert served.call(stub.CreateKey, create_key(project_id, "once")).secret


@pytest.mark.parametrize("request_id", ["", "x" * 65, "tab\t", "ü"])
def test_a_change_needs_an_id(served: Served, request_id: str) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    refused = served.refused(stub.CreateKey, create_key(project_id, request_id))
    assert refused.fields == {"field": "request_id"}


def test_fields_that_nobody_knows_are_refused_at_every_depth(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    outer = create_key(project_id, served.id())
    outer.MergeFromString(b"\xfa\x3f\x01x")
    inner = create_key(project_id, served.id())
    inner.key.MergeFromString(b"\xfa\x3f\x01x")
    for request in (outer, inner):
        refused = served.refused(stub.CreateKey, request)
        assert refused.reason == "INVALID_ARGUMENT"
        assert "does not know" in refused.message
    reading = v1.ListKeysRequest()
    reading.MergeFromString(b"\xfa\x3f\x01x")
    assert served.refused(stub.ListKeys, reading).reason == "INVALID_ARGUMENT"
    assert keys_of(served) == 0


def test_a_request_that_is_too_large_is_refused_with_its_size(served: Served) -> None:
    stub = served.stub(v1.ProjectServiceStub)
    huge = v1.GetProjectRequest(project="x" * limits.ADMIN_REQUEST_BYTES_MAX)
    refused = served.refused(stub.GetProject, huge)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "bytes" in refused.message


def test_a_change_is_carried_out_and_told_although_its_caller_is_gone(served: Served) -> None:
    project_id = served.project().project.project_id
    stub = served.stub(v1.KeyServiceStub)
    stream = served.deps.hub.subscribe("sdc", "1")

    async def heard() -> bool:
        told = await stream.wait(20_000)
        return told is not None and told.policy

    # A new stream is always told to look; what comes after that is news.
    assert asyncio.run_coroutine_threadsafe(heard(), served.loop).result(20)
    release, blocking = threading.Event(), threading.Event()

    def block(_tx: Tx) -> None:
        blocking.set()
        release.wait(20)

    blocked = served.store.write(block)
    blocking.wait(20)
    call = stub.CreateKey.future(create_key(project_id, "gone"), metadata=served.metadata)
    while served.store._writer._queue.empty():
        assert not call.done()
    call.cancel()
    release.set()
    blocked.result(20)
    assert asyncio.run_coroutine_threadsafe(heard(), served.loop).result(20)
    assert served.call(stub.CreateKey, create_key(project_id, "gone")).secret
    assert keys_of(served) == 1
