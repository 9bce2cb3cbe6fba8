"""Links to clients' pages on the wire."""

from control_plane.core.share_links import ShareLink
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from protos.bursar.admin import v1


def share_link_to_wire(link: ShareLink) -> v1.ShareLink:
    """A link, without its secret."""
    return v1.ShareLink(
        link_id=link.link_id,
        project_id=link.project_id,
        create_time=instant_to_wire(link.created_unix_ms),
        expire_time=instant_to_wire(link.expires_unix_ms),
        revoke_time=instant_or_none_to_wire(link.revoked_unix_ms),
        view_count=link.view_count,
        view_time=instant_or_none_to_wire(link.viewed_unix_ms),
    )
