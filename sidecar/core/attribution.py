"""Which workflow a call belongs to, told without touching the workflow.

The key's own label cannot be talked over; a label in the path stands above one in a header,
because it is set where the address is. The header's form is `name` or `name:execution`;
n8n fills it from one shared credential with `={{ $workflow.name }}:{{ $execution.id }}`.
"""

import re
from dataclasses import dataclass

from protos.values.ids import label_from_text

_EXECUTION = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whom a call is counted for, beside its key."""

    workflow: str
    """The workflow's label; empty when nothing named one."""
    execution: str
    """The workflow's execution; may be empty."""
    step: str
    """The step within the workflow; may be empty."""


NOBODY = Attribution("", "", "")


def attribution_of(
    key_workflow: str, path_label: str, header: bytes = b"", step: bytes = b""
) -> Attribution:
    """Settle whom a call is counted for."""
    if not header and not step:
        if not key_workflow and not path_label:
            return NOBODY
        return Attribution(key_workflow or path_label, "", "")
    name, execution = _name_and_execution(_text(header))
    return Attribution(
        workflow=key_workflow or path_label or name,
        execution=execution,
        step=label_from_text(_text(step)),
    )


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _name_and_execution(text: str) -> tuple[str, str]:
    name, colon, execution = text.strip().rpartition(":")
    if colon and _EXECUTION.match(execution) is not None:
        return label_from_text(name), label_from_text(execution)
    return label_from_text(text), ""
