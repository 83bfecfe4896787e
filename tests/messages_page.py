"""Makes docs/explanation/messages.md: what `verify` says of broken documents beside what others say: `python tests/messages_page.py`.

What others say was recorded by tests/peers/run_messages.py; what we say is looked up, and a test compares it with the page.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
BROKEN, RECORDED = HERE / "broken", HERE / "peers" / "messages.jsonl"
PAGE = HERE.parent / "docs" / "explanation" / "messages.md"
PROGRAMS = {"pydantic": "pydantic", "cattrs": "cattrs", "hydra": "Hydra", "dacapo": "DaCapo"}


class Case(NamedTuple):
    """A document, and what is wrong with it."""

    document: str
    title: str


CASES = (
    Case("unknown_type.yaml", "A type that there is not"),
    Case("unknown_keys.toml", "Keys that there are not"),
    Case("unknown_key.yaml", "A key is missing, because it is misspelled"),
    Case("wrong_scalars.toml", "Values of the wrong type"),
    Case("null_source.yaml", "Nothing where an array should be"),
    Case("choice.yaml", "A value that is no choice"),
    Case("dangling.yaml", "Names of arrays that there are not"),
    Case("duplicates.yaml", "A key stands twice"),
    Case("tab.yaml", "A tab"),
    Case("no_such_file.yaml", "A file that is not there"),
)

INTRODUCTION = """\
# What is said of mistakes

Ten broken documents, what `dacapo-like verify` says of each, and what other programs say. For these the same arrays were
described as their manuals show it: strict pydantic models in a discriminated union; attrs classes and a cattrs converter that forbids
unknown keys, its errors told by `transform_error`; dataclasses that Hydra's `instantiate` makes; DaCapo's own configs and their `verify`.
A document is spelled as each of them wants it. Their answers are the last lines of what they print, without the traceback, recorded from
{versions}.

What to look for: is every mistake named at once, at a line and column, in words of the document, with what would be right?
"""


def recorded() -> dict[tuple[str, str], str]:
    """Give what others said, by program and document; the last record counts."""
    lines = map(json.loads, RECORDED.read_text().splitlines())
    return {(line["program"], line["document"]): line["message"] for line in lines}


def versions() -> dict[str, str]:
    """Give the versions that were recorded."""
    lines = map(json.loads, RECORDED.read_text().splitlines())
    return {line["program"]: line["version"] for line in lines}


def ours(document: str) -> str:
    """Give what the command prints for a document."""
    from click.testing import CliRunner

    from dacapo_like.cli import main

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, document)
        shutil.copy(BROKEN / document, path)
        _with_volume(Path(folder))
        printed = CliRunner().invoke(main, ["verify", str(path)]).stdout
        return printed.replace(f"{folder}/", "").rstrip().replace("\t", "    ")


def _with_volume(folder: Path) -> None:
    """Write the volume that the documents speak of."""
    import zarr

    for name in ("raw", "labels"):
        array = zarr.create_array(folder / "em.zarr", name=name, shape=(16,) * 3, dtype="uint8")
        array.attrs["voxel_size"] = [8, 8, 8]


def page() -> str:
    """Give the text of the page."""
    said, numbers = recorded(), versions()
    named = [f"{title} {numbers[program]}" for program, title in PROGRAMS.items()]
    parts = [INTRODUCTION.format(versions=f"{', '.join(named[:-1])} and {named[-1]}")]
    for case in CASES:
        text = (BROKEN / case.document).read_text().rstrip().replace("\t", "    ")
        parts.append(f"## {case.title}\n\n```text\n{text}\n```\n")
        parts.append(f"dacapo-like:\n\n```text\n{ours(case.document)}\n```\n")
        parts += [
            f"{title}:\n\n```text\n{said[program, case.document]}\n```\n"
            for program, title in PROGRAMS.items()
        ]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
