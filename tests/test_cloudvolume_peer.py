"""The real CloudVolume, in an environment of its own, writes precomputed volumes; we read the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dacapo_like import PrecomputedArrayConfig
from dacapo_like.errors import SourceError
from dacapo_like.geometry import Coordinate

pytestmark = pytest.mark.slow  # the module takes over ten seconds

IMAGES = ["raw_uint8", "raw_uint16", "raw_float32", "png_uint8", "jpeg_uint8"]
SEGMENTATIONS = [
    f"{numbers}_{kept}"
    for numbers in (
        "raw_uint64",
        "compressed_segmentation_uint32",
        "compressed_segmentation_uint64",
    )
    for kept in ("labels", "shards_raw", "shards_gzip")
]


@pytest.fixture(scope="module")
def written(tmp_path_factory, run_peer):
    """Give the folder of what CloudVolume wrote, and what it says of that."""
    folder = tmp_path_factory.mktemp("cloudvolume")
    run_peer("cloudvolume", folder)
    return folder, json.loads((folder / "answers.json").read_text())


def opened(path, **fields):
    return PrecomputedArrayConfig(file_name=str(path), **fields).array()


def in_our_order(voxels):
    """Turn x, y, z, channel round; one channel is no axis."""
    turned = voxels.T
    return turned[0] if len(turned) == 1 else turned


def test_everything_that_it_wrote_is_compared(written):
    assert set(written[1]["volumes"]) == {*IMAGES, *SEGMENTATIONS}


@pytest.mark.parametrize("name", IMAGES + SEGMENTATIONS)
def test_the_same_voxels(written, name):
    folder, _ = written
    array = opened(folder / name, missing="error")
    voxels = in_our_order(np.load(folder / f"{name}.npy"))
    found = array[...]
    assert (found.dtype, found.shape) == (voxels.dtype, voxels.shape)
    if name.startswith("jpeg"):
        assert abs(found.astype(int) - voxels).max() <= 4
        assert len(np.unique(found)) > 10
    else:
        np.testing.assert_array_equal(found, voxels)
    part = array[..., 3:9, 5:14, 7:17]
    np.testing.assert_array_equal(part, found[..., 3:9, 5:14, 7:17])


@pytest.mark.parametrize("name", IMAGES + SEGMENTATIONS)
def test_the_same_place_and_kind(written, name):
    folder, answers = written
    array = opened(folder / name)
    size = Coordinate(answers["resolution"][::-1])
    assert array.voxel_size == size
    assert array.roi.offset == size * Coordinate(answers["offset"][::-1])
    assert array.roi.shape == size * Coordinate(array.shape[-3:])
    assert array.units == ("nm",) * 3
    kind = {"image": "image", "segmentation": "labels"}[answers["volumes"][name]]
    assert array.spec.kind == kind


def test_chunks_that_it_packs_in_folders_are_refused_and_not_taken_for_missing(written):
    folder, _ = written
    assert list((folder / "by_default").glob("*/*.gz"))
    with pytest.raises(SourceError, match="packed as files of their own") as error:
        opened(folder / "by_default")
    assert "compress=False" in error.value.hint
