"""Every way an administrative request is refused: a type, a REASON, fields, and whether to retry.

An edge translates these by one table each (gRPC status, exit code, HTTP status). The message is for
people and says what to do next; the REASON and the fields are for programs. Errors of the world
only: a broken invariant of our own is an AssertionError.
"""

from collections.abc import Mapping

DOMAIN = "bursar"
"""The domain of every REASON, as in google.rpc.ErrorInfo."""


class BursarError(Exception):
    """A request that was refused; the base of all that may cross an edge."""

    reason = "INTERNAL"
    retryable = False

    def __init__(self, message: str, **fields: str) -> None:
        """Take a message for people and fields for programs."""
        super().__init__(message)
        self.message = message
        self.fields: Mapping[str, str] = fields


class InvalidArgumentError(BursarError):
    """The request is malformed; the field `field` names the part."""

    reason = "INVALID_ARGUMENT"


class RequestIdReusedError(BursarError):
    """The same request_id came before with another request."""

    reason = "REQUEST_ID_REUSED"


class NotFoundError(BursarError):
    """No such thing."""

    reason = "NOT_FOUND"


class AlreadyExistsError(BursarError):
    """A thing of that name exists."""

    reason = "ALREADY_EXISTS"


class EtagMismatchError(BursarError):
    """The thing changed since it was read: read it again, then decide again."""

    reason = "ETAG_MISMATCH"


class FailedPreconditionError(BursarError):
    """The thing is in a state that does not allow this."""

    reason = "FAILED_PRECONDITION"


class UnauthenticatedError(BursarError):
    """No credential, or one that is unknown, expired or revoked."""

    reason = "UNAUTHENTICATED"


class PermissionDeniedError(BursarError):
    """The principal's role does not allow this."""

    reason = "PERMISSION_DENIED"


class LimitExceededError(BursarError):
    """A named bound of the installation was reached."""

    reason = "LIMIT_EXCEEDED"


class UnavailableError(BursarError):
    """The server cannot answer now; the same request may be sent again."""

    reason = "UNAVAILABLE"
    retryable = True


class SecretsLockedError(BursarError):
    """The key that encrypts provider secrets is missing or is another one."""

    reason = "SECRETS_LOCKED"


ALL: tuple[type[BursarError], ...] = (
    BursarError,
    InvalidArgumentError,
    RequestIdReusedError,
    NotFoundError,
    AlreadyExistsError,
    EtagMismatchError,
    FailedPreconditionError,
    UnauthenticatedError,
    PermissionDeniedError,
    LimitExceededError,
    UnavailableError,
    SecretsLockedError,
)
"""Every type; a test proves each edge's table total against this."""
