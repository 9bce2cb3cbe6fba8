"""What an answer brings of rate limits: shares, put in force at once."""

from protos.bursar.sidecar import v1 as wire
from sidecar.core.instants import Now
from sidecar.limits import RECORDS_WAIT_MS
from sidecar.runtime import rate_wire
from sidecar.runtime.admission import Admission


def take_shares(answer: wire.SyncResponse, admission: Admission, sent: Now, now: Now) -> None:
    """Put the shares of an answer in force; they last from before it was asked for."""
    throttle, lowered = admission.throttle, False
    until_boot_ms = sent.boot_ms + answer.rate_share_ms
    for message in answer.rate_shares:
        meter = throttle.rates.meter(message.rate_limit_id)
        if meter is not None:
            share = rate_wire.share_from_wire(message)
            lowered |= meter.take_share(share, now.boot_ms, until_boot_ms)
    if answer.rate_shares:
        throttle.shares_came()
    if lowered and admission.cadence.tell_by(now.boot_ms + RECORDS_WAIT_MS):
        # Others get what was given up once it is said that it was.
        admission.poked.set()
