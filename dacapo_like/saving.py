"""Methods of `Array` that write it to disk: `save`, and one for each format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError
from dacapo_like.registry import array_method

_SUFFIXES = {
    "OME-Zarr": (".zarr", ".zarr.zip", ".ozx"),
    "NIfTI": (".nii", ".nii.gz"),
    "TIFF": (".tif", ".tiff"),
    "Imaris": (".ims",),
    "HDF5": (".h5", ".hdf5", ".hdf"),
    ".npy": (".npy",),
}


@array_method
def save(
    array: Array, path: str | os.PathLike[str], *, overwrite: bool = False, **options: Any
) -> Path:
    """Write the array to a file or folder, in the format that the suffix names; see `materialize`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.zeros((4, 8, 8), "uint8"), voxel_size=(2, 1, 1), units="mm")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array.save(f"{folder}/a.nii.gz").name
    'a.nii.gz'
    """
    from dacapo_like.materialize import materialize  # reads documents, for which it imports yaml

    return materialize(array, Path(path), overwrite=overwrite, **options)


@array_method
def to_ome_zarr(array: Array, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the array as OME-Zarr; labels also into their image, as ``IMAGE/labels/NAME``."""
    return _save_as("OME-Zarr", array, path, options)


@array_method
def to_nifti(array: Array, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the array as NIfTI."""
    return _save_as("NIfTI", array, path, options)


@array_method
def to_tiff(array: Array, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the array as OME-TIFF, or, where the path is a pattern, as a folder of TIFF files."""
    return _save_as("TIFF", array, path, options)


@array_method
def to_imaris(array: Array, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the array as Imaris."""
    return _save_as("Imaris", array, path, options)


@array_method
def to_hdf5(array: Array, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the array as a dataset of an HDF5 file."""
    return _save_as("HDF5", array, path, options)


@array_method
def to_npy(array: Array, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the array as numpy's ``.npy``."""
    return _save_as(".npy", array, path, options)


def _save_as(
    kind: str, array: Array, path: str | os.PathLike[str], options: dict[str, Any]
) -> Path:
    if not os.fspath(path).lower().endswith(_SUFFIXES[kind]) and not _is_among_labels(kind, path):
        raise ConfigError(
            f"not a file name of {kind}",
            got=os.fspath(path),
            expected=f"a name that ends in {' or '.join(_SUFFIXES[kind])}",
        )
    return save(array, path, **options)


def _is_among_labels(kind: str, path: str | os.PathLike[str]) -> bool:
    from dacapo_like.writers.ome_zarr import OmeZarrWriter  # imports zarr's neighbours

    return kind == "OME-Zarr" and OmeZarrWriter.takes(Path(path))
