"""A folder as one zip file: nothing is compressed again, so that a reader finds its chunks as they are."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

_METADATA = frozenset(["zarr.json", ".zgroup", ".zattrs", ".zarray"])


def zip_folder(folder: Path, target: Path, version: str) -> None:
    """Write an OME-Zarr folder as a file, metadata first, as OME-NGFF's RFC-9 asks for.

    Parameters
    ----------
    folder, target : Path
        From where, and where to; nothing is there yet.
    version : str
        Of OME-NGFF.

    Raises
    ------
    OSError
        It cannot be written.
    """
    files = [Path(root, name) for root, _, names in os.walk(folder) for name in names]

    def order(file: Path) -> tuple[bool, int, str]:
        key = file.relative_to(folder)
        return key.name not in _METADATA, len(key.parts), key.as_posix()

    about = {"version": version, "zipFile": {"centralDirectory": {"jsonFirst": True}}}
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for file in sorted(files, key=order):
            archive.write(file, file.relative_to(folder).as_posix())
        archive.comment = json.dumps({"ome": about}).encode()
