"""A control plane that answers over gRPC, in this process, on its own loop."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from control_plane.rpc.deps import Deps
from control_plane.rpc.server import RunningServer
from control_plane.store.engine import Tx
from control_plane.store.sqlite import SqliteStore
from protos.bursar.admin import v1

T = TypeVar("T")
DEADLINE_S = 60


@dataclass
class Told:
    """An error as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    fields: dict[str, str]


@dataclass
class Served:
    """A running control plane, and how a test speaks to it."""

    store: SqliteStore
    deps: Deps
    loop: asyncio.AbstractEventLoop
    running: RunningServer
    owner_token: str
    token: str
    """Whose calls are made."""
    channel: grpc.Channel
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.running.port}"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    def id(self) -> str:
        return f"request-{next(self.numbers)}"

    def call(self, method: Any, request: Any) -> Any:
        """Call a method of a stub with this caller's token."""
        return method(request, metadata=self.metadata, timeout=DEADLINE_S)

    def refused(self, method: Any, request: Any) -> Told:
        """Call a method that must be refused, and read how."""
        with pytest.raises(grpc.RpcError) as caught:
            self.first(method, request)
        return told(caught.value)

    def first(self, method: Any, request: Any) -> Any:
        """The answer, or the first one of a stream."""
        answer = self.call(method, request)
        return next(answer) if hasattr(answer, "__next__") else answer

    def write(self, fn: Callable[[Tx], T]) -> T:
        return self.store.write(fn).result(DEADLINE_S)

    def stub(self, kind: Callable[[grpc.Channel], T]) -> T:
        return kind(self.channel)

    def as_role(self, role: v1.Role.ValueType) -> "Served":
        """The same, with the token of a new principal of a role."""
        made = self.call(
            self.stub(v1.PrincipalServiceStub).CreatePrincipal,
            v1.CreatePrincipalRequest(
                request_id=self.id(),
                principal=v1.Principal(display_name=f"p{next(self.numbers)}", role=role),
            ),
        )
        return Served(
            self.store,
            self.deps,
            self.loop,
            self.running,
            self.owner_token,
            made.token,
            self.channel,
            self.numbers,
        )

    def project(self, name: str = "Acme Dental", cap_nano_usd: int = 10**9) -> Any:
        return self.call(
            self.stub(v1.ProjectServiceStub).CreateProject,
            v1.CreateProjectRequest(
                request_id=self.id(),
                project=v1.Project(display_name=name),
                budget=v1.Budget(cap_nano_usd=cap_nano_usd),
            ),
        )


def told(error: Any) -> Told:
    """Read an error as a program would: from its details alone."""
    trailing = dict(error.trailing_metadata() or ())
    info = ErrorInfo()
    if "grpc-status-details-bin" in trailing:
        status = Status.FromString(trailing["grpc-status-details-bin"])
        assert (status.code, status.message) == (error.code().value[0], error.details())
        assert status.details[0].Unpack(info)
        assert info.domain == "bursar"
    return Told(error.code(), error.details(), info.reason, dict(info.metadata))
