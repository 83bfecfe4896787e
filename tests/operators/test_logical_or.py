import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like import LogicalOrArrayConfig, from_numpy
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


def case(voxels, directory, axes, **grid):
    source = as_zarr(voxels, directory / "a", axes=axes, **grid)
    expected = (voxels != 0).any(axis=axes.index("c")).astype("uint8")
    return Case(source.logical_or(), expected)


def sparse(shape, dtype):
    return np.where(sample_voxels(shape, "bool"), sample_voxels(shape, dtype, 1), 0).astype(dtype)


class TestLaws(ArrayContract):
    def case_masks(self, directory):
        return case(sparse((3, 6, 7), "uint8"), directory, "cyx", voxel_size=(9.8, 25))

    def case_bool(self, directory):
        return case(sparse((2, 6, 7), "bool"), directory, "cyx", offset=(-1, 0.7))

    def case_one_channel_of_signed(self, directory):
        return case(sparse((1, 6, 7), "int16"), directory, "cyx")

    def case_time_before_channels(self, directory):
        return case(sparse((2, 3, 4, 5), "float32"), directory, "tcyx")

    def case_channels_before_time(self, directory):
        return case(sparse((3, 2, 4, 5), "uint64"), directory, "ctyx")

    def case_groups_of_labels(self, directory):
        labels = np.array([[0, 2**53, 2**53 + 1], [7, 8, 0]], "uint64")
        source = as_zarr(labels, directory / "a")
        array = source.binarize({"a": [2**53 + 1], "b": [8]}).logical_or()
        return Case(array, np.array([[0, 0, 1], [0, 1, 0]], "uint8"))


DTYPES = st.sampled_from(["bool", "uint8", "int64", "uint64", "float16", "float32", "float64"])


@given(data=st.data(), dtype=DTYPES)
def test_it_is_where_any_channel_is_not_zero(data, dtype):
    """Also where the only value is a NaN, too small for a normal float, or a negative zero."""
    voxels = data.draw(hnp.arrays(dtype, (2, 2, 2)))
    result = from_numpy(voxels, axes="cyx").logical_or().read()
    for y, x in np.ndindex(2, 2):
        assert result[y, x] == int(any(value != 0 for value in voxels[:, y, x].tolist()))


def test_the_channel_axis_is_gone():
    source = from_numpy(
        np.zeros((2, 3, 4, 5), "float32"),
        axes="tcyx",
        channels=("a", "b", "c"),
        voxel_size=(9.8, 4),
        offset=(1, 2),
    )
    assert source.logical_or().spec == source.spec.replace(
        axes="tyx", shape=(2, 4, 5), dtype="uint8", channels=None, kind="mask"
    )


def test_all_channels_of_the_box_are_read(watched):
    source = watched(from_numpy(np.zeros((2, 3, 4, 5), "uint8"), axes="tcyx"))
    LogicalOrArrayConfig(source_array_config=source).array()[1:, 2:3]
    assert source.boxes == [Box((1, 0, 2, 0), (1, 3, 1, 5))]


def test_a_source_without_channels_is_refused():
    with pytest.raises(SpecError, match=r"its source has none.*got axes y x") as error:
        from_numpy(np.zeros((3, 4), "uint8")).logical_or()
    assert error.value.key == ("source",)
    assert error.value.code == "DL213"
    assert "concat" in error.value.hint
