"""Zarr's copies of metadata, which groups may hold of all that is below them."""

from __future__ import annotations

import json
from pathlib import Path


def refresh_consolidated(folder: Path) -> None:
    """Make the copies in all groups above an array anew, where there are any: readers of them would not see a change.

    Parameters
    ----------
    folder : Path
        Of the array.
    """
    for group in folder.absolute().parents:
        v3 = group / "zarr.json"
        if not v3.is_file() and not (group / ".zgroup").is_file():
            return
        if v3.is_file():
            document = json.loads(v3.read_text())
            consolidated, zarr_format = document.get("consolidated_metadata") is not None, 3
        else:
            consolidated, zarr_format = (group / ".zmetadata").is_file(), 2
        if consolidated:
            _consolidate(group, zarr_format)


def _consolidate(group: Path, zarr_format: int) -> None:
    import warnings

    import zarr  # heavy

    with warnings.catch_warnings():
        # that version 3 says nothing of such copies is no news: they are there already
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(str(group), zarr_format=3 if zarr_format == 3 else 2)
