"""Who may call what: the table is whole, and every method keeps to it."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import Default

from control_plane.core import access
from control_plane.core.principals import Role
from control_plane.rpc.admin import ADMIN_SERVICES
from protos.bursar.admin import v1
from protos.values import keys
from tests.control_plane.served import Served, told

FILES = [
    f"protos/bursar/admin/v1/{noun}_service.proto"
    for noun in (
        "project",
        "key",
        "budget",
        "price",
        "provider",
        "rate_limit",
        "model_route",
        "principal",
        "sidecar",
        "lease",
        "call",
        "alert",
        "channel",
        "escalation",
        "installation",
        "output_default",
        "statement",
        "workflow",
        "playbook",
        "branding",
        "review",
    )
]


def services() -> list[ServiceDescriptor]:
    pool = Default()
    return [
        service for file in FILES for service in pool.FindFileByName(file).services_by_name.values()
    ]


def methods() -> list[MethodDescriptor]:
    return [method for service in services() for method in service.methods]


def test_the_table_holds_every_method_of_the_contract_and_no_other() -> None:
    from_protos = {service.name: {m.name for m in service.methods} for service in services()}
    assert {name: set(table) for name, table in access.METHODS.items()} == from_protos
    assert set(ADMIN_SERVICES) == {service.full_name for service in services()}


def test_whoever_may_more_may_all_that_others_may() -> None:
    for service, table in access.METHODS.items():
        for method, needed in table.items():
            allowed = [role for role in Role if role.includes(needed)]
            assert allowed == list(Role)[list(Role).index(needed) :]
            assert access.role_needed(service, method) is needed
    assert access.role_needed("KeyService", "Shutdown") is None
    assert access.role_needed("NoService", "CreateKey") is None


def test_whoever_only_views_changes_nothing() -> None:
    for service in services():
        for method in service.methods:
            reads = method.name.startswith(("Get", "List", "Query", "Tail"))
            assert (access.METHODS[service.name][method.name] is Role.VIEWER) == reads
            has_id = "request_id" in method.input_type.fields_by_name
            assert has_id == (not reads), "what changes something can be repeated safely"


def invoke(served: Served, method: MethodDescriptor, token: str | None, body: bytes) -> None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    # No serializers: what is sent need not be a message at all.
    if method.server_streaming:
        stream: Any = served.channel.unary_stream(path)
        next(stream(body, metadata=metadata, timeout=10))
    else:
        unary: Any = served.channel.unary_unary(path)
        unary(body, metadata=metadata, timeout=10)


def refusal(served: Served, method: MethodDescriptor, token: str | None, body: bytes) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        invoke(served, method, token, body)
    return told(caught.value).reason


NOT_A_MESSAGE = b"\xff\xff\xff"


def test_every_method_wants_a_credential_before_it_reads_anything(served: Served) -> None:
    unknown = keys.make_key(keys.ADMIN_TOKEN, bytes(24))
    project_key = keys.make_key(keys.PROJECT_KEY, bytes(24))
    for method in methods():
        for token in (None, "", "x", unknown, unknown[:-1], project_key):
            assert refusal(served, method, token, NOT_A_MESSAGE) == "UNAUTHENTICATED"


def test_every_method_wants_the_role_of_the_table_before_it_reads_anything(served: Served) -> None:
    tokens = {
        Role.VIEWER: served.as_role(v1.Role.ROLE_VIEWER).token,
        Role.OPERATOR: served.as_role(v1.Role.ROLE_OPERATOR).token,
        Role.OWNER: served.owner_token,
    }
    for method in methods():
        needed = access.METHODS[method.containing_service.name][method.name]
        for role, token in tokens.items():
            if not role.includes(needed):
                assert refusal(served, method, token, NOT_A_MESSAGE) == "PERMISSION_DENIED"


def test_a_method_that_is_nowhere_is_refused(served: Served) -> None:
    for path in (
        "/bursar.admin.v1.KeyService/Steal",
        "/bursar.admin.v2.KeyService/CreateKey",
        "/x",
    ):
        method: Any = served.channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as caught:
            method(b"", metadata=served.metadata, timeout=10)
        assert told(caught.value).reason == "PERMISSION_DENIED"


def test_a_revoked_token_is_refused_at_once(served: Served) -> None:
    viewer = served.as_role(v1.Role.ROLE_VIEWER)
    principals = served.stub(v1.PrincipalServiceStub)
    me = viewer.call(principals.GetCaller, v1.GetCallerRequest())
    assert me.role == v1.Role.ROLE_VIEWER
    token_id = me.tokens[0].token_id
    served.call(
        principals.RevokeToken, v1.RevokeTokenRequest(request_id=served.id(), token_id=token_id)
    )
    refused = viewer.refused(principals.GetCaller, v1.GetCallerRequest())
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.reason == "UNAUTHENTICATED"
