"""Which workflow a call belongs to, told without touching the workflow.

Rules:
1. Whose money it is, the key alone says: nothing here can name a client.
2. Of what names the workflow, the execution and the step, each for itself, the first counts: the
   key's own label, what stands behind the key, the path, a header, the body. So what an agency sets
   up cannot be talked over by what a workflow sends.
3. Whatever was sent becomes a plain label of at most 64 characters, or nothing.

Behind the key stands `~workflow~execution~step`, as much of it as is wanted. A header has the form
`name` or `name:execution`; n8n fills it from one shared credential with
`={{ $workflow.name }}:{{ $execution.id }}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protos.values.ids import label_from_text
from protos.values.keys import SUFFIX_MARK
from protos.values.quick import quick

_EXECUTION = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_SENT_CHARACTERS_MAX = 256
"""Of what was sent no more is looked at: a label has 64."""


@quick
@dataclass(frozen=True, slots=True)
class Attribution:
    """Whom a call is counted for, beside its key."""

    workflow: str
    """The workflow's label; empty when nothing named one."""
    execution: str
    """The workflow's execution; may be empty."""
    step: str
    """The step within the workflow; may be empty."""

    @property
    def is_whole(self) -> bool:
        """Whether all three are named, so that nothing more need be read."""
        return bool(self.workflow and self.execution and self.step)


NOBODY = Attribution("", "", "")


def attribution_of(
    key_workflow: str,
    path_label: str,
    header: bytes = b"",
    step: bytes = b"",
    suffix: str = "",
) -> Attribution:
    """Settle whom a call is counted for, by all but its body."""
    if not header and not step and not suffix:
        if not key_workflow and not path_label:
            return NOBODY
        return Attribution(key_workflow or path_label, "", "")
    behind = _behind_key(suffix) if suffix else NOBODY
    name, execution = _name_and_execution(_text(header))
    return Attribution(
        workflow=key_workflow or behind.workflow or path_label or name,
        execution=behind.execution or execution,
        step=behind.step or _label(_text(step)),
    )


def named_in_body(named: Attribution, told: Any) -> Attribution:
    """What is named so far, and of the rest what the body's own metadata tells.

    `told` is that object of the request, as it was read; whatever else it is tells nothing.
    """
    if type(told) is not dict or named.is_whole:
        return named
    return Attribution(
        named.workflow or _told(told, "workflow"),
        named.execution or _told(told, "execution"),
        named.step or _told(told, "step"),
    )


def _told(metadata: Mapping[str, Any], name: str) -> str:
    for known in (f"bursar_{name}", name):
        text = metadata.get(known)
        if type(text) is str and (label := _label(text)):
            return label
    return ""


def _behind_key(suffix: str) -> Attribution:
    """What is written behind a key; a part too many says nothing."""
    text = _text(suffix[: 4 * _SENT_CHARACTERS_MAX].encode("latin-1"))
    parts = [_label(part) for part in text.split(SUFFIX_MARK)]
    workflow, execution, step = (*parts, "", "", "")[:3]
    return Attribution(workflow, execution, step)


def _label(text: str) -> str:
    return label_from_text(text[:_SENT_CHARACTERS_MAX])


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _name_and_execution(text: str) -> tuple[str, str]:
    name, colon, execution = text.strip().rpartition(":")
    if colon and _EXECUTION.match(execution) is not None:
        return _label(name), _label(execution)
    return _label(text), ""
