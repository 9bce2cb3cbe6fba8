"""Every error has a code and tells its REASON; nothing else gets out."""

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from control_plane.rpc import status
from control_plane.store.engine import ReadTooLongError, StoreBusyError
from protos.values import errors
from protos.values.keys import ADMIN_TOKEN, make_key


def test_the_table_is_total() -> None:
    assert set(status.CODES) == set(errors.ALL)
    assert grpc.StatusCode.OK not in status.CODES.values()


@pytest.mark.parametrize("kind", errors.ALL)
def test_every_error_tells_its_reason_and_fields(kind: type[errors.BursarError]) -> None:
    told = status.status_of(kind("what to do", project="prj_1"))
    info = ErrorInfo()
    assert told.details[0].Unpack(info)
    assert (info.reason, info.domain) == (kind.reason, "bursar")
    assert dict(info.metadata) == {"project": "prj_1"}
    assert told.code == status.CODES[kind].value[0]
    assert told.message == "what to do"
    assert any(detail.Is(RetryInfo.DESCRIPTOR) for detail in told.details) == kind.retryable


def test_an_error_of_its_own_kind_has_the_code_of_its_parent() -> None:
    for error in (StoreBusyError("later"), ReadTooLongError("less")):
        assert status.code_of(error) is grpc.StatusCode.UNAVAILABLE


def test_a_wrong_field_is_told_as_a_field_too() -> None:
    told = status.status_of(errors.InvalidArgumentError("too long", field="key.workflow"))
    request = BadRequest()
    assert told.details[1].Unpack(request)
    assert [violation.field for violation in request.field_violations] == ["key.workflow"]


def test_no_secret_of_ours_gets_out_and_nothing_is_endless() -> None:
    token = make_key(ADMIN_TOKEN, bytes(24))
    told = status.status_of(errors.NotFoundError(f"no {token} " + "x" * 9_000, what=token * 40))
    assert token.encode() not in told.SerializeToString()
    assert told.ByteSize() < 4_096
