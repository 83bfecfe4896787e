"""The text of a draft."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.config.document import format_of, parse_document
from dacapo_like.config.loading import load_document
from dacapo_like.drafts.arrays import (
    KIND_OF_ROLE,
    Draft,
    array_lines,
    drafts_of,
    flow,
    with_own_names,
)
from dacapo_like.errors import DacapoLikeError, DocumentError
from dacapo_like.experiment import Experiment
from dacapo_like.replacing import replace_file

ROLES = ("raw", "gt", "mask")
_LONGEST_PATCH = 64
_SAMPLES = 1000


@attrs.define
class Crop:
    """A dataset of a draft: its name, its split, its arrays by role, and what else is said of it."""

    name: str
    split: str
    arrays: dict[str, Draft]
    further: dict[str, Any] = attrs.field(factory=dict)

    def line(self) -> str:
        """Write it as an item of `datasets`."""
        data = {"name": self.name, "split": self.split}
        data |= {role: self.arrays[role].name for role in ROLES if role in self.arrays}
        return f"  - {{{', '.join(flow(dict([item])) for item in (data | self.further).items())}}}"


def draft_array(file_name: str, out: Path) -> str:
    """Draft a document of the arrays in a container: one array, or several by name.

    Parameters
    ----------
    file_name : str
        A file, folder or URL.
    out : Path
        Where the document is going to be; nothing is written.

    Raises
    ------
    SourceError
        It is no container, or nothing in it can be opened.
    """
    drafts = with_own_names(drafts_of(file_name))
    if len(drafts) > 1:
        return _text("experiment", out, file_name, _arrays(drafts, out.parent))
    return _text("array", out, file_name, array_lines(drafts[0], out.parent))


def draft_experiment(
    drafts: Iterable[Draft], crops: Sequence[Crop], out: Path, made_of: str
) -> str:
    """Draft an experiment; patches are proposed where the arrays of its datasets can be opened and these fit.

    Parameters
    ----------
    drafts : iterable of Draft
        Its arrays; they get names that differ.
    crops : sequence of Crop
        Its datasets.
    out : Path
        Where the document is going to be; nothing is written.
    made_of : str
        For the comment at its top.
    """
    for crop in crops:
        for role, draft in crop.arrays.items():
            if role in KIND_OF_ROLE and (
                draft.spec is None or draft.spec.kind != KIND_OF_ROLE[role]
            ):
                draft.fields["kind"] = KIND_OF_ROLE[role]
    lines = _arrays(with_own_names(drafts), out.parent)
    lines += ["", "datasets:" if crops else "datasets: []", *(crop.line() for crop in crops)]
    patches = _patches(crops)
    if patches:
        proposed = ["", "patches:", *patches]
        fault = _fault(_text("experiment", out, made_of, lines + proposed), out.parent)
        lines += proposed if fault is None else ["", f"# patches: {fault}"]
    return _text("experiment", out, made_of, lines)


def write_draft(text: str, out: Path, *, overwrite: bool = False) -> None:
    """Write a draft, when all of it is there.

    Raises
    ------
    DocumentError
        It is no YAML by its name, there is a document already, or it cannot be written.
    """
    check_target(out, overwrite=overwrite)
    try:
        replace_file(out.absolute(), text)
    except OSError as error:
        what = f"the document cannot be written: {error.strerror}"
        raise DocumentError(what, where=str(out)) from error


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where no draft can be written; as `write_draft`."""
    if format_of(out) != "yaml":
        raise DocumentError(
            "a draft has comments, for which it is YAML",
            where=str(out),
            expected="a name that ends in .yaml or .yml",
            hint="`dacapo-like convert` makes TOML or JSON of it",
        )
    if out.exists() and not overwrite:
        raise DocumentError(
            "there is a document already",
            where=str(out),
            hint="overwrite=True (--overwrite) replaces it",
        )


def schema_beside(out: Path, kind: Literal["array", "experiment"]) -> tuple[str, bool]:
    """Give the path from a document to the schema of its kind, and whether it is there."""
    folder = out.absolute().parent
    name = f"schemas/{kind}.schema.json"
    for above, step in zip((folder, *folder.parents), range(4), strict=False):
        if (above / name).is_file():
            return "../" * step + name, True
    return name, False


def _text(
    kind: Literal["array", "experiment"], out: Path, made_of: str, lines: Iterable[str]
) -> str:
    head = [
        f"# yaml-language-server: $schema={schema_beside(out, kind)[0]}",
        f"# Drafted from {' '.join(made_of.split())}. When it says what you mean: dacapo-like verify {out.name}",
        "",
    ]
    return "\n".join([*head, *lines]) + "\n"


def _arrays(drafts: Sequence[Draft], folder: Path) -> list[str]:
    lines = ["arrays:" if any(draft.fault is None for draft in drafts) else "arrays: {}"]
    for draft in drafts:
        mark = "" if draft.fault is None else "# "
        lines.append(f"  {mark}{flow({draft.name: 0}).removesuffix(' 0')}")
        lines += [f"  {mark}  {line}" for line in array_lines(draft, folder)]
    return lines


def _patches(crops: Sequence[Crop]) -> list[str]:
    """Propose patches for every split whose arrays are all open."""
    lines = []
    for split in dict.fromkeys(crop.split for crop in crops):
        specs = [crop.arrays["raw"].spec for crop in crops if crop.split == split]
        shapes = [spec.spatial_shape for spec in specs if spec is not None]
        if len(shapes) < len(specs) or len(set(map(len, shapes))) != 1 or not min(map(min, shapes)):
            continue
        shape = [_patch_length(min(lengths)) for lengths in zip(*shapes, strict=True)]
        more = f"samples: {_SAMPLES}" if split == "train" else "overlap: 0"
        lines.append(f"  {split}: {{{flow({'shape': shape})}, {more}}}")
    return lines


def _patch_length(voxels: int) -> int:
    return int(min(_LONGEST_PATCH, 2 ** (voxels.bit_length() - 1)))


def _fault(text: str, folder: Path) -> str | None:
    """Say why the patches of a draft cannot be taken; ``None``: they can."""
    loaded = load_document(parse_document(text, directory=folder))
    if not isinstance(loaded.config, ExperimentConfig):
        return "see what is wrong with the arrays first"
    experiment = Experiment(loaded.config)
    try:
        for split in loaded.config.patches:
            experiment.patches(split)
    except DacapoLikeError as error:
        return " ".join(str(error).split())
    return None
