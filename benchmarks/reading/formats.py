"""Reads with ZarrNii, CAREamics, BiaPy, fastremap and DaCapo 0.3.5, in an environment of their own (tests/peers/requirements-formats.txt)."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import zarr
from serving import Box, Maker, Reader, Voxels, one_by_one, required, serve

sys.path.append(str(Path(__file__).parents[2] / "tests" / "peers"))

from absent import do_without, without_its_init

VOXEL = 4
OPTIONAL = {
    "zarrnii": "PIL hdf5plugin itkwasm_downsample pandas requests wasmtime",
    "biapy": "cloudvolume h5py imageio pandas tensorboardX torch torchvision tqdm yacs z5py",
}
"""What they import for what is not done here."""


@functools.cache
def entered(program: str, module: str, *without_init: str) -> ModuleType:
    """Import a module of a program without what the program needs for other things."""
    required(program)
    names = OPTIONAL.get(program, "").split()
    do_without(*(name for name in names if importlib.util.find_spec(name) is None))
    if without_init:
        without_its_init(*without_init)
    return importlib.import_module(module)


def of_careamics(path: str) -> Reader:
    module = entered("careamics", "run_careamics")  # without torch
    stack = module.ZarrImageStack(zarr.open_group(path, mode="r"), "0", "ZYX")
    return one_by_one(lambda box: stack.extract_patch(0, None, box.offset, box.shape)[0])


def of_zarrnii(path: str) -> Reader:
    image = entered("zarrnii", "zarrnii").ZarrNii.from_ome_zarr(path)
    units = dict.fromkeys("xyz", "nanometer")

    def read(box: Box) -> Voxels:
        corner = zip(*box, strict=True)
        center = [VOXEL * (first + n / 2) for first, n in corner]  # what it rounds is the corner
        patch = image.crop_centered(tuple(center[::-1]), box.shape[::-1], centers_units=units)
        return np.asarray(patch.data.compute()).reshape(box.shape)

    return one_by_one(read)


def of_biapy(path: str) -> Reader:
    module = entered("biapy", "biapy.data.data_3D_manipulation", "biapy", "biapy.data")
    array = zarr.open_array(f"{path}/0", mode="r")

    def read(box: Box) -> Voxels:
        place = {}
        for axis, first, n in zip("zyx", *box, strict=True):
            place |= {f"{axis}_start": first, f"{axis}_end": first + n}
        patch = module.extract_patch_from_efficient_file(array, module.PatchCoords(**place), "ZYX")
        return np.asarray(patch[..., 0])

    return one_by_one(read)


def of_fastremap(file: str, groups: Sequence[Sequence[int]]) -> Reader:
    """Mark groups of labels that are in memory, whatever box is asked for."""
    fastremap, labels = importlib.import_module("fastremap"), np.load(file)
    out = np.empty((len(groups), *labels.shape), np.uint8)

    def read(_: Box) -> Voxels:
        for channel, ids in zip(out, groups, strict=True):
            channel[...] = fastremap.mask_except(labels, list(ids)) != 0
        return out

    return one_by_one(read)


@functools.cache
def arrays_of_dacapo() -> ModuleType:
    """Import the modules of its arrays alone."""
    required("dacapo")
    do_without(
        "fibsem_tools", "gunpowder", "iohub", "lazy_property", "neuroglancer", "upath", "xarray"
    )
    datasets = "dacapo.experiments.datasplits.datasets"
    above = ["dacapo", "dacapo.experiments", "dacapo.experiments.datasplits", datasets]
    without_its_init(*above)
    return importlib.import_module(f"{datasets}.arrays")


def of_dacapo(raw: str, labels: str, groups: Mapping[str, list[int]], margin: int) -> Reader:
    """Read the image and the masks of the groups; its other parts, and its concat, end in errors here."""
    from funlib.geometry import Coordinate, Roi

    a = arrays_of_dacapo()
    stored = {
        path: a.ZarrArrayConfig("stored", Path(path).parent, Path(path).name)
        for path in (raw, labels)
    }
    whole = stored[raw].array()
    size = whole.voxel_size
    cropped = a.CropArrayConfig(
        "cropped", stored[raw], whole.roi.grow(-size * margin, -size * margin)
    )
    scaled = a.IntensitiesArrayConfig("raw", cropped, 0, 255).array()
    masks = a.BinarizeArrayConfig("groups", stored[labels], list(groups.items())).array()

    def read(box: Box) -> Voxels:
        roi = Roi(size * Coordinate(box.offset), size * Coordinate(box.shape))
        return np.concatenate([scaled[roi][None], masks[roi]], dtype=np.float32)

    return one_by_one(read)


READERS: dict[str, Maker] = {
    "CAREamics, ZarrImageStack": of_careamics,
    "ZarrNii, crop_centered": of_zarrnii,
    "BiaPy, extract_patch_from_efficient_file": of_biapy,
    "fastremap, mask_except per group": of_fastremap,
    "DaCapo 0.3.5, its parts": of_dacapo,
}

PROGRAMS = (
    "careamics",
    "zarrnii",
    "biapy",
    "fastremap",
    "dacapo-ml",
    "funlib.persistence",
    "dask",
    "zarr",
    "numpy",
)

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # those of others
    serve(READERS, PROGRAMS)
