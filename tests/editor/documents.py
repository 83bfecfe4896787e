"""Documents of the project, as an editor is shown them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_document
from dacapo_like.errors import DocumentError

ROOT = Path(__file__).parent.parent.parent
SEEN_BY_EDITORS = {"DL101", "DL102", "DL103", "DL104", "DL105", "DL106"}
"""What is wrong with a document by itself: whether names are there, and what is in files, no schema can say."""
_IN_ALL_SPELLINGS = """\
parameters:
  shape: [8, 8]
  number: {env: LEVEL, default: 0}
  folder: {env: DATA, default: ., secret: false}
  way: mean
arrays:
  raw: {type: zarr, file_name: "${folder}/a.zarr", level: "${number}", voxel_size: null, kind: null}
  part: {type: crop, source: raw, roi: {offset: [0, "1/3"], shape: "${shape}"}}
  pair: {type: crop, source_array_config: raw, roi: [[0, "${number}"], "${shape}"]}
  groups: {type: binarize, source: raw, groupings: [[a, [1, 2]], [b, []]]}
  named: {type: binarize, source: raw, groupings: {a: "${shape}", b: ["${number}"]}}
  filled: {type: pad, source: raw, before: [1, 1], fill: {constant: 0}}
  coarse: {type: resampled, source: part, like: {type: ones, source: raw}, method: "${way}"}
  chosen: {type: select_channels, source: raw, channels: [0, dapi]}
datasets:
  - {name: a, raw: {type: ones, source: raw}, mask: null, weight: 0.5, sample_points: [[0, 1.5]]}
patches:
  train: {shape: "${shape}", overlap: [1, 1], samples: null, pad: {constant: 0}}
  test: {shape: [8, 8], sampler: {type: weighted, by: raw}, samples: "${number}"}
"""
_BLOCK = re.compile(
    r"^```(?:\{code-block\} )?(yaml|toml)\n(?::caption: \S+\n\n?)?(.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


class Document(NamedTuple):
    """A document, and where it is from."""

    where: str
    kind: str
    text: str


def marked(text: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Take the marks « » out of a text; give line, column and text of what they enclose, in its order."""
    places = []
    for number, line in enumerate(text.split("\n"), 1):
        for i, found in enumerate(re.finditer("«(.*?)»", line)):
            places.append((number, found.start() + 1 - 2 * i, found[1]))
    return re.sub("[«»]", "", text), places


def good_documents(language: str) -> list[Document]:
    """Give the examples in a language, those of the documentation too, that are well-formed."""
    texts = {path.name: path.read_text() for path in ROOT.glob(f"configs/*.{language}")}
    if language == "yaml":
        texts["in all spellings"] = _IN_ALL_SPELLINGS
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for found in _BLOCK.finditer(page.read_text()):
            if found[1] == language:
                texts[f"{page.relative_to(ROOT)}:{found.start()}"] = found[2]
    return [
        Document(where, _kind(data), text) for where, text, data in _well_formed(texts, language)
    ]


def broken_documents(language: str) -> dict[str, tuple[Document, set[tuple[int, int]]]]:
    """Give the broken documents in a language, each with the lines and columns of what an editor can see."""
    expected: dict[str, set[tuple[int, int]]] = {}
    folder = ROOT / "tests" / "broken"
    for row in (folder / "expected.txt").read_text().splitlines():
        place, _, code, _ = row.split(maxsplit=3)
        name, line, column = place.split(":")
        if name.endswith(language) and code in SEEN_BY_EDITORS:
            expected.setdefault(name, set()).add((int(line), int(column)))
    found = {}
    for name, problems in expected.items():
        text = (folder / name).read_text()
        if "__type__" not in text:  # DaCapo's own documents have no schema
            found[name] = (
                Document(name, _kind(parse_document(text, format=language).data), text),
                problems,
            )
    return found


def _well_formed(texts: dict[str, str], language: str) -> Iterator[tuple[str, str, Any]]:
    for where, text in texts.items():
        try:
            document = parse_document(text, format=language)
        except DocumentError:
            continue
        if isinstance(document.data, dict) and {"type", "arrays"} & document.data.keys():
            codes = {problem.code for problem in load_document(document).problems}
            if not codes & SEEN_BY_EDITORS:
                yield where, text, document.data


def _kind(data: Any) -> str:
    return "experiment" if "arrays" in data else "array"
