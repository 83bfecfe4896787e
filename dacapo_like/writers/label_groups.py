"""Images of labels that are written into the image that they belong to, as OME-NGFF wants them: ``IMAGE/labels/NAME``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from dacapo_like.consolidated import refresh_consolidated
from dacapo_like.errors import ConfigError, SourceError, SpecError
from dacapo_like.replacing import locked, replace_file
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.zarr_metadata import ZarrFormat

SOURCE = "../../"
"""Path from such labels to their image."""

ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")
"""Metadata of a group, or an array."""


@attrs.frozen
class LabelGroup:
    """The folder ``labels`` of an image, which may not be there yet.

    Attributes
    ----------
    folder : Path
        ``IMAGE/labels``.
    zarr_format : {2, 3}
        Of the image.
    """

    folder: Path
    zarr_format: ZarrFormat

    @classmethod
    def around(cls, path: Path) -> LabelGroup | None:
        """Give the one that a path leads into; ``None`` where it leads elsewhere.

        Raises
        ------
        SourceError
            Metadata of the image are corrupt.
        """
        folder = path.absolute().parent
        if folder.name != "labels":
            return None
        image = _image(folder.parent)
        return None if image is None else cls(folder, image[0])

    def check(self, spec: ArraySpec, zarr_format: ZarrFormat) -> None:
        """Refuse what has no place there.

        Raises
        ------
        SpecError
            The array is no image of labels.
        ConfigError
            It is to be written in another version than the image.
        """
        if spec.kind == "image" or spec.dtype.kind not in "iu":
            raise SpecError(
                "only labels are written into the labels of an image",
                got=f"{spec.dtype} of kind {spec.kind}",
                expected="integers of kind labels or mask",
                where=str(self.folder),
            )
        if zarr_format != self.zarr_format:
            versions = {2: "0.4", 3: "0.5"}
            raise ConfigError(
                "labels are of the same version as their image",
                got=versions[zarr_format],
                expected=versions[self.zarr_format],
                where=str(self.folder),
                key=("version",),
            )

    def add(self, name: str) -> None:
        """List labels that were written, in the metadata of the folder.

        Raises
        ------
        OSError
            They cannot be written.
        """
        with locked(self.folder):
            attributes = _attributes(self.folder, self.zarr_format)
            ome = attributes if self.zarr_format == 2 else attributes.get("ome") or {}
            listed = [*ome.get("labels", []), *([] if name in ome.get("labels", []) else [name])]
            if self.zarr_format == 2:
                replace_file(self.folder / ".zgroup", json.dumps({"zarr_format": 2}))
                text = json.dumps(attributes | {"labels": listed}, indent=2)
                replace_file(self.folder / ".zattrs", text)
            else:
                ome = {"version": "0.5", **ome, "labels": listed}
                group = {"zarr_format": 3, "node_type": "group"}
                text = json.dumps(group | {"attributes": attributes | {"ome": ome}}, indent=2)
                replace_file(self.folder / "zarr.json", text)
        refresh_consolidated(self.folder / name)


def others_in(group: Path) -> list[str]:
    """Name the arrays and groups in a group that are not the levels of its image: its labels, or other images.

    Raises
    ------
    SourceError
        Metadata of the group are corrupt.
    """
    _, multiscales = _image(group) or (None, [])
    try:
        levels = {
            str(level["path"]).split("/")[0] for image in multiscales for level in image["datasets"]
        }
    except (TypeError, KeyError) as error:
        raise SourceError("metadata cannot be read", got=error, where=str(group)) from error
    nodes = {file.parent.name for name in ZARR_FILES for file in group.glob(f"*/{name}")}
    return sorted(nodes - levels)


def _image(group: Path) -> tuple[ZarrFormat, Any] | None:
    """Give the format and the multiscales of an image; ``None`` where a group is none."""
    formats: tuple[ZarrFormat, ...] = (3, 2)
    for zarr_format in formats:
        attributes = _attributes(group, zarr_format)
        ome = attributes if zarr_format == 2 else attributes.get("ome") or {}
        if ome.get("multiscales"):
            return zarr_format, ome["multiscales"]
    return None


def _attributes(group: Path, zarr_format: int) -> dict[str, Any]:
    """Read the attributes of a group; none where there is none, or an array."""
    path = group / ("zarr.json" if zarr_format == 3 else ".zattrs")
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text())
        attributes = document.get("attributes", {}) if zarr_format == 3 else document
    except (OSError, ValueError, AttributeError) as error:
        raise SourceError("metadata cannot be read", got=error, where=str(path)) from error
    return attributes if isinstance(attributes, dict) else {}
