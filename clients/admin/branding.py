"""How the agency shows itself to its clients."""

from dataclasses import dataclass

from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandingInfo:
    """Name, colour, logo and note of the agency."""

    agency: str = ""
    """Its name; "" for none."""
    colour: str = ""
    """Such as #1d6ff2."""
    logo: bytes = b""
    """A PNG or JPEG; empty for none."""
    note: str = ""
    """Stands at the end of every statement."""
    names_bursar: bool = False
    """Whether statements may name the software."""
    etag: str = ""
    """Of what was read; "" replaces whatever is there."""


class Branding:
    """Reads and replaces the branding."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.BrandingServiceStub(wire.channel)

    def get(self) -> BrandingInfo:
        """Read it."""
        request = v1.GetBrandingRequest()
        return branding_from_wire(self._wire.ask(self._stub.GetBranding, request))

    def set(self, branding: BrandingInfo, *, request_id: str = "") -> BrandingInfo:
        """Replace it. Raises EtagMismatchError when somebody else replaced it meanwhile."""
        request = v1.SetBrandingRequest(
            request_id=request_id or self._wire.request_id(),
            branding=v1.Branding(
                agency=branding.agency,
                colour=branding.colour,
                logo=branding.logo,
                note=branding.note,
                names_bursar=branding.names_bursar,
                etag=branding.etag,
            ),
        )
        return branding_from_wire(self._wire.ask(self._stub.SetBranding, request))


def branding_from_wire(wire: v1.Branding) -> BrandingInfo:
    """Read the branding."""
    return BrandingInfo(
        agency=wire.agency,
        colour=wire.colour,
        logo=wire.logo,
        note=wire.note,
        names_bursar=wire.names_bursar,
        etag=wire.etag,
    )
