"""Finds workflows that send the same request again and again, and stops them until they rest.

A loop is the same body, from one key and workflow, more often than its client allows in a minute.
It is refused for good, for a library that tries again would only go on with it; every repetition
prolongs that, and a minute without any ends it. Only digests are remembered, and so many.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from protos.values.selectors import Attributes
from sidecar.core.refusals import Reason, Refusal
from sidecar.limits import LOOP_MS, LOOPS_MAX

_DIGEST_BYTES = 16


class _Seen(NamedTuple):
    """Who sent what."""

    key_id: str
    workflow: str
    digest: bytes


@dataclass(slots=True)
class _Count:
    began_boot_ms: int
    latest_boot_ms: int
    requests: int = 0
    loops: bool = False


class Loop(NamedTuple):
    """A request that is one of a loop."""

    refusal: Refusal
    begins: bool
    """It was none before this one."""


class Loops:
    """The requests of the last minute, by digest."""

    def __init__(self) -> None:
        """Begin with none seen."""
        self._counts: OrderedDict[_Seen, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def see(self, attributes: Attributes, body: bytes, most: int, boot_ms: int) -> Loop | None:
        """Count a request; the loop that it is part of, as more than so many a minute are."""
        digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
        seen = _Seen(attributes.key_id, attributes.workflow, digest)
        count = self._counts.get(seen)
        rested = count is not None and boot_ms - count.latest_boot_ms >= LOOP_MS
        if count is None or rested:
            count = self._counts[seen] = _Count(boot_ms, boot_ms)
        elif not count.loops and boot_ms - count.began_boot_ms >= LOOP_MS:
            count.began_boot_ms, count.requests = boot_ms, 0
        self._counts.move_to_end(seen)
        while len(self._counts) > LOOPS_MAX:
            self._counts.popitem(last=False)
        count.requests += 1
        count.latest_boot_ms = boot_ms
        begins = not count.loops and count.requests > most
        count.loops = count.loops or begins
        if not count.loops:
            return None
        refusal = _refusal(attributes, count.requests, most)
        return Loop(refusal, begins)


def _refusal(attributes: Attributes, requests: int, most: int) -> Refusal:
    workflow = f'The workflow "{attributes.workflow}"' if attributes.workflow else "This key"
    return Refusal(
        Reason.LOOP,
        f"{workflow} sent the same request {requests} times, which is a loop: more than {most} in "
        f"a minute are stopped. Stop it; after {LOOP_MS // 1000} seconds without this request it "
        "may be sent again. If it is meant, allow more for this client.",
        fields={"workflow": attributes.workflow, "requests": str(requests), "most": str(most)},
    )
