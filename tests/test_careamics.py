"""Arrays as CAREamics' image stacks, against numpy; test_careamics_peer.py has the real ones."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import (
    NpyArrayConfig,
    Roi,
    SumArrayConfig,
    create_array,
    from_numpy,
    open_array,
)
from dacapo_like.careamics import CareamicsImageStack, load_image_stacks
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import ConfigError, RegionError, SpecError
from dacapo_like.spec import from_shape
from dacapo_like.testing import as_zarr, sample_voxels

LARGE = 2**24 + 1
"""The first integer that float32 has not."""

SIZES = {"s": 2, "t": 3, "c": 4, "z": 5, "y": 6, "x": 7}
LEADING = [order for n in range(4) for order in itertools.permutations("stc", n)]
SPATIAL = [order for axes in ("yx", "zyx") for order in itertools.permutations(axes)]


def stack_of(shape, dtype, **options):
    return CareamicsImageStack(from_numpy(sample_voxels(shape, dtype)), **options)


@given(st.data())
def test_a_patch_is_that_of_the_whole_array_with_zeros_around_it(data):
    axes = data.draw(st.sampled_from(LEADING)) + data.draw(st.sampled_from(SPATIAL))
    voxels = sample_voxels([SIZES[axis] for axis in axes], "int16")
    stack = CareamicsImageStack(
        from_numpy(voxels, axes=axes, voxel_size=(1,) * sum(axis in "zyx" for axis in axes))
    )
    space = [axis for axis in "zyx" if axis in axes]
    whole = voxels.transpose([axes.index(axis) for axis in "stczyx" if axis in axes])
    whole = whole.reshape(*stack.data_shape)
    assert stack.original_axes == "".join(axes).upper()
    assert stack.original_data_shape == voxels.shape

    sample = data.draw(st.integers(0, len(whole) - 1))
    channel = st.integers(0, whole.shape[1] - 1)
    channels = data.draw(st.one_of(st.none(), st.lists(channel, min_size=1, max_size=5)))
    coords = [data.draw(st.integers(-12, 12)) for _ in space]
    size = [data.draw(st.integers(1, 9)) for _ in space]
    patch = stack.extract_patch(sample, channels, coords, size)
    around = np.pad(whole[sample], [(0, 0)] + [(12, 24)] * len(space))
    part = tuple(slice(a + 12, a + 12 + n) for a, n in zip(coords, size, strict=True))
    np.testing.assert_array_equal(
        patch, around[(slice(None), *part)][slice(None) if channels is None else channels]
    )
    assert patch.dtype == "float32"
    assert patch.flags.c_contiguous
    assert patch.flags.writeable


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("bool", "float32"),
        ("uint8", "float32"),
        ("int16", "float32"),
        ("uint16", "float32"),
        ("int32", "int32"),
        ("uint32", "uint32"),
        ("uint64", "uint64"),
        ("float16", "float32"),
        ("float64", "float32"),
    ],
)
def test_patches_are_float32_where_that_changes_no_integer(dtype, becomes):
    stack = stack_of((4, 5), dtype)
    voxels = sample_voxels((4, 5), dtype)
    patch = stack.extract_patch(0, None, (0, 0), (4, 5))
    assert (stack.data_dtype, patch.dtype) == (dtype, becomes)
    np.testing.assert_array_equal(patch[0], voxels.astype(becomes))


def test_labels_above_what_float32_has():
    labels = from_numpy(np.array([[LARGE - 1, LARGE]], "uint32"))
    where = {"sample_idx": 0, "channels": None, "patch_size": (1, 1)}
    assert CareamicsImageStack(labels).extract_patch(coords=(0, 1), **where)[0, 0, 0] == LARGE
    cast = CareamicsImageStack(labels, dtype="float32")
    assert cast.extract_patch(coords=(0, 0), **where).dtype == "float32"
    with pytest.raises(ConfigError, match=f"cannot hold .*got {LARGE}") as error:
        cast.extract_patch(coords=(0, 1), **where)
    assert "without `dtype` patches of this array are uint32" in error.value.hint
    assert (
        CareamicsImageStack(labels, dtype="int64").extract_patch(coords=(0, 1), **where).item()
        == LARGE
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_idx": 6}, "sample_idx is not in the array .*got 6; expected 0 to 5"),
        ({"sample_idx": -1}, "sample_idx is not in the array"),
        ({"sample_idx": 1.0}, "sample_idx has to be integers"),
        ({"channels": [0, 4]}, "channels is not in the array .*got 0, 4; expected 0 to 3"),
        ({"channels": [-1]}, "channels is not in the array"),
        ({"channels": []}, "channels is not in the array .*got none"),
        ({"channels": 2}, "channels has to be integers"),
        ({"coords": (0, 0, 0)}, "not a patch of this array"),
        ({"coords": (0, 0.5)}, "coords has to be integers"),
        ({"patch_size": (2,)}, "not a patch of this array"),
        ({"patch_size": (2, 0)}, "not a patch of this array"),
        ({"patch_size": (-2, 2)}, "not a patch of this array"),
    ],
)
def test_what_is_not_there_is_refused(changes, message):
    array = from_numpy(sample_voxels((2, 3, 4, 6, 7), "uint8"), axes="stcyx", voxel_size=(1, 1))
    asked = {"sample_idx": 0, "channels": None, "coords": (0, 0), "patch_size": (2, 2)}
    stack = CareamicsImageStack(array)
    assert stack.extract_patch(**asked).shape == (4, 2, 2)
    numpy_integers = {"sample_idx": np.int64(5), "coords": np.array([1, 1])}
    assert stack.extract_patch(**asked | numpy_integers).shape == (4, 2, 2)
    with pytest.raises(RegionError, match=message):
        stack.extract_patch(**asked | changes)


@pytest.mark.parametrize("axes", [("x",), ("z", "x"), ("r", "y", "x"), ("a", "y", "x")])
def test_axes_that_careamics_does_not_know(axes):
    array = from_numpy(np.zeros((2,) * len(axes)), axes=axes, voxel_size=(1,) * len(axes))
    with pytest.raises(SpecError, match="axes that CAREamics does not know"):
        CareamicsImageStack(array)


class _Recording(Reader):
    def __init__(self):
        self.spec = from_shape((3, 2, 1000, 1000), "uint8", axes="tcyx")
        self.boxes = []

    def read(self, box, out=None):
        self.boxes.append(box)
        return np.zeros(box.shape, "uint8")


class _RecordedConfig(SourceConfig):
    def open(self):
        return _Recording()


def test_only_the_patch_is_read():
    array = _RecordedConfig().array()
    stack = CareamicsImageStack(array)
    assert array.reader.boxes == []
    stack.extract_patch(1, [0, 1], (-5, 990), (20, 20))
    assert [(box.offset, box.shape) for box in array.reader.boxes] == [
        ((1, 0, 0, 990), (1, 2, 15, 10))
    ]


def test_chunks_are_those_that_are_stored(tmp_path):
    array = as_zarr(np.zeros((3, 8, 8), "uint8"), tmp_path / "a.zarr", chunks=(1, 4, 8), axes="cyx")
    stack = CareamicsImageStack(array)
    assert (stack.chunks, stack.shards) == ((1, 4, 8), None)
    assert CareamicsImageStack(array.intensities(min=0, max=1)).chunks
    assert stack_of((8, 8), "uint8").chunks == (8, 8)


def test_the_source_is_the_one_file_that_all_voxels_are_from(tmp_path):
    region = Roi((0, 0), (8, 8))
    raw = create_array(tmp_path / "a.zarr", "em/raw", ["y", "x"], region, (1, 1), "uint8")
    uri = f"file://{(tmp_path / 'a.zarr').as_posix()}/em/raw"
    assert CareamicsImageStack(raw).source == uri
    assert CareamicsImageStack(raw.intensities(min=0, max=1).crop(np.s_[2:, 2:])).source == uri
    assert CareamicsImageStack(raw, source="mine").source == "mine"
    from_numpy(np.zeros((8, 8), "uint8")).to_tiff(tmp_path / "a.tif")
    tiff = open_array({"type": "tiff", "file_name": str(tmp_path / "a.tif")})
    assert CareamicsImageStack(tiff).source == tmp_path / "a.tif"


def test_without_one_file_the_source_is_an_array(tmp_path):
    voxels = np.zeros((8, 8), "uint8")
    names = [str(from_numpy(voxels).save(tmp_path / f"{name}.npy")) for name in "ab"]
    sources = [NpyArrayConfig(file_name=name, voxel_size=(1, 1)) for name in names]
    both = SumArrayConfig(source_array_configs=sources).array()
    unnamed = as_zarr(
        voxels, tmp_path / "a.zarr"
    )  # CAREamics has no place for what is not named in its Zarr
    for array in (both, unnamed, from_numpy(voxels)):
        assert CareamicsImageStack(array).source == "array"
    assert CareamicsImageStack(sources[0].array()).source == tmp_path / "a.npy"


def test_it_pickles_with_its_array(tmp_path):
    voxels = sample_voxels((2, 8, 8), "uint8")
    stack = CareamicsImageStack(as_zarr(voxels, tmp_path / "a.zarr", axes="tyx"))
    again = pickle.loads(pickle.dumps(stack))
    assert again.source == stack.source
    np.testing.assert_array_equal(again.extract_patch(1, None, (0, 0), (8, 8))[0], voxels[1])


def test_loading_several_arrays():
    arrays = [from_numpy(np.zeros((3, 8, n)), axes="tyx") for n in (8, 9)]
    stacks = load_image_stacks(arrays, "TYX", dtype="float64")
    assert [stack.data_shape for stack in stacks] == [(3, 1, 8, 8), (3, 1, 8, 9)]
    assert stacks[0].extract_patch(0, None, (0, 0), (2, 2)).dtype == "float64"
    with pytest.raises(SpecError, match=r"other axes .*got TYX; expected SYX") as error:
        load_image_stacks(arrays, "SYX")
    assert 'axes="TYX"' in error.value.hint
