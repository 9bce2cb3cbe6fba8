"""Which fields of a thing an update changes."""

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from control_plane.core import fields


def paths_of(mask: FieldMask, changeable: Sequence[str]) -> frozenset[str]:
    """The fields that a mask names. Refuses an empty mask and a field that cannot change."""
    named = list(mask.paths)
    if not named:
        raise fields.invalid("update_mask", f"name what is to change: {', '.join(changeable)}")
    for path in named:
        if path not in changeable:
            raise fields.invalid(
                "update_mask", f"{path[:64]!r} never changes; these do: {', '.join(changeable)}"
            )
    return frozenset(named)
