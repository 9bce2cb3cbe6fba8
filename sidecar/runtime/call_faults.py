"""What a caller is told of a call that failed at its provider, or on the way to it."""

from sidecar.http.plain_heads import Header
from sidecar.providers import envelopes
from sidecar.providers.envelopes import Fault

FROM_PROVIDER: Header = (b"x-bursar-upstream", b"provider")

SECRET_REFUSED = envelopes.wire_fault(
    403,
    "provider_secret_refused",
    "the provider refused the secret that is kept for it here; your own key is good. Ask your "
    "agency to set the provider's secret anew",
)


def unreachable(error: Exception) -> Fault:
    """Nothing was sent."""
    return envelopes.wire_fault(
        502,
        "upstream_unreachable",
        f"the provider cannot be reached: {error}. Nothing was sent or charged",
        retry=True,
    )


def broke_off(words: str, who: str = "the provider") -> Fault:
    """The answer ended too early; nobody should try again unasked, for each try is paid."""
    return envelopes.wire_fault(
        502,
        "upstream_broke_off",
        f"{who} broke off after the provider had the whole request ({words}); it may bill the "
        "call, so it is charged by estimate",
    )


ENDING = broke_off("it is ending", "this sidecar")


def marked(fault: Fault, call_id: str) -> Fault:
    """The fault of a call, with the call's id."""
    return Fault(
        face=fault.face,
        message=fault.message,
        retry=fault.retry,
        details=fault.details,
        headers=(*fault.headers, (b"x-bursar-call-id", call_id.encode()), FROM_PROVIDER),
    )
