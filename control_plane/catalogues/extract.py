"""Makes the extract of litellm's table that comes with the software.

    python -m control_plane.catalogues.extract model_prices_and_context_window.json > OUT

It keeps the rows of the providers below, of the kinds of models that are served here, and of each
row the keys that are read; one row a line, so that the next extract shows what changed.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from control_plane.catalogues import litellm

PROVIDERS: Final = ("openai", "anthropic", "gemini", "groq", "mistral", "deepseek", "xai")
"""Whose rows are kept."""
NOTICE: Final = """An extract of model_prices_and_context_window.json of litellm. MIT License.
Copyright (c) 2023 Berri AI. Permission is hereby granted, free of charge, to any person obtaining a
copy of this software and associated documentation files (the "Software"), to deal in the Software
without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions: The above copyright notice and
this permission notice shall be included in all copies or substantial portions of the Software. THE
SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.
IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
""".replace("\n", " ")
"""What its licence asks to stand in every copy."""


def extract(table: Mapping[str, Any]) -> str:
    """The extract of a table, as it is written."""
    rows = {
        key: {name: value for name, value in sorted(row.items()) if litellm.is_read(name)}
        for key, row in sorted(table.items())
        if type(row) is dict
        and row.get("litellm_provider") in PROVIDERS
        and litellm.is_served(key, row)
    }
    lines = [f"{json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items()]
    return "{\n" + ",\n".join([f'"notice": {json.dumps(NOTICE)}', *lines]) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(extract(json.loads(Path(sys.argv[1]).read_bytes())))
