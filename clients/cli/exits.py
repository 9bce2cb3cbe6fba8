"""The exit codes of the command: one table from errors to numbers."""

from collections.abc import Mapping
from typing import Final

from protos.values import errors

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DENIED: Final = 4
CONFLICT: Final = 5
UNREACHABLE: Final = 6
INTERRUPTED: Final = 130

MEANINGS: Final[Mapping[int, str]] = {
    OK: "done",
    FAILED: "it failed, or `doctor` or `playbook verify` found something that is not so",
    USAGE: "the command line or a value on it is wrong",
    NOT_FOUND: "no such thing",
    DENIED: "no valid token, or its role does not allow it",
    CONFLICT: "it exists already, or changed meanwhile, or its state does not allow it",
    UNREACHABLE: "the control plane cannot be reached, or cannot answer now",
    INTERRUPTED: "Ctrl-C ended it before it began",
}
"""What each exit code says."""

BY_ERROR: Final[Mapping[type[errors.BursarError], int]] = {
    errors.BursarError: FAILED,
    errors.InvalidArgumentError: USAGE,
    errors.RequestIdReusedError: CONFLICT,
    errors.NotFoundError: NOT_FOUND,
    errors.AlreadyExistsError: CONFLICT,
    errors.EtagMismatchError: CONFLICT,
    errors.FailedPreconditionError: CONFLICT,
    errors.UnauthenticatedError: DENIED,
    errors.PermissionDeniedError: DENIED,
    errors.LimitExceededError: FAILED,
    errors.UnavailableError: UNREACHABLE,
    errors.SecretsLockedError: FAILED,
}
"""The exit code of every error; a test holds it total."""


def epilog() -> str:
    """The exit codes as a paragraph for --help."""
    lines = "\n".join(f"  {code}  {meaning}" for code, meaning in MEANINGS.items())
    return f"\b\nExit codes:\n{lines}"
