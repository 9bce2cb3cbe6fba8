"""A call that was read, bounded and given a way to go, before it is admitted."""

from dataclasses import dataclass, field
from typing import Any

from protos.values.quick import quick
from protos.values.rates import ModelPrice
from sidecar.core.calls import NewCall
from sidecar.core.policy import Policy
from sidecar.providers.apis import Api
from sidecar.providers.reading import CallRequest
from sidecar.runtime.upstream import Upstream


@quick
@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with all that is needed to make it, once it is admitted."""

    call: NewCall
    """What admission is asked for."""
    api: Api
    """The API that it speaks."""
    request: CallRequest
    """What it asks for."""
    price: ModelPrice
    """The price in force at its start."""
    policy: Policy
    """The policy that it was admitted under."""
    upstream: Upstream
    """Where it goes."""
    prefix: bytes = field(repr=False)
    """The beginning of its head, which is the same for all calls that go there."""
    secret: bytes = field(repr=False)
    """The agency's secret in that head."""
    value: dict[str, Any] = field(repr=False)
    """Its body, read."""
    body: bytes = field(repr=False)
    """Its body, as it came."""
