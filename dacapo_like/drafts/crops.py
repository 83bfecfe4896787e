"""Experiments that are drafted from a table of crops, or from a folder."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs

from dacapo_like.config.dataset import Split
from dacapo_like.config.document import read_text
from dacapo_like.config.project import located
from dacapo_like.drafts.arrays import Draft, drafts_of, stem
from dacapo_like.drafts.documents import ROLES, Crop
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    DocumentError,
    InvalidDocumentError,
    Problem,
    SourceError,
    did_you_mean,
)
from dacapo_like.fields import first_repeated
from dacapo_like.sources._listing import container_type, split_container

_COLUMNS = ("name", "split", *ROLES, *(f"{role}_dataset" for role in ROLES), "weight")
_DEEPEST = 4
_ROLE_WORDS = {
    "raw": {"raw", "em", "image", "images", "img", "scan", "volume"},
    "gt": {"gt", "label", "labels", "seg", "segmentation", "truth", "annotation", "annotations", "ids"},
    "mask": {"mask", "masks"},
}  # fmt: skip
_SPLIT_WORDS = {
    "train": {"train", "training"},
    "validate": {"val", "valid", "validate", "validation"},
    "test": {"test", "testing"},
}


# Tables


def crops_of_csv(path: Path) -> tuple[list[Draft], list[Crop]]:
    """Read a table of crops: their arrays, each once, and the datasets that they are.

    Parameters
    ----------
    path : Path
        A CSV, or TSV by its suffix, with a header: `raw` and any of `name`, `split`, `gt`, `mask`, `weight`, and `raw_dataset`,
        `gt_dataset`, `mask_dataset`. Relative paths start at the folder of the table; they may lead into a container.

    Raises
    ------
    DocumentError
        It cannot be read, or has no such header.
    InvalidDocumentError
        Rows say what they cannot; all problems are listed.
    """
    table = _Table(path)
    lines = io.StringIO(read_text(path).removeprefix("\ufeff"), newline="")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        table.check_header(reader.fieldnames or ())
        for row in reader:
            table.add(row, reader.line_num)
    except csv.Error as error:
        where = f"{path}:{reader.line_num}"
        raise DocumentError(f"the table cannot be read: {error}", where=where) from error
    if table.problems:
        raise InvalidDocumentError(
            f"{len(table.problems)} problem{'s' * (len(table.problems) != 1)} in the table",
            problems=table.problems,
            where=str(path),
        )
    return list(table.drafts.values()), table.crops


@attrs.define
class _Table:
    path: Path
    drafts: dict[tuple[str, str, str | None], Draft] = attrs.field(factory=dict)
    crops: list[Crop] = attrs.field(factory=list)
    names: set[str] = attrs.field(factory=set)  # of the crops
    counts: dict[str, int] = attrs.field(factory=dict)  # what to try next where a name is taken
    problems: list[Problem] = attrs.field(factory=list)

    def check_header(self, names: Any) -> None:
        unknown = [name for name in names if name not in _COLUMNS]
        if unknown or "raw" not in names:
            name = unknown[0] if unknown else None
            raise DocumentError(
                "a column that is not known" if unknown else "no column `raw`",
                got=None if name is None else repr(name),
                expected=f"some of {', '.join(_COLUMNS)}",
                hint=did_you_mean(str(name), _COLUMNS) if unknown else None,
                where=f"{self.path}:1",
                line=1,
            )
        repeated = first_repeated(names)
        if repeated is not None:
            what, where = "two columns of one name", f"{self.path}:1"
            raise DocumentError(what, got=repr(repeated), where=where, line=1)

    def add(self, row: Mapping[str | None, Any], line: int) -> None:
        """Take one row; what is wrong with it is kept."""
        if None in row:
            self._report(line, "", f"more cells than columns, from {row[None][0]!r} on")
            return
        cells = {str(key): (value or "").strip() for key, value in row.items()}
        if not any(cells.values()):
            return
        before = len(self.problems)
        split = cells.get("split") or "train"
        if split not in get_args(Split):
            known = get_args(Split)
            self._report(
                line, "split", f"no such split (got {split!r}; expected one of {', '.join(known)})",
                did_you_mean(split, known),
            )  # fmt: skip
        if not cells["raw"]:
            self._report(line, "raw", "a crop without `raw`")
        further = self._weight(cells.get("weight", ""), line)
        name = re.sub(r"[^\w.-]+", "_", cells.get("name", "")) or self._name(cells)
        if name in self.names:
            self._report(line, "name", f"two crops of one name (got {name!r})")
        found = {role: self._array(role, name, cells, line) for role in ROLES if cells.get(role)}
        if len(self.problems) == before:
            arrays = {role: draft for role, draft in found.items() if draft is not None}
            self.crops.append(Crop(name, split, arrays, further))
            self.names.add(name)

    def _weight(self, text: str, line: int) -> dict[str, Any]:
        if not text:
            return {}
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            self._report(line, "weight", f"not a number of at least 0 (got {text!r})")
            return {}
        return {"weight": int(weight) if weight.is_integer() else weight}

    def _name(self, cells: Mapping[str, str]) -> str:
        """Name a crop after its data; by number where that was done already."""
        name = re.sub(r"[^\w.-]+", "_", stem(split_container(cells["raw"])[0])) or "crop"
        if name not in self.names:
            return name
        numbered = (f"{name}_{n}" for n in itertools.count(self.counts.get(name, 2)))
        found = next(n for n in numbered if n not in self.names)
        self.counts[name] = int(found.rpartition("_")[2]) + 1
        return found

    def _array(self, role: str, name: str, cells: Mapping[str, str], line: int) -> Draft | None:
        given = cells[role]
        file_name, inner = split_container(given)
        dataset = "/".join(part for part in (inner, cells.get(f"{role}_dataset")) if part) or None
        try:
            file_name = located(file_name, self.path.absolute().parent)
        except ConfigError as error:
            self._report(line, role, error.message, error.hint)
            return None
        key = (role, file_name, dataset)
        if key in self.drafts:
            return self.drafts[key]
        tag = container_type(file_name)
        if tag is None:
            self._report(line, role, f"not a container of arrays that is known (got {given!r})")
            return None
        fields = {"file_name": file_name} | ({"dataset": dataset} if dataset else {})
        draft = Draft(f"{name}_{role}", tag, fields)
        try:
            draft.inspect()
        except DacapoLikeError:
            draft.spec = None  # `verify` will say so, of the document
        self.drafts[key] = draft
        return draft

    def _report(self, line: int, column: str, message: str, hint: str | None = None) -> None:
        place = {"path": str(self.path), "line": line, "key": column}
        self.problems.append(Problem(**place, code="DL110", message=message, hint=hint))  # type: ignore[arg-type]  # of one type each


# Folders


def crops_of_folder(folder: Path) -> tuple[list[Draft], list[Crop]]:
    """Look through a folder: the arrays in its containers, and the datasets that their names and kinds suggest.

    Arrays belong together that are in one container, or whose names differ in words such as `raw`, `gt` and `mask` only. Names
    with `train`, `val` or `test` in them say the split; else the last of several crops is for validation. TIFF files, of which a
    folder may hold one for each plane, are left out.

    Raises
    ------
    SourceError
        There is no such folder, or no array in it.
    """
    if not folder.is_dir():
        raise SourceError("no such folder", where=str(folder))
    drafts: list[Draft] = []
    groups: dict[tuple[str, ...], dict[str, Draft]] = {}
    for path in _containers(folder, _DEEPEST):
        try:
            found = drafts_of(str(path))
        except DacapoLikeError as error:
            drafts.append(_faulty(path, error))
            continue
        place = path.relative_to(folder) if path != folder else Path(path.name)
        _group(found, place, groups)
        for draft in found:
            draft.name = "_".join(_words(place, draft.fields.get("dataset"))) or draft.name
        drafts += found
    if not any(draft.spec for draft in drafts):
        raise SourceError("no array here that can be opened", where=str(folder))
    return drafts, _with_splits(groups)


def _group(
    found: list[Draft], place: Path, groups: dict[tuple[str, ...], dict[str, Draft]]
) -> None:
    """Put the arrays of a container where they belong: to those of one crop."""
    opened = [(draft, _role(draft, place)) for draft in found if draft.spec is not None]
    container = _nouns(_words(place, None))
    has_crops = not container or sum(role == "raw" for _, role in opened) > 1
    for draft, role in opened:
        words = _words(place, draft.fields.get("dataset"))
        key = (_nouns(words) if has_crops else container) or ("crop",)
        if role == "raw" and "raw" in groups.get(key, ()):
            key = tuple(words)
        groups.setdefault(key, {}).setdefault(role, draft)


def _nouns(words: list[str]) -> tuple[str, ...]:
    return tuple(word for word in words if not _is_role(word))


def _faulty(path: Path, error: DacapoLikeError) -> Draft:
    tag = container_type(str(path)) or "zarr"
    return Draft(stem(str(path)), tag, {"file_name": str(path)}, fault=str(error))


def _containers(folder: Path, depth: int) -> Iterator[Path]:
    if container_type(str(folder)) is not None:
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        tag = container_type(str(path))
        if tag is not None and tag != "tiff":
            yield path
        elif tag is None and path.is_dir() and depth:
            yield from _containers(path, depth - 1)


def _words(place: Path, dataset: str | None) -> list[str]:
    """Give the words of the name of an array, its container's suffixes left out."""
    text = "/".join([*place.parts[:-1], stem(place.name), dataset or ""])
    return [word for word in re.split(r"[\W_]+", text) if word]


def _role(draft: Draft, place: Path) -> str:
    for word in reversed(_words(place, draft.fields.get("dataset"))):
        for role, words in _ROLE_WORDS.items():
            if word.lower() in words:
                return role
    kind = "image" if draft.spec is None else draft.spec.kind
    return {"image": "raw", "labels": "gt", "mask": "mask"}[kind]


def _is_role(word: str) -> bool:
    return any(word.lower() in words for words in _ROLE_WORDS.values())


def _with_splits(groups: Mapping[tuple[str, ...], dict[str, Draft]]) -> list[Crop]:
    crops = []
    for key, arrays in groups.items():
        if "raw" not in arrays:  # of `c1/labels/mito`, for example, where the image is `c1/raw`
            above = (groups.get(key[:n], {}) for n in range(len(key) - 1, 0, -1))
            image = next((group for group in above if "raw" in group), {})
            for role, draft in arrays.items():
                image.setdefault(role, draft)
    for key, arrays in groups.items():
        if "raw" in arrays:
            crops.append(Crop("_".join(key), _split(key) or "", arrays))
    unsaid = [crop for crop in crops if not crop.split]
    validate = len(crops) > 1 and not any(crop.split == "validate" for crop in crops)
    for crop in unsaid:
        crop.split = "validate" if validate and crop is unsaid[-1] else "train"
    return crops


def _split(words: tuple[str, ...]) -> str | None:
    lowered = {word.lower() for word in words}
    return next((split for split, known in _SPLIT_WORDS.items() if lowered & known), None)
