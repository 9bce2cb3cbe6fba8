"""Who watches what the control plane does, for people outside; nothing here rests on it."""

from typing import Protocol

from protos.telemetry.traces import Started


class Observer(Protocol):
    """Is told of each RPC as it ends; must be quick and raise nothing."""

    def begin(self, traceparent: str) -> Started | None:
        """An RPC came, under this trace if it is not empty: the span to record, or None."""
        ...

    def ended(self, method: str, code: str, took_us: int, started: Started | None) -> None:
        """A unary RPC ended. The method is one of ours, or "other"."""
        ...


class Nobody:
    """Watches nothing."""

    __slots__ = ()

    def begin(self, traceparent: str) -> Started | None:  # noqa: ARG002 - nobody looks
        """Record nothing."""
        return None

    def ended(self, method: str, code: str, took_us: int, started: Started | None) -> None:
        """Look away."""
