"""What this program serves and what it refuses, told to programs and to documents.

python -m sidecar surfaces              as JSON
python -m sidecar surfaces --markdown   as the table of the README
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from sidecar.http.surfaces import SURFACES
from sidecar.http.unserved import UNSERVED


def told() -> dict[str, Any]:
    """Every surface, and every endpoint that is refused by name."""
    return {
        "surfaces": [
            {
                "method": row.method,
                "path": surface.value,
                "kind": row.kind.value,
                "family": row.family,
                "bounded_by": row.bounded,
                "metered_from": row.metered,
                "refused": row.refused,
            }
            for surface, row in SURFACES.items()
        ],
        "unserved": [{"path": row.path, "reason": row.reason} for row in UNSERVED],
    }


def markdown() -> str:
    """The table of the README."""
    lines = [
        "| path | bounded before by | metered after from | refused in it |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{row.method} {surface.value}` | {row.bounded} | {row.metered} | {row.refused or '-'} |"
        for surface, row in SURFACES.items()
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write it to stdout; the exit status."""
    if list(arguments) not in ([], ["--markdown"]):
        sys.stderr.write("usage: python -m sidecar surfaces [--markdown]\n")
        return 2
    sys.stdout.write(markdown() if arguments else json.dumps(told(), indent=2) + "\n")
    return 0
