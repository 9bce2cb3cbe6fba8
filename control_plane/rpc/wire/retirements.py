"""Retirements of models on the wire."""

from control_plane.rpc.wire.instants import instant_from_wire, instant_to_wire
from control_plane.store.retirements import Retirement
from protos.bursar.admin import v1


def retirement_to_wire(retirement: Retirement) -> v1.Retirement:
    """A retirement."""
    return v1.Retirement(
        provider=retirement.provider,
        model=retirement.model,
        retire_time=instant_to_wire(retirement.retires_unix_ms),
        replacement=retirement.replacement,
        source=retirement.source,
    )


def retirement_from_wire(wire: v1.Retirement) -> Retirement:
    """A retirement as asked for."""
    return Retirement(
        provider=wire.provider,
        model=wire.model,
        retires_unix_ms=instant_from_wire(wire, "retire_time") or 0,
        replacement=wire.replacement,
        source=wire.source,
    )
