"""How an error is told on the wire: one total table from types to gRPC codes.

Every answer that is an error carries google.rpc.ErrorInfo with the error's REASON, our domain and
its fields, so that no program needs to read the message. A field that was wrong is told as
BadRequest too, and what may be sent again as RetryInfo. What is not ours becomes INTERNAL without a
word about the inside.
"""

from collections.abc import Mapping
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from control_plane import limits
from protos.values import errors
from protos.values.keys import redact

CODES: Final[Mapping[type[errors.BursarError], grpc.StatusCode]] = {
    errors.BursarError: grpc.StatusCode.INTERNAL,
    errors.InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.RequestIdReusedError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.EtagMismatchError: grpc.StatusCode.ABORTED,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.LimitExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.SecretsLockedError: grpc.StatusCode.FAILED_PRECONDITION,
}
"""The code of each type; a type of its own kind that is not here has that of its nearest parent."""

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailing metadata that carries the whole status."""
INTERNAL_MESSAGE: Final = (
    "the control plane failed on its own; its log says why. A change that was asked for with a "
    "request_id can be asked for again with the same one"
)


def code_of(error: errors.BursarError) -> grpc.StatusCode:
    """The gRPC code of an error."""
    for parent in type(error).__mro__:
        code = CODES.get(parent)
        if code is not None:
            return code
    raise AssertionError("every error has the root of all errors among its parents")


def status_of(error: errors.BursarError) -> Status:
    """The whole status of an error."""
    metadata = {
        name: redact(value)[: limits.ERROR_FIELD_CHARACTERS_MAX]
        for name, value in error.fields.items()
    }
    details = [_packed(ErrorInfo(reason=error.reason, domain=errors.DOMAIN, metadata=metadata))]
    message = redact(error.message)[: limits.ERROR_CHARACTERS_MAX]
    if isinstance(error, errors.InvalidArgumentError) and "field" in metadata:
        violation = BadRequest.FieldViolation(field=metadata["field"], description=message)
        details.append(_packed(BadRequest(field_violations=[violation])))
    if error.retryable:
        delay = Duration(nanos=limits.RETRY_AFTER_MS * 1_000_000)
        details.append(_packed(RetryInfo(retry_delay=delay)))
    number: int = code_of(error).value[0]
    return Status(code=Code.Name(number) and number, message=message, details=details)


def internal_status() -> Status:
    """What is told of an error that is nobody's business."""
    info = ErrorInfo(reason=errors.BursarError.reason, domain=errors.DOMAIN)
    return Status(code=Code.INTERNAL, message=INTERNAL_MESSAGE, details=[_packed(info)])


def _packed(message: ErrorInfo | BadRequest | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
