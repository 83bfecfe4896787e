"""Formats x orders of axes x types of voxels: what each format's own library writes is what we read."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr

import dacapo_like
from dacapo_like.geometry import Coordinate
from dacapo_like.units import length_name

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what ome-zarr-py is made of
    from ome_zarr.writer import write_image

pytestmark = pytest.mark.slow  # the module takes over ten seconds

SIZES = {"s": 2, "t": 3, "c": 4, "z": 5, "y": 6, "x": 7}
VOXEL_SIZE = {"z": Fraction("2.5"), "y": Fraction("0.7"), "x": Fraction("9.8")}
OFFSET = {"z": -40, "y": Fraction("12.25"), "x": Fraction("4.9")}
CHANNELS = ["DAPI", "GFP", "RFP", "mito"]
DTYPES = ["uint8", "uint16", "uint32", "uint64", "int16", "float32", "float64"]
MOST_ORDERS = 24


class Given(NamedTuple):
    """Voxels in the order in which a file is to hold them."""

    axes: str
    voxels: np.ndarray

    def along(self, table: dict[str, Any]) -> list[float]:
        """Give a number for each spatial axis, in the order of the axes."""
        return [float(table[axis]) for axis in self.axes if axis in table]


def write_plain_zarr(path, given):
    array = zarr.create_array(path, data=given.voxels, chunks=(2,) * given.voxels.ndim)
    array.attrs.update(
        axis_names=[axis if axis in VOXEL_SIZE else f"{axis}^" for axis in given.axes],
        voxel_size=given.along(VOXEL_SIZE),
        offset=given.along(OFFSET),
        units=["um"] * len(given.along(OFFSET)),
    )
    return {"type": "zarr"}


def write_zarr_2(path, given):
    array = zarr.create_array(path, data=given.voxels, zarr_format=2, order="F")
    array.attrs.update(
        axes=list(given.axes),
        resolution=given.along(VOXEL_SIZE),
        offset=given.along(OFFSET),
        units="um",
    )
    return {"type": "zarr"}


def write_ome_zarr(path, given):
    scale = {axis: float(VOXEL_SIZE.get(axis, 1)) for axis in given.axes}
    units = {axis: "micrometer" for axis in given.axes if axis in VOXEL_SIZE}
    group = zarr.open_group(path, mode="w", zarr_format=3)
    options = {"axes": list(given.axes), "scale": scale, "axes_units": units}
    write_image(given.voxels, group, scale_factors=[], **options)
    return {"type": "zarr", "offset": given.along(OFFSET)}  # ome-zarr-py writes no translation


def write_hdf5(path, given):
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("volumes/raw", data=given.voxels, chunks=True)
        dataset.attrs["resolution"] = given.along(VOXEL_SIZE)
        dataset.attrs["offset"] = given.along(OFFSET)
        dataset.attrs["axes"] = list(given.axes)
        dataset.attrs["units"] = "um"
    return {"type": "hdf5"}


def write_npy(path, given):
    np.save(path, given.voxels)
    grid = {"voxel_size": given.along(VOXEL_SIZE), "offset": given.along(OFFSET), "units": "um"}
    return {"type": "npy", "axes": list(given.axes), **grid}


def write_ome_tiff(path, given):
    metadata: dict[str, Any] = {"axes": given.axes.upper()}
    for axis, size in VOXEL_SIZE.items():
        if axis not in given.axes:
            continue
        metadata |= {
            f"PhysicalSize{axis.upper()}": float(size),
            f"PhysicalSize{axis.upper()}Unit": "µm",
        }
    if "c" in given.axes:
        metadata["Channel"] = {"Name": CHANNELS}
    tifffile.imwrite(path, given.voxels, metadata=metadata, photometric="minisblack")
    return {"type": "tiff", "offset": given.along(OFFSET)}


def write_imagej(path, given):
    scale = (1 / float(VOXEL_SIZE["x"]), 1 / float(VOXEL_SIZE["y"]))
    metadata = {"axes": given.axes.upper(), "unit": "um"}
    if "z" in given.axes:
        metadata["spacing"] = float(VOXEL_SIZE["z"])
    tifffile.imwrite(path, given.voxels, imagej=True, resolution=scale, metadata=metadata)
    sizes = given.along(VOXEL_SIZE)  # TIFF's ratios of 32-bit integers only come near to them
    return {"type": "tiff", "voxel_size": sizes, "offset": given.along(OFFSET)}


def write_nifti(path, given):
    affine = np.eye(4)
    for i, axis in enumerate("xyz"):
        affine[i, i] = VOXEL_SIZE[axis]
        affine[i, 3] = OFFSET[axis] + VOXEL_SIZE[axis] / 2
    image = nibabel.Nifti1Image(given.voxels, affine, dtype=given.voxels.dtype)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, path)
    return {"type": "nifti"}


class Format(NamedTuple):
    write: Callable[..., dict[str, Any]]
    suffix: str
    orders: list[str]
    dtypes: list[str] = DTYPES
    channels: bool = False


def orders_of(*sets):
    """Give orders of sets of axes: all of them, or where there are very many, some from all over."""
    for axes in sets:
        found = ["".join(order) for order in itertools.permutations(axes)]
        yield from found[:: max(len(found) // MOST_ORDERS, 1)]


ANY = list(orders_of("yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "sczyx", "tczyx", "stczyx"))
NGFF = ["yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "tcyx", "tczyx"]
PAGES = [f"{order}yx" for n in range(4) for order in map("".join, itertools.permutations("tcz", n))]
FORMATS = {
    "zarr": Format(write_plain_zarr, ".zarr", ANY),
    "zarr-2": Format(write_zarr_2, ".zarr", ANY),
    "ome-zarr": Format(write_ome_zarr, ".zarr", NGFF),
    "hdf5": Format(write_hdf5, ".h5", ANY),
    "npy": Format(write_npy, ".npy", ANY),
    "ome-tiff": Format(
        write_ome_tiff, ".ome.tif", PAGES, [d for d in DTYPES if d != "uint64"], channels=True
    ),
    "imagej": Format(
        write_imagej, ".tif", ["yx", "zyx", "tzcyx", "tzyx"], ["uint8", "uint16", "float32"]
    ),
    "nifti": Format(write_nifti, ".nii", ["xyz", "xyzt", "xyztc"]),
    "nifti-gz": Format(write_nifti, ".nii.gz", ["xyz", "xyzt", "xyztc"]),
}
CASES = [
    pytest.param(form, axes, dtype, id=f"{name}-{axes}-{dtype}")
    for name, form in FORMATS.items()
    for axes, dtype in [
        *((axes, "uint16") for axes in form.orders),
        *((max(form.orders, key=len), dtype) for dtype in form.dtypes),
    ]
]


@pytest.mark.parametrize(("form", "axes", "dtype"), CASES)
def test_what_its_own_library_writes_is_what_we_read(tmp_path, form, axes, dtype):
    shape = [SIZES[axis] for axis in axes]
    voxels = np.random.default_rng(len(axes)).integers(0, 100, shape).astype(dtype)
    path = tmp_path / f"a{form.suffix}"
    document = {"file_name": str(path)} | form.write(path, Given(axes, voxels))
    array = dacapo_like.open_array(document)
    assert array.dtype == np.dtype(dtype)
    assert sorted(array.axes) == sorted(axes)
    assert array.axes[: -array.dims] == tuple(a for a in array.axes if a in "stc")
    np.testing.assert_array_equal(
        array[...], voxels.transpose([axes.index(axis) for axis in array.axes])
    )
    spatial = array.spec.spatial_axes
    assert array.spec.voxel_size == Coordinate(VOXEL_SIZE[axis] for axis in spatial)
    assert array.spec.offset == Coordinate(OFFSET[axis] for axis in spatial)
    assert {length_name(unit) for unit in array.units} == {"micrometer"}
    assert array.channels == (tuple(CHANNELS) if form.channels and "c" in axes else None)


@pytest.mark.parametrize("name", [name for name in FORMATS if "imagej" not in name])
def test_one_channel_is_read_as_it_was_declared(tmp_path, name):
    """Where a format has a channel axis in every file, as NIfTI behind time, it may be left out; nothing else may."""
    form = FORMATS[name]
    axes = max((order for order in form.orders if "s" not in order), key=len)
    voxels = np.arange(np.prod([SIZES[a] if a != "c" else 1 for a in axes]), dtype="uint16")
    voxels = voxels.reshape([SIZES[axis] if axis != "c" else 1 for axis in axes])
    path = tmp_path / f"a{form.suffix}"
    document = {"file_name": str(path)} | form.write(path, Given(axes, voxels))
    array = dacapo_like.open_array(document)
    assert set(axes) - set(array.axes) <= {"c"}
    order = [axes.index(axis) for axis in (*array.axes, *(set(axes) - set(array.axes)))]
    np.testing.assert_array_equal(array[...], voxels.transpose(order).reshape(array.shape))
    named = open_named(document, axes, array)
    assert sorted(named.axes) == sorted(axes)


def open_named(document, axes, array):
    """Open it with all axes named, where one was left out."""
    if sorted(array.axes) == sorted(axes):
        return array
    return dacapo_like.open_array(document | {"axes": list(axes)})


def test_every_order_is_tried():
    assert {len(axes) for axes in ANY} == {2, 3, 4, 5, 6}
    assert len(ANY) > 130
