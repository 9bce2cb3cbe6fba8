"""How a gRPC failure becomes one of the language's errors: by its REASON, else by its code."""

from collections.abc import Mapping
from typing import Final, cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from protos.values import errors
from protos.values.errors import BursarError

BY_REASON: Final[Mapping[str, type[BursarError]]] = {kind.reason: kind for kind in errors.ALL}
"""The error of each REASON that a control plane sends."""

BY_CODE: Final[Mapping[grpc.StatusCode, type[BursarError]]] = {
    grpc.StatusCode.CANCELLED: errors.UnavailableError,
    grpc.StatusCode.UNKNOWN: errors.BursarError,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgumentError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.UnavailableError,
    grpc.StatusCode.NOT_FOUND: errors.NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExistsError,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.LimitExceededError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPreconditionError,
    grpc.StatusCode.ABORTED: errors.EtagMismatchError,
    grpc.StatusCode.UNIMPLEMENTED: errors.FailedPreconditionError,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidArgumentError,
    grpc.StatusCode.INTERNAL: errors.BursarError,
    grpc.StatusCode.UNAVAILABLE: errors.UnavailableError,
    grpc.StatusCode.DATA_LOSS: errors.BursarError,
}
"""The error of each code that came without a REASON; OK is none."""


def error_from_wire(failure: grpc.RpcError, address: str, deadline_ms: int) -> BursarError:
    """Make the error that a failed request stands for."""
    call = cast("grpc.Call", failure)  # gRPC raises objects that are both
    info = _error_info(call)
    details = call.details() or ""
    if info is not None:
        fields = {name: value for name, value in info.metadata.items() if name != "message"}
        kind = BY_REASON.get(info.reason)
        if kind is None:
            return BursarError(f"{details} ({info.reason})", reason=info.reason, **fields)
        return kind(details, **fields)
    code = call.code()
    return BY_CODE[code](_explain(code, details, address, deadline_ms))


def may_repeat(failure: grpc.RpcError) -> bool:
    """Whether the same request may be sent again: the server was not there, or said so."""
    return cast("grpc.Call", failure).code() is grpc.StatusCode.UNAVAILABLE


def _error_info(failure: grpc.Call) -> ErrorInfo | None:
    try:
        status = rpc_status.from_call(failure)
    except ValueError:  # the details contradict the status: a proxy in between made them
        return None
    for detail in status.details if status is not None else ():
        info = ErrorInfo()
        if detail.Unpack(info) and info.domain == errors.DOMAIN:
            return info
    return None


def _explain(code: grpc.StatusCode, details: str, address: str, deadline_ms: int) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        cause = details.rsplit(": ", 1)[-1] or "no cause told"
        return f"no control plane answers at {address}: is it running? ({cause})"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the control plane at {address} did not answer within {deadline_ms} ms; try again"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"what answers at {address} does not know this request: is it a control plane?"
    return details or f"the control plane at {address} failed with {code.name}"
