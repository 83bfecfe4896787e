"""Arrays of a draft: what a container says of them, and what it leaves open."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from dacapo_like.config.document import write_document
from dacapo_like.config.parameters import escaped
from dacapo_like.core import ArrayConfig
from dacapo_like.errors import DacapoLikeError, SourceError
from dacapo_like.geometry import plain_number
from dacapo_like.registry import array_type
from dacapo_like.sources._listing import arrays_in, container_type
from dacapo_like.spec import ArraySpec, Kind, describe_spec

_GUESSED_AXES = {4: ["c", "z", "y", "x"], 5: ["t", "c", "z", "y", "x"]}
_OPEN = "the file does not say: fill in"


@attrs.define
class Draft:
    """An array of a draft.

    Attributes
    ----------
    name : str
        In the document.
    tag : str
        Its type.
    fields : dict
        Keys of the document and their values; file names are whole.
    spec : ArraySpec or None
        What opening it said; ``None`` where it was not opened.
    guessed : set of str
        Of the fields, those that nobody said.
    fault : str or None
        Why it cannot be opened.
    """

    name: str
    tag: str
    fields: dict[str, Any]
    spec: ArraySpec | None = None
    guessed: set[str] = attrs.field(factory=set)
    fault: str | None = None

    def config(self) -> ArrayConfig:
        """Give the config of the array."""
        return array_type(self.tag)(**self.fields)

    def inspect(self) -> None:
        """Open the array; where the file does not say what its axes are, they are guessed."""
        try:
            self.spec = self.config().array().spec
        except SourceError as error:
            rank = re.search(r"shape \(([^)]*)\)", error.got or "")
            axes = _GUESSED_AXES.get(len(rank[1].rstrip(",").split(","))) if rank else None
            if error.key != ("axes",) or axes is None or "axes" in self.fields:
                raise
            self.fields["axes"] = axes
            self.guessed.add("axes")
            self.inspect()


def drafts_of(file_name: str) -> list[Draft]:
    """Inspect a container: a draft of each of its arrays.

    Raises
    ------
    SourceError
        It is no container that is known, or holds nothing that can be opened.
    """
    tag = container_type(file_name)
    if tag is None:
        raise SourceError(
            "not a container of arrays that is known by its name or what is in it",
            where=file_name,
            expected="Zarr, N5, precomputed, HDF5, NIfTI, TIFF, Imaris, CZI, .npy or .npz",
        )
    found = []
    for fields in arrays_in(tag, file_name):
        name = fields.get("dataset") or stem(file_name)
        if "series" in fields or "scene" in fields:
            name = f"{name}_{fields.get('series', fields.get('scene'))}"
        draft = Draft(name, tag, {"file_name": file_name, **fields})
        try:
            draft.inspect()
        except DacapoLikeError as error:
            draft.fault = str(error)
        found.append(draft)
    if not any(draft.spec for draft in found):
        fault = next((draft.fault for draft in found), "it holds no array")
        raise SourceError("nothing here can be opened", got=fault, where=file_name)
    return found


def stem(file_name: str) -> str:
    """Give the name of a file without its folders and suffixes.

    Examples
    --------
    >>> stem("data/brain.nii.gz"), stem("data/fly.ome.zarr/")
    ('brain', 'fly')
    """
    name = file_name.partition("?")[0].rstrip("/").rpartition("/")[2]
    return name.partition(".")[0] or name.lstrip(".")


def with_own_names(drafts: Iterable[Draft]) -> list[Draft]:
    """Give drafts names that documents can have, each its own."""
    taken: set[str] = set()
    named = list(drafts)
    for draft in named:
        name = wanted = re.sub(r"[^\w.-]+", "_", draft.name).strip("_.") or "array"
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        draft.name = name
    return named


def array_lines(draft: Draft, folder: Path) -> list[str]:
    """Write the keys of an array, and as comments what need not be said or should be."""
    fields = {**draft.fields, "file_name": relative_to(draft.fields["file_name"], folder)}
    fields = {"type": draft.tag, **fields}
    if draft.spec is None:
        fault = draft.fault or "not opened"
        return [f"# {' '.join(fault.split())}", *map(_line, fields.items())]
    lines = [f"# {describe_spec(draft.spec)}"]
    for key, value in fields.items():
        remark = "  # a guess: the file does not say" if key in draft.guessed else ""
        lines.append(_line((key, value)) + remark)
    lines += [f"# {line}" for line in _said(draft.spec, set(fields))]
    return lines


def _said(spec: ArraySpec, given: set[str]) -> Iterable[str]:
    """Write what a file says as keys that would say something else, and the keys that it leaves open."""
    is_open = all(unit is None for unit in spec.units)
    sizes = [plain_number(size) for size in spec.voxel_size]
    placed = {
        "axes": list(spec.axes),
        "voxel_size": sizes,
        "offset": [plain_number(value) for value in spec.offset],
    }
    for key, value in placed.items():
        unsaid = is_open and key == "voxel_size" and set(sizes) == {1}
        if key not in given:
            yield _line((key, value)) + (f"  # {_OPEN}" if unsaid else "")
    if "units" not in given:
        known = list(dict.fromkeys(unit or "?" for unit in spec.units))
        yield (
            f"units: UNIT  # {_OPEN}, such as nm"
            if is_open
            else _line(("units", known[0] if len(known) == 1 else list(spec.units)))
        )
    if spec.channels:
        yield _line(("channels", list(spec.channels))) + "  # keeps these only"
    if "kind" not in given:
        yield _line(("kind", spec.kind)) + "  # image, labels or mask"


def relative_to(file_name: str, folder: Path) -> str:
    """Give a file name as a document in a folder has it."""
    if "://" in file_name:
        return file_name
    path, base = Path(os.path.abspath(file_name)), Path(os.path.abspath(folder))  # noqa: PTH100  # links stay
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _line(item: tuple[str, Any]) -> str:
    return flow(dict([item]))


def flow(data: dict[str, Any]) -> str:
    """Write a mapping of one key on one line of YAML."""
    (key, value), *more = data.items()
    assert not more  # noqa: S101  # callers give one
    text = write_document({key: escaped(value)}, "yaml").rstrip("\n")
    if "\n" not in text:
        return text
    return f"{key}: {json.dumps(escaped(value), ensure_ascii=False, default=float)}"


KIND_OF_ROLE: dict[str, Kind] = {"gt": "labels", "mask": "mask"}
"""What arrays are by what they are for."""
