"""Against the ndarray itself."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dacapo_like import Roi, from_numpy
from dacapo_like.config.loading import dump
from dacapo_like.errors import DacapoLikeError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.sources.memory import NumpyArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels

arrays = npst.arrays(
    st.sampled_from(["?", "u1", ">u2", "<i4", ">i8", "u8", "f2", ">f4", "f8"]),
    npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
)


@given(arrays, st.booleans())
def test_voxels_come_back_as_they_are(data, fortran):
    if fortran:
        data = np.asfortranarray(data)
    array = from_numpy(data)
    result = array[...]
    np.testing.assert_array_equal(result, data)
    assert result.dtype == array.dtype == data.dtype.newbyteorder("=")
    assert result.dtype.isnative
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, data)
    out = np.empty(data.shape, array.dtype)
    np.testing.assert_array_equal(array.read(out=out), data)


@pytest.mark.parametrize(
    ("rank", "axes"), [(0, ""), (1, "x"), (2, "yx"), (3, "zyx"), (4, "czyx"), (5, "tczyx")]
)
def test_axes_that_nobody_named(rank, axes):
    assert "".join(from_numpy(np.zeros((2,) * rank)).axes) == axes


def test_more_axes_than_that_must_be_named():
    with pytest.raises(SpecError, match="axes do not fit the array"):
        from_numpy(np.zeros((1,) * 6))
    assert from_numpy(np.zeros((1,) * 6), axes=["s", "t", "c", "z", "y", "x"]).dims == 3


def test_axes_may_be_spelled_as_in_files():
    array = from_numpy(np.zeros((2, 3, 4)), axes=["Channel", "Y", "X"], channels="ab")
    assert array.axes == ("c", "y", "x")
    assert array.num_channels == 2


def test_spatial_axes_come_last():
    with pytest.raises(SpecError, match="time, samples and channels first"):
        from_numpy(np.zeros((4, 4, 3)), axes="yxc")


def test_what_else_is_known_is_kept():
    array = from_numpy(
        np.zeros((4, 6), "u4"),
        voxel_size=(9.8, "10/3"),
        offset=(0.7, -1),
        units=("nm", None),
        kind="image",
        directions=((0, 1), (1, 0)),
        attrs={"labels": []},
        name="em",
    )
    assert array.roi == Roi((0.7, -1), (39.2, 20))
    assert array.units == ("nm", None)
    assert array.kind == "image"
    assert array.spec.directions == ((0, 1), (1, 0))
    assert array.attrs == {"labels": []}
    assert array.config.name == "em"


def test_lists_are_taken_as_numpy_takes_them():
    array = from_numpy([[1, 2], [3, 4]])
    assert type(array[...]) is np.ndarray
    np.testing.assert_array_equal(array[...], [[1, 2], [3, 4]])


def test_a_mask_is_not_dropped():
    with pytest.raises(SpecError, match="fill"):
        from_numpy(np.ma.masked_less(np.arange(4), 2))


@pytest.mark.parametrize("data", [np.array(["a"]), np.array([None]), np.zeros(3, "c8")])
def test_what_is_no_number_is_refused(data):
    with pytest.raises(SpecError, match="no number"):
        from_numpy(data)


def test_a_memory_map_is_not_loaded(tmp_path):
    data = np.arange(24, dtype="u2").reshape(4, 6)
    data.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", "u2", "r", shape=(4, 6))
    array = from_numpy(mapped)
    assert isinstance(array.config.data, np.memmap)
    np.testing.assert_array_equal(array[1:3, 2:4], data[1:3, 2:4])
    assert array[...].flags.writeable


def test_later_changes_of_the_data_are_seen():
    data = np.zeros(4)
    array = from_numpy(data)
    data[1] = 7
    assert array[1] == 7


def test_configs_are_equal_where_data_and_grid_are():
    data = np.zeros((4, 4))
    one = from_numpy(data, name="a").config
    assert one == from_numpy(data, name="b").config
    assert hash(one) == hash(from_numpy(data).config)
    assert one != from_numpy(data.copy()).config
    assert one != from_numpy(data[...]).config
    assert one != from_numpy(data, voxel_size=(2, 2)).config
    assert one != from_numpy(data, offset=(1, 0)).config


def test_one_ndarray_may_lie_in_several_places():
    data = np.arange(16).reshape(4, 4)
    here, there = from_numpy(data), from_numpy(data, offset=(1, 2))
    both = here.concat({"there": there}, name="here")
    assert both.roi == Roi((1, 2), (3, 2))
    np.testing.assert_array_equal(both[0], data[1:, 2:])
    np.testing.assert_array_equal(both[1], data[:3, :2])


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_pickles_hold_the_voxels(twin_of):
    array = from_numpy(np.arange(4), offset=(9.8,), units="nm", name="a")
    for twin in (twin_of(array), twin_of(array.config).array()):
        assert twin.spec == array.spec
        assert twin.config.name == "a"
        np.testing.assert_array_equal(twin[...], array[...])
        assert not np.shares_memory(twin.config.data, array.config.data)


def test_a_config_shows_no_voxels():
    text = repr(from_numpy(np.full(3, 123456789)).config)
    assert text.startswith("NumpyArrayConfig(name=None, spec=ArraySpec(")
    assert "123456789" not in text


def test_voxels_in_memory_have_no_document():
    assert not NumpyArrayConfig.in_documents
    with pytest.raises(DacapoLikeError):
        dump(from_numpy(np.zeros(3)).config)


def test_the_reader_fills_out():
    data = np.arange(6, dtype=">i4").reshape(2, 3)
    reader = from_numpy(data).reader
    out = np.zeros((1, 2), "i4")
    assert reader.read(Box((1, 1), (1, 2)), out) is out
    assert out.tolist() == [[4, 5]]
    assert reader.start(Box((0, 0), (1, 1)))().tolist() == [[0]]


class TestLaws(ArrayContract):
    def case_channels_in_time(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "uint64")
        array = from_numpy(voxels, axes="tcyx", voxel_size=(9.8, 0.7), offset=(-9.8, 0), units="nm")
        return Case(array, voxels, in_memory=True)

    def case_big_endian_view(self, directory):
        voxels = sample_voxels((5, 6, 7), "float32")
        return Case(from_numpy(voxels.astype(">f4")[::-1]), voxels[::-1], in_memory=True)

    def case_assigned_to(self, directory):
        voxels = sample_voxels((5, 6, 7), "int16")
        array = from_numpy(voxels.astype(">i2").T, mode="r+", voxel_size=(9.8, 4, 4))
        return Case(array, voxels.T, in_memory=True)
