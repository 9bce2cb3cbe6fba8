"""The agency's name, colour, logo and note, as clients see them."""

import re
from dataclasses import replace

from control_plane import limits
from control_plane.core import fields
from control_plane.store import branding as store
from control_plane.store.branding import Branding
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act, record

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_BEGINNINGS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


def get_branding(tx: Tx) -> Branding:
    """What is set."""
    return store.get(tx)


def set_branding(tx: Tx, wanted: Branding, etag: str, act: Act) -> Branding:
    """Replace it; statements that are frozen keep what they were frozen with."""
    before = store.get(tx)
    fields.check_etag(etag, before.version, "the branding", required=False)
    if wanted.agency:
        fields.check_name(wanted.agency, "branding.agency")
    colour = wanted.colour.lower() or Branding().colour
    if not _COLOUR.fullmatch(colour):
        raise fields.invalid("branding.colour", "a colour such as #1d6ff2")
    if len(wanted.logo) > limits.LOGO_BYTES_MAX:
        raise fields.invalid("branding.logo", f"at most {limits.LOGO_BYTES_MAX} bytes")
    kind = next((k for k, begin in _BEGINNINGS.items() if wanted.logo.startswith(begin)), "")
    if wanted.logo and not kind:
        raise fields.invalid("branding.logo", "a PNG or a JPEG")
    note = fields.check_text(wanted.note, "branding.note", limits.STATEMENT_NOTE_CHARACTERS_MAX)
    kept = replace(wanted, colour=colour, logo_type=kind, note=note, version=before.version + 1)
    store.put(tx, kept)
    record(
        tx,
        act,
        "branding",
        agency=kept.agency,
        colour=kept.colour,
        logo_bytes=len(kept.logo),
        names_bursar=kept.names_bursar,
    )
    return kept
