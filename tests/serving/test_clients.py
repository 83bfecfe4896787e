"""What others read of a served array: the same voxels, scales, translations and units, at every level."""

from __future__ import annotations

import json

import numpy as np
import pytest
import requests
import tensorstore
import zarr

import dacapo_like
from dacapo_like.writers.ngff import format_order

NAMES = ["raw", "scaled", "labels", "masks", "movie", "flat"]


def expected(array, factors):
    """Give a level as `downsample` makes it, with its axes in the format's order."""
    level = array.downsample(factors) if max(factors) > 1 else array
    return level, np.asarray(level).transpose(format_order(level.spec))


def levels_of(url, array):
    """Give the factors of every level, from the metadata that are served."""
    group = requests.get(f"{url}/zarr.json", timeout=10).json()
    (image,) = group["attributes"]["ome"]["multiscales"]
    scales = [d["coordinateTransformations"][0]["scale"] for d in image["datasets"]]
    paths = [d["path"] for d in image["datasets"]]
    spatial = len(array.spec.spatial_axes)
    factors = [
        tuple(round(n / one) for n, one in zip(s[-spatial:], scales[0][-spatial:], strict=True))
        for s in scales
    ]
    return dict(zip(paths, factors, strict=True))


def with_zarr(url):
    return zarr.open_array(url, mode="r")[...]


def with_tensorstore(url):
    spec = {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": f"{url}/"}}
    return tensorstore.open(spec).result().read().result()


@pytest.mark.parametrize("read", [with_zarr, with_tensorstore])
@pytest.mark.parametrize("name", NAMES)
def test_every_level_has_the_voxels_of_the_array(server, arrays, name, read):
    url, array = f"{server.url}/{name}", arrays[name]
    levels = levels_of(url, array)
    assert len(levels) > 1
    for path, factors in levels.items():
        level, voxels = expected(array, factors)
        found = read(f"{url}/{path}")
        assert found.dtype == level.dtype
        np.testing.assert_array_equal(found, voxels)


@pytest.mark.parametrize("name", NAMES)
def test_our_own_reader_finds_the_array_where_it_is(server, arrays, name):
    url, array = f"{server.url}/{name}", arrays[name]
    for level, factors in enumerate(levels_of(url, array).values()):
        found = dacapo_like.open_array({"type": "zarr", "file_name": url, "level": level})
        same, voxels = expected(array, factors)
        assert found.roi == same.roi
        assert found.voxel_size == same.voxel_size
        assert found.units == same.units
        assert found.kind == same.kind
        assert found.channels == same.channels
        np.testing.assert_array_equal(np.asarray(found).transpose(format_order(found.spec)), voxels)


@pytest.mark.parametrize("name", NAMES)
def test_ome_zarr_py_reads_scales_translations_and_axes(server, arrays, name):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    url, array = f"{server.url}/{name}", arrays[name]
    (node,) = Reader(parse_url(url))()
    spec = array.spec.transposed(format_order(array.spec))
    assert [axis["name"] for axis in node.metadata["axes"]] == [
        axis.removesuffix("^") for axis in spec.axes
    ]
    factors = list(levels_of(url, array).values())
    assert len(node.data) == len(factors)
    for data, transformations, factor in zip(
        node.data, node.metadata["coordinateTransformations"], factors, strict=True
    ):
        level, voxels = expected(array, factor)
        scale, translation = (each[each["type"]] for each in transformations)
        dims = level.spec.dims
        assert scale[-dims:] == [float(n) for n in level.voxel_size]
        centres = [
            float(o + n / 2) for o, n in zip(level.roi.offset, level.voxel_size, strict=True)
        ]
        assert translation[-dims:] == pytest.approx(centres, abs=1e-12)
        np.testing.assert_array_equal(np.asarray(data), voxels)


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_are_valid(server, name):
    from ome_zarr_models.v05.image import ImageAttrs

    group = requests.get(f"{server.url}/{name}/zarr.json", timeout=10).json()
    ImageAttrs.model_validate(group["attributes"]["ome"])
    assert json.loads(json.dumps(group, allow_nan=False)) == group
