"""One control plane at the other end of a channel: deadlines, repetition, pages.

A request is made whole, its `request_id` included, before it is first sent, and the very same bytes
go out again while the server cannot be reached. So a repetition can never do a thing twice. Nothing
but UNAVAILABLE is repeated, and nothing past the deadline.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, TypeVar

import grpc

from clients.admin import clock
from clients.admin.limits import (
    ATTEMPTS_MAX_TIMES,
    BACKOFF_FIRST_MS,
    BACKOFF_MAX_MS,
    DEADLINE_MS,
)
from clients.admin.status import error_from_wire, may_repeat
from protos.values import ids

Request_contra = TypeVar("Request_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)
Request = TypeVar("Request")
Answer = TypeVar("Answer")
Item = TypeVar("Item")

Metadata = tuple[tuple[str, str], ...]


class Method(Protocol[Request_contra, Answer_co]):
    """A method of a stub: one request, one answer."""

    def __call__(
        self,
        request: Request_contra,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> Answer_co: ...


class Stream(Protocol[Answer_co]):
    """Answers as they come, until one side ends it."""

    def __iter__(self) -> Iterator[Answer_co]: ...

    def cancel(self) -> bool: ...


class Page(Protocol):
    """An answer that may have a successor."""

    @property
    def next_page_token(self) -> str: ...


AnyPage = TypeVar("AnyPage", bound=Page)


class Wire:
    """Sends requests to one control plane in one principal's name."""

    def __init__(
        self, channel: grpc.Channel, address: str, token: str, deadline_ms: int = DEADLINE_MS
    ) -> None:
        self.channel = channel
        self.address = address
        self.deadline_ms = deadline_ms
        self._metadata: Metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __repr__(self) -> str:
        return f"Wire({self.address!r})"

    def request_id(self) -> str:
        """Make the id under which a request may be repeated."""
        return ids.make_id(ids.REQUEST, clock.now_unix_ms(), os.urandom(ids.RANDOM_BYTES))

    def ask(self, method: Method[Request, Answer], request: Request) -> Answer:
        """Send a request, again if need be, and return its answer. Raises BursarError."""
        ends_ms = clock.monotonic_ms() + self.deadline_ms
        backoff_ms = BACKOFF_FIRST_MS
        attempt = 1
        while True:
            left_ms = max(1, ends_ms - clock.monotonic_ms())
            try:
                return method(request, timeout=left_ms / 1000, metadata=self._metadata)
            except grpc.RpcError as failure:
                out_of_time = clock.monotonic_ms() + backoff_ms >= ends_ms
                if not may_repeat(failure) or attempt >= ATTEMPTS_MAX_TIMES or out_of_time:
                    error = error_from_wire(failure, self.address, self.deadline_ms)
                    raise error from None
            clock.pause_ms(backoff_ms)
            backoff_ms = min(2 * backoff_ms, BACKOFF_MAX_MS)
            attempt += 1

    def stream(
        self, method: Method[Request, Stream[Answer]], request: Request, deadline_ms: int | None
    ) -> Generator[Answer, None, None]:
        """Yield answers as they come; closing the iterator ends the stream. Raises BursarError."""
        timeout = None if deadline_ms is None else deadline_ms / 1000
        answers = method(request, timeout=timeout, metadata=self._metadata)
        try:
            yield from answers
        except grpc.RpcError as failure:
            raise error_from_wire(failure, self.address, deadline_ms or 0) from None
        finally:
            answers.cancel()

    def pages(
        self, fetch: Callable[[str], AnyPage], items: Callable[[AnyPage], Iterable[Item]]
    ) -> Iterator[Item]:
        """Yield the items of every page, fetching each page when it is reached."""
        token = ""
        while True:
            page = fetch(token)
            yield from items(page)
            token = page.next_page_token
            if not token:
                return
