"""The Python in the README, and in the docstring of `connect`, runs as it stands."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from clients.admin import connect

README = (Path(__file__).parents[3] / "clients" / "README.md").read_text(encoding="utf-8")
DOCSTRING = inspect.cleandoc(connect.__doc__ or "")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("text", [README, DOCSTRING], ids=["README", "docstring"])
def test_the_examples_run(
    text: str, control_plane: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    token = (control_plane.data / "owner.token").read_text().strip()
    blocks = BLOCK.findall(text)
    assert blocks
    with control_plane.connect() as bursar:
        for one in list(bursar.projects.list()):
            if one.display_name == "Acme Dental":
                bursar.projects.archive(one.project_id)
    for block in blocks:
        program = block.replace("127.0.0.1:7240", control_plane.address)
        program = program.replace("for call in bursar.calls.tail():", "for call in ():")
        exec(compile(program, "example", "exec"), {"token": token})  # noqa: S102 - that is the claim
    assert "bursar_pk_" in capsys.readouterr().out
