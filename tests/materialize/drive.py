"""Materialises a document, in a process that may be killed: JSON of what `materialize` takes."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path


def main(text: str) -> None:
    runpy.run_path(str(Path(__file__).with_name("logged.py")))
    import dacapo_like
    from dacapo_like.materialize import materialize

    asked = json.loads(text)
    array = dacapo_like.open_array(asked.pop("document"))
    materialize(array, asked.pop("path"), **asked)


if __name__ == "__main__":
    main(sys.argv[1])
