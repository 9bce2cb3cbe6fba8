"""What went wrong comes out as the type that went in, whatever the server called it."""

from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from clients.admin import Bursar
from clients.admin.status import BY_CODE, BY_REASON
from protos.values import errors
from protos.values.errors import BursarError


def refusing(reason: str, domain: str = errors.DOMAIN, **fields: str) -> Any:
    def answer(_request: bytes, context: grpc.ServicerContext) -> Any:
        detail = AnyMessage()
        detail.Pack(ErrorInfo(reason=reason, domain=domain, metadata=fields))
        code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
        status = Status(code=code, message="what to do next", details=[detail])
        context.abort_with_status(rpc_status.to_status(status))

    return answer


@pytest.mark.parametrize("kind", errors.ALL)
def test_a_reason_comes_out_as_its_type_with_its_fields(
    script: Any, bursar: Bursar, kind: type[BursarError]
) -> None:
    script.on("GetCaller", refusing(kind.reason, budget_id="bgt_1", message="m"))
    with pytest.raises(kind) as caught:
        bursar.principals.caller()
    assert type(caught.value) is kind
    assert caught.value.message == "what to do next"
    assert dict(caught.value.fields) == {"budget_id": "bgt_1"}


def test_a_reason_of_a_newer_server_is_kept_in_the_text(script: Any, bursar: Bursar) -> None:
    script.on("GetCaller", refusing("MOON_PHASE", planet="mars"))
    with pytest.raises(BursarError, match=r"what to do next \(MOON_PHASE\)") as caught:
        bursar.principals.caller()
    assert caught.value.fields["planet"] == "mars"


def test_a_reason_of_another_domain_is_not_ours(script: Any, bursar: Bursar) -> None:
    script.on("GetCaller", refusing("NOT_FOUND", domain="example.com"))
    with pytest.raises(errors.FailedPreconditionError):
        bursar.principals.caller()


def test_every_code_and_every_reason_has_a_type() -> None:
    assert set(BY_CODE) == set(grpc.StatusCode) - {grpc.StatusCode.OK}
    assert set(BY_REASON.values()) == set(errors.ALL)
    assert len(BY_REASON) == len(errors.ALL), "two types share a REASON"
