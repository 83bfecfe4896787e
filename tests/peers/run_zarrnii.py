"""Let ZarrNii write and read files: `run_zarrnii.py FOLDER`.

Run by the interpreter of an environment of its own (requirements-formats.txt) over a folder that tests/test_zarrnii_peer.py
makes: ``voxels.npy`` (c, z, y, x), and below ``given`` files of others and of ours. Leaves what it wrote below ``written``,
``answers.json``, and the voxels that it read as ``.npy`` files.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from absent import do_without

do_without("PIL", "hdf5plugin", "itkwasm_downsample", "pandas", "requests", "wasmtime")

import dask.array as da  # noqa: E402  # behind the above
import numpy as np  # noqa: E402
from zarrnii import ZarrNii  # noqa: E402

MILLIMETERS = dict.fromkeys("xyz", "millimeter")
CHANNELS = {
    "channel_labels": ["DAPI", "GFP"],
    "channel_colors": ["0000FF", "00FF00"],
    "channel_windows": [(0, 255, 3, 99), (0, 65535, 0, 50)],
}


def scan(voxels: np.ndarray, units: dict[str, str] | None = MILLIMETERS) -> ZarrNii:
    """Give an image whose axes x, y and z point to the left, the back and up."""
    return ZarrNii.from_darr(
        da.from_array(voxels, chunks=(1, 4, 8, 8)),
        spacing=(3, 0.75, 0.5),
        origin=(30, -7, 5),
        orientation="LPS",
        axes_units=units,
        **CHANNELS,
    )


def write(voxels: np.ndarray, folder: Path) -> ZarrNii:
    """Write an image in all its formats; give the image."""
    image = scan(voxels)
    for name in ("a.zarr", "a.ozx", "a.zarr.zip"):
        image.to_ome_zarr(str(folder / name), max_layer=3)
    image.to_ome_zarr(str(folder / "v2.zarr"), zarr_format=2, max_layer=2)
    shards = {"chunks": (1, 4, 8, 8), "shards": (1, 12, 16, 16)}
    image.to_ome_zarr(str(folder / "sharded.zarr"), max_layer=1, storage_options=shards)
    image.to_ome_zarr(str(folder / "ngff.zarr"), backend="ngff-zarr", max_layer=1, scale_factors=[])
    image.to_nifti(str(folder / "a.nii.gz"))
    turned = ZarrNii.from_nifti(str(folder / "a.nii.gz"), axes_order="XYZ")
    turned.to_ome_zarr(str(folder / "from_nifti.zarr"), max_layer=1)
    image.to_imaris(str(folder / "a.ims"))
    (folder / "stack").mkdir()
    image.to_tiff_stack(
        str(folder / "stack" / "z{z:04d}.tif"), channel=1, rescale=False, compress=False
    )
    scan(voxels, None).to_ome_zarr(str(folder / "no_unit.zarr"), max_layer=1)
    return image


def say(image: ZarrNii) -> dict[str, Any]:
    """Tell what ZarrNii knows of an image; the affine is from x, y, z of a voxel to millimetres."""
    return {
        "affine": image.get_affine_matrix("XYZ").tolist(),
        "scale": {axis: float(image.scale[axis]) for axis in "xyz"},
        "dims": "".join(image.dims),
        "dtype": image.data.dtype.name,
        "labels": image.list_channels(),
    }


def read(folder: Path) -> dict[str, ZarrNii]:
    """Read what is given."""
    return {
        "straight": ZarrNii.from_nifti(str(folder / "straight.nii")),
        "straight_zyx": ZarrNii.from_nifti(str(folder / "straight.nii"), axes_order="ZYX"),
        "oblique": ZarrNii.from_nifti(str(folder / "oblique.nii")),
        "pyramid_0": ZarrNii.from_ome_tif(str(folder / "pyramid.ome.tif"), level=0),
        "pyramid_1": ZarrNii.from_ome_tif(str(folder / "pyramid.ome.tif"), level=1),
        "no_unit": ZarrNii.from_ome_zarr(str(folder / "no_unit.zarr")),
        "whole": ZarrNii.from_ome_zarr(str(folder / "whole.zarr")),
        "ours_5": ZarrNii.from_ome_zarr(str(folder / "ours_5.zarr")),
        "ours_5_level_1": ZarrNii.from_ome_zarr(str(folder / "ours_5.zarr"), level=1),
        "ours_4": ZarrNii.from_ome_zarr(str(folder / "ours_4.zarr")),
        "ours_zip": ZarrNii.from_ome_zarr(str(folder / "ours.zarr.zip")),
        "ours_nii": ZarrNii.from_nifti(str(folder / "ours.nii.gz")),
        "ours_tif": ZarrNii.from_ome_tif(str(folder / "ours.ome.tif")),
        "ours_ims": ZarrNii.from_imaris(str(folder / "ours.ims")),
    }


def main(folder: Path) -> None:
    """Write and read."""
    warnings.simplefilter("ignore")  # its own
    (folder / "written").mkdir()
    image = write(np.load(folder / "voxels.npy"), folder / "written")
    images = read(folder / "given")
    images["level_1"] = ZarrNii.from_ome_zarr(str(folder / "written" / "a.zarr"), level=1)
    for name, found in images.items():
        np.save(folder / f"{name}.npy", found.data.compute())
    answers = {
        "versions": {name: version(name) for name in ("zarrnii", "ome-zarr", "ngff-zarr")},
        "written": say(image),
        "read": {name: say(found) for name, found in images.items()},
    }
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
