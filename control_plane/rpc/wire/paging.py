"""Which page is asked for."""

from typing import Protocol

from control_plane.core.pages import Asked


class PageRequest(Protocol):
    """A request for a page of a list."""

    page_size: int
    page_token: str


def asked_from_wire(request: PageRequest) -> Asked:
    """The page that a request asks for."""
    return Asked(size=request.page_size, token=request.page_token)
