"""A read that would take more memory than it may is refused before anything is read, with the bytes and how to raise the limit."""

from __future__ import annotations

import re

import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like import Roi, from_numpy, open_array
from dacapo_like.errors import DacapoLikeError, RegionError
from dacapo_like.settings import memory_bytes, parse_bytes

VOXELS = np.arange(64 * 64, dtype="uint16").reshape(64, 64)


@pytest.fixture
def huge(tmp_path):
    """An array of 10^15 voxels, none of which is stored."""
    zarr.create_array(
        tmp_path / "a.zarr", shape=(100_000,) * 3, chunks=(64,) * 3, shards=None, dtype="uint8"
    )
    return open_array(
        {"type": "zarr", "file_name": str(tmp_path / "a.zarr"), "axes": ["z", "y", "x"]}
    )


def test_what_memory_there_is():
    assert 2**27 < memory_bytes() < 2**50


def test_more_than_there_is_is_refused(huge):
    with pytest.raises(RegionError, match="takes more memory than it may") as error:
        huge.read()
    assert (
        error.value.got == "909.5 TiB (1000000000000000 bytes) for (100000, 100000, 100000) voxels"
    )
    assert "all the memory that there is" in error.value.expected
    assert "read_bytes=1000000000000000" in error.value.hint
    assert "DACAPO_LIKE_READ_BYTES=1000000000000000" in error.value.hint
    assert error.value.where == "zarr"
    assert error.value.code == "DL221"
    assert not huge[:10, :10, :10].any()


def test_the_hint_is_what_it_takes(huge):
    with dacapo_like.using(read_bytes="1MiB"):
        assert huge[:100, :100, :100].shape == (100, 100, 100)
        with pytest.raises(RegionError, match="as `read_bytes` says") as error:
            huge[:200, :100, :100]
        needed = int(re.search(r"configure\(read_bytes=(\d+)\)", error.value.hint)[1])
        with dacapo_like.using(read_bytes=needed):
            assert huge[:200, :100, :100].shape == (200, 100, 100)
        with dacapo_like.using(read_bytes=needed - 1), pytest.raises(RegionError):
            huge[:200, :100, :100]


@pytest.mark.parametrize(
    "read",
    [
        lambda array: array[...],
        lambda array: array.read(),
        np.asarray,
        lambda array: array.read(Roi((-8, 0), (40, 40)), pad="edge"),
        lambda array: array.read_many([Roi((0, 0), (8, 8))] * 30),
        lambda array: list(array.read_each([array.roi])),
        lambda array: array.crop(array.roi).astype("float32").read(),
        lambda array: array.flip(["y"]).read(),
    ],
)
def test_no_way_to_read_leads_around_it(read):
    array = from_numpy(VOXELS)
    assert len(read(array))
    with dacapo_like.using(read_bytes=1000), pytest.raises(RegionError) as error:
        read(array)
    assert error.value.code == "DL221"


def test_what_is_held_besides_counts_where_it_cannot_be_cut():
    tree = from_numpy(VOXELS).downsample((1, 2))
    given = tree.spec.box.size * tree.dtype.itemsize
    with dacapo_like.using(read_bytes=given), pytest.raises(RegionError):
        tree.read()
    with dacapo_like.using(read_bytes=given + VOXELS.nbytes):
        tree.read()


def test_into_an_array_of_the_caller_s_a_read_takes_no_memory():
    out = np.empty_like(VOXELS)
    with dacapo_like.using(read_bytes=10):
        np.testing.assert_array_equal(from_numpy(VOXELS).read(out=out), VOXELS)


def test_a_chunk_that_does_not_fit_is_not_decoded(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(10,), chunks=(2**40,), dtype="uint8")
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr"), "axes": ["x"]})
    with pytest.raises(DacapoLikeError, match="takes more memory than it may") as error:
        array[:1]
    assert "1.0 TiB" in error.value.got


@pytest.mark.parametrize("value", [0, -1, 1.5, "much", True])
def test_what_the_limit_cannot_be(value):
    with pytest.raises(dacapo_like.DacapoLikeError):
        dacapo_like.configure(read_bytes=value)


def test_sizes_are_told_as_they_are_set():
    with dacapo_like.using(read_bytes="1.5GiB") as settings:
        assert settings.read_bytes == parse_bytes("1.5GiB") == 1610612736
