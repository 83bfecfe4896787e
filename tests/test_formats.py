"""Formats x axes x types of voxels: what we write is what we and others read.

A format joins with one entry of `FORMATS`: what it can hold, how its own library reads it, and how we do.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from nibabel.affines import apply_affine

import dacapo_like
from dacapo_like.errors import DataWarning, SpecError
from dacapo_like.materialize import sweeps
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_factor, length_name
from dacapo_like.writers import chunking

SIZES = {"t": 2, "c": 3, "z": 4, "y": 5, "x": 6}
DTYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES += ["float16", "float32", "float64", "bool"]
AXES = ["yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "tcyx", "ctyx", "tczyx", "ctzyx"]


class Seen(NamedTuple):
    """What another library sees of a file; ``None`` where the format has no place for it."""

    axes: str
    voxels: np.ndarray
    units: tuple[str, ...] | None = None  # of the spatial axes
    affine: np.ndarray | None = None  # from indices along the spatial axes to the world
    channels: tuple[str, ...] | None = None


class Format(NamedTuple):
    suffix: str
    see: Callable[[Path, ArraySpec], Seen]
    type: str
    axes: list[str] = AXES
    lacking: tuple[str, ...] = ()
    keeps_voxels_only: bool = False
    key: str = "file_name"
    options: dict[str, Any] = {}  # noqa: RUF012  # of a tuple's field, which nobody changes

    def path(self, folder: Path, array: Any) -> Path:
        """Name a target; of a pattern, with a field for each axis before the plane."""
        fields = "_".join(f"{axis}{{{axis}}}" for axis in array.axes[:-2])
        return Path(f"{folder}/a{self.suffix.replace('FIELDS', fields)}")

    def open(self, path: Path, array: Any) -> Any:
        """Open what was written, and say what such files do not keep."""
        config: dict[str, Any] = {"type": self.type, self.key: str(path)}
        if self.keeps_voxels_only:
            spec = array.spec
            config |= {"axes": spec.axes, "voxel_size": spec.voxel_size, "offset": spec.offset}
            config |= {"units": spec.units}
        return dacapo_like.open_array(config)


def scaled(sizes, centre):
    affine = np.diag([*map(float, sizes), 1.0])
    affine[:-1, -1] = [float(value) for value in centre]
    return affine


def see_nifti(path, spec):
    image = nibabel.load(path)
    assert (image.dataobj.slope, image.dataobj.inter) == (1, 0)
    dims = min(3, image.ndim)
    axes = "xyztc"[: image.ndim][::-1]
    turned = np.eye(dims + 1)
    turned[:dims, :dims] = image.affine[:dims, :dims][::-1, ::-1]
    turned[:dims, -1] = image.affine[:dims, 3][::-1]
    labels = [json.loads(item.get_content()) for item in image.header.extensions]
    np.testing.assert_allclose(image.header.get_qform(), image.affine, rtol=1e-5, atol=1e-6)
    return Seen(
        axes,
        np.asanyarray(image.dataobj).T,
        (image.header.get_xyzt_units()[0],) * dims,
        turned,
        tuple(labels[0]["channel_labels"]) if labels else None,
    )


def see_hdf5(path, spec):
    with h5py.File(path) as file:
        dataset = file["data"]
        sizes, offset = dataset.attrs["resolution"], dataset.attrs["offset"]
        names = [name.removesuffix("^") for name in dataset.attrs["axis_names"]]
        return Seen(
            "".join(names),
            dataset[...],
            tuple(dataset.attrs["units"]),
            scaled(sizes, offset + sizes / 2),
            spec.channels,  # in our record only
        )


def see_ome_tiff(path, spec):
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        pixels = ET.fromstring(file.ome_metadata).find(".//{*}Pixels")
        place = pixels.find("{*}Plane").attrib
        spatial = [axis for axis in series.axes if axis in "ZYX"]
        assert all(place[f"Position{a}Unit"] == pixels.get(f"PhysicalSize{a}Unit") for a in spatial)
        return Seen(
            series.axes.lower(),
            series.asarray(),
            tuple(pixels.get(f"PhysicalSize{a}Unit") for a in spatial),
            scaled(
                [pixels.get(f"PhysicalSize{a}") for a in spatial],
                [place[f"Position{a}"] for a in spatial],
            ),
            tuple(item.get("Name") for item in pixels.findall("{*}Channel"))
            if "c" in spec.axes
            else None,
        )


def see_imagej(path, spec):
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        said, tags = file.imagej_metadata, file.pages[0].tags
        sizes = {"Z": said.get("spacing")}
        sizes |= {a: np.divide(*tags[f"{a}Resolution"].value[::-1]) for a in "YX"}
        spatial = [axis for axis in series.axes if axis in "ZYX"]
        spacing = [sizes[axis] for axis in spatial]
        origin = [said.get(f"{axis.lower()}origin", 0) for axis in spatial]
        unit = said["unit"].encode("ascii").decode("unicode_escape")
        labels = np.atleast_1d(said.get("Labels", [])).tolist()
        return Seen(
            series.axes.lower(),
            series.asarray(),
            (unit,) * len(spatial),
            scaled(spacing, (0.5 - np.array(origin)) * spacing),
            tuple(labels[: said.get("channels", 1)]) or None,
        )


def see_npy(path, spec):
    return Seen("".join(spec.axes), np.load(path, mmap_mode="r"))


def see_zarr(path, spec):
    attributes = dict(zarr.open_group(path, mode="r").attrs)["ome"]
    (image,) = attributes["multiscales"]
    axes = [axis["name"] for axis in image["axes"]]
    spatial = [axis for axis in image["axes"] if axis["type"] == "space"]
    level = image["datasets"][0]
    scale, place = level["coordinateTransformations"]
    return Seen(
        "".join(axes),
        zarr.open_array(path / level["path"], mode="r")[...],
        tuple(axis["unit"] for axis in spatial),
        scaled(scale["scale"][-len(spatial) :], place["translation"][-len(spatial) :]),
        tuple(channel["label"] for channel in attributes["omero"]["channels"])
        if "omero" in attributes
        else None,
    )


def see_stack(path, spec):
    voxels = np.empty(spec.shape, spec.dtype)
    for index in np.ndindex(spec.shape[:-2]):
        page = str(path).format(**dict(zip(spec.axes[:-2], index, strict=True)))
        with tifffile.TiffFile(page) as file:
            assert file.pages[0].dtype == spec.dtype
            voxels[index] = file.asarray()
    return Seen("".join(spec.axes), voxels)


def see_imaris(path, spec):
    def text(node, name):
        return b"".join(node.attrs[name].tolist()).decode()

    with h5py.File(path) as file:
        info = file["DataSetInfo"]
        low, high = (
            np.array([float(text(info["Image"], f"{kind}{i}")) for i in (2, 1, 0)])
            for kind in ("ExtMin", "ExtMax")
        )
        shape = [int(text(info["Image"], axis)) for axis in "ZYX"]
        level = file["DataSet/ResolutionLevel 0"]
        voxels = [
            [
                level[f"TimePoint {t}/Channel {c}/Data"][tuple(map(slice, shape))]
                for c in range(len(level[f"TimePoint {t}"]))
            ]
            for t in range(len(level))
        ]
        names = [text(info[f"Channel {c}"], "Name") for c in range(len(voxels[0]))]
        size = (high - low) / shape
        return Seen(
            "tczyx",
            np.array(voxels),
            (text(info["Image"], "Unit"),) * 3,
            scaled(size, low + size / 2),
            tuple(names) if "c" in spec.axes else None,
        )


LACKED_BY_IMARIS = tuple(set(DTYPES) - {"uint8", "uint16", "uint32", "float32"})
LACKED_BY_NIFTI = ("bool", "float16")
LACKED_BY_OME = ("bool", "float16", "int64", "uint64")
LACKED_BY_IMAGEJ = tuple(set(DTYPES) - {"uint8", "uint16", "int16", "float32"})
FORMATS = {
    "nifti": Format(".nii", see_nifti, "nifti", lacking=LACKED_BY_NIFTI),
    "nifti-gz": Format(".nii.gz", see_nifti, "nifti", lacking=LACKED_BY_NIFTI),
    "hdf5": Format(".h5", see_hdf5, "hdf5"),
    "ome-tiff": Format(".ome.tif", see_ome_tiff, "tiff", lacking=LACKED_BY_OME),
    "imagej": Format(
        ".tif",
        see_imagej,
        "tiff",
        lacking=LACKED_BY_IMAGEJ,
        options={"metadata": "imagej"},
    ),
    "npy": Format(".npy", see_npy, "npy", keeps_voxels_only=True),
    "tiff-stack": Format(
        "/FIELDS.tif",
        see_stack,
        "tiff",
        axes=[axes for axes in AXES if len(axes) > 2],
        lacking=("bool",),
        keeps_voxels_only=True,
        key="pattern",
    ),
    "imaris": Format(".ims", see_imaris, "imaris", lacking=LACKED_BY_IMARIS),
    "ome-zarr": Format(".zarr", see_zarr, "zarr"),
}


def example(axes, dtype="uint16", *, sizes=SIZES, **fields):
    shape = [sizes[axis] for axis in axes]
    values = np.random.default_rng(len(axes)).integers(0, 100, shape)
    dims = sum(axis in "zyx" for axis in axes)
    given = {
        "voxel_size": (Fraction("2.5"), Fraction("0.7"), Fraction("9.8"))[3 - dims :],
        "offset": (-40, Fraction("12.25"), Fraction("4.9"))[3 - dims :],
        "units": "um",
        "channels": tuple(["DAPI", "GFP", "RFP"][: sizes["c"]]) if "c" in axes else None,
    } | fields
    voxels = values % 2 if dtype == "bool" else values
    return dacapo_like.from_numpy(voxels.astype(dtype), axes=axes, **given)


def saved(array, path, form):
    if not form.keeps_voxels_only:
        return array.save(path, **form.options)
    with pytest.warns(DataWarning, match="voxel_size"):
        return array.save(path, **form.options)


def corners(affine, shape):
    return apply_affine(affine, list(itertools.product(*((-0.5, n - 0.5) for n in shape))))


def squeezed(axes, voxels):
    """Leave out axes of length 1, which formats add."""
    kept = [axis for axis, n in zip(axes, voxels.shape, strict=True) if n > 1]
    return kept, np.squeeze(voxels)


def assert_same_voxels(array, axes, voxels):
    expected_axes, expected = squeezed(array.axes, array.read())
    kept, found = squeezed(axes, voxels)
    assert sorted(kept) == sorted(expected_axes)
    np.testing.assert_array_equal(found.transpose([kept.index(a) for a in expected_axes]), expected)
    assert found.dtype == expected.dtype


CASES = [
    pytest.param(form, axes, dtype, id=f"{name}-{axes}-{dtype}")
    for name, form in FORMATS.items()
    for axes, dtype in [*((a, "uint16") for a in form.axes), *(("zyx", d) for d in DTYPES)]
]


@pytest.mark.parametrize(("form", "axes", "dtype"), CASES)
@pytest.mark.parametrize("slab", [200, 2**25])
def test_a_format_keeps_what_is_written(tmp_path, monkeypatch, form, axes, dtype, slab):
    monkeypatch.setattr(chunking, "_SLAB", slab)
    array = example(axes, dtype)
    path = form.path(tmp_path, array)
    if dtype in form.lacking:
        with pytest.raises(SpecError, match=dtype):
            array.save(path, **form.options)
        assert list(tmp_path.iterdir()) == []
        return
    saved(array, path, form)
    seen = form.see(path, array.spec)
    assert_same_voxels(array, seen.axes, seen.voxels)
    if not form.keeps_voxels_only:
        same_world(array, seen)
        assert seen.channels == array.channels
    again = form.open(path, array)
    assert_same_voxels(array, again.axes, again.read())
    assert again.channels == (None if form.keeps_voxels_only else array.channels)
    ours = [again.spec.spatial_axes.index(axis) for axis in array.spec.spatial_axes]
    assert [again.spec.voxel_size[i] for i in ours] == list(array.spec.voxel_size)
    assert [again.spec.offset[i] for i in ours] == list(array.spec.offset)
    assert {length_name(unit) for unit in again.units} == {"micrometer"}
    assert len(list(tmp_path.iterdir())) == 1


def same_world(array, seen):
    dims = len(seen.affine) - 1
    extra = dims - array.spec.dims  # axes of length 1 before ours
    assert [length_factor(length_name(unit), "um") for unit in seen.units] == [1] * dims
    expected = corners(array.voxel_to_world, array.spec.spatial_shape)
    found = corners(seen.affine, (1,) * extra + array.spec.spatial_shape)
    np.testing.assert_allclose(found[-len(expected) :, extra:], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FORMATS)
def test_one_channel_and_one_slice(tmp_path, name):
    form = FORMATS[name]
    array = example("tczyx", sizes={"t": 1, "c": 1, "z": 1, "y": 5, "x": 6})
    path = saved(array, form.path(tmp_path, array), form)
    assert_same_voxels(array, *form.see(path, array.spec)[:2])
    again = form.open(path, array)
    assert_same_voxels(array, again.axes, again.read())
    assert again.channels == (None if form.keeps_voxels_only else ("DAPI",))
    assert again.spec.voxel_size == array.spec.voxel_size
    assert again.spec.offset == array.spec.offset


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_reads_no_more_than_a_slab_at_once(tmp_path, monkeypatch, name):
    most = 2**12
    monkeypatch.setattr(chunking, "_SLAB", most)
    monkeypatch.setattr(sweeps, "PIECE_BYTES", most)
    form = FORMATS[name]
    array = example("zyx", sizes=SIZES | {"z": 64, "y": 32, "x": 32})
    largest = []
    read = array.reader.read

    def counted(box, out=None):
        largest.append(box.size * array.dtype.itemsize)
        return read(box, out)

    monkeypatch.setattr(array.reader, "read", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        options = {"chunks": (8, 16, 16)} if name in CHUNKED else form.options
        array.save(form.path(tmp_path, array), **options)
    assert max(largest) <= most * (
        1 + (name == "ome-zarr")
    )  # a piece there is whole chunks of two levels


CHUNKED = {"hdf5", "imaris", "ome-zarr"}
