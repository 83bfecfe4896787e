import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dacapo_like
from dacapo_like import SumArrayConfig, from_numpy
from dacapo_like.errors import ConfigError, ReadError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


def total(*arrays):
    return SumArrayConfig(source_array_configs=[array.config for array in arrays]).array()


class TestLaws(ArrayContract):
    def case_different_offsets(self, directory):
        a, b = sample_voxels((4, 5, 6), "uint16"), sample_voxels((5, 3, 9), "uint8", 1)
        grid = {"voxel_size": (0.7, 4, 4), "units": "nm"}
        array = total(
            as_zarr(a, directory / "a", offset=(0.7, -8, 4), **grid),
            as_zarr(b, directory / "b", offset=(0, -4, -8), **grid),
        )
        return Case(array, np.sum([a[:, 1:4].astype("uint64"), b[1:, :, 3:]], axis=0))

    def case_units_are_converted(self, directory):
        a, b = sample_voxels((4, 5), "float32"), sample_voxels((4, 5), "float64", 1)
        array = total(
            as_zarr(a, directory / "a", voxel_size=(700, 25), offset=(700, 0), units="nm"),
            as_zarr(b, directory / "b", voxel_size=(0.7, 0.025), units=("um", "micron")),
        )
        return Case(array, np.sum([a[:3].astype("float64"), b[1:]], axis=0))

    def case_channels_and_time(self, directory):
        a, b = sample_voxels((2, 3, 4, 5), "int16"), sample_voxels((2, 3, 4, 5), "uint8", 1)
        array = total(
            as_zarr(a, directory / "a", axes="tcyx"), as_zarr(b, directory / "b", axes="tcyx")
        )
        return Case(array, a.astype("int64") + b)

    def case_beyond_what_floats_hold(self, directory):
        a = np.array([[2**53, 2**63, 2**64 - 2], [0, 1, 2**53 + 1]], "uint64")
        b = np.array([[1, 2**63 - 1, 1], [2**64 - 1, 2, 2]], "uint64")
        c = as_zarr(np.zeros((2, 3), bool), directory / "c")
        array = total(as_zarr(a, directory / "a"), as_zarr(b, directory / "b"), c)
        return Case(array, a + b)

    def case_back_from_beyond(self, directory):
        top = np.full((3, 4), 2**63 - 1, "int64")
        source = as_zarr(top, directory / "a")
        array = total(source, source, source.constant_like(-(2**63)))
        return Case(array, np.full((3, 4), 2**63 - 2, "int64"))

    def case_one_source(self, directory):
        voxels = sample_voxels((3, 4), "bool")
        return Case(total(as_zarr(voxels, directory / "a")), voxels.astype("int64"))

    def case_the_same_source_thrice(self, directory):
        voxels = sample_voxels((3, 4), "float32")
        source = as_zarr(voxels, directory / "a")
        return Case(total(source, source, source), voxels + voxels + voxels)


def plane(dtype="uint8", shape=(4, 5), **fields):
    return from_numpy(
        sample_voxels(shape, dtype), **{"voxel_size": (10, 4), "units": "nm", **fields}
    )


NUMBERS = st.sampled_from(["bool", "int8", "uint8", "int16", "uint32", "int64", "float32"])


@given(data=st.data(), dtypes=st.lists(NUMBERS, min_size=1, max_size=4))
def test_it_is_numpy_s_sum(data, dtypes):
    def values(dtype):
        if dtype == "float32":
            return st.floats(-1000, 1000, width=32)
        return None if dtype == "bool" else st.integers(0, 100)

    terms = [data.draw(hnp.arrays(dtype, (2, 3), elements=values(dtype))) for dtype in dtypes]
    promoted = np.result_type(*terms)
    expected = np.sum(np.stack([term.astype(promoted) for term in terms]), axis=0)
    result = total(*map(from_numpy, terms))
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result.read(), expected)


@pytest.mark.parametrize(
    ("dtypes", "summed"),
    [
        (("bool",), "int64"),
        (("uint8", "uint16"), "uint64"),
        (("uint8", "int8"), "int64"),
        (("bool", "uint64"), "uint64"),
        (("uint32", "int64"), "int64"),
        (("float16", "float16"), "float16"),
        (("int16", "float32"), "float32"),
        (("uint64", "float32"), "float64"),
    ],
)
def test_dtypes_are_those_of_numpy_s_sum(dtypes, summed):
    assert total(*map(plane, dtypes)).dtype == summed


def test_labels_are_never_made_floats():
    with pytest.raises(SpecError, match="no integer dtype holds all sources") as error:
        total(plane("int64"), plane("uint64"))
    assert error.value.key == ("sources",)


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("int64", -(2**63), 2**63 - 1), ("uint64", 0, 2**64 - 1)]
)
def test_nothing_wraps_around(dtype, low, high):
    voxels = np.full((3, 4), high, dtype)
    source = from_numpy(voxels, voxel_size=(10, 0.7), offset=(5, 0), units="nm")
    ones = np.zeros((3, 4), "uint8")
    ones[2, 1] = 1
    array = source.sum_with([from_numpy(ones, voxel_size=(10, 0.7), offset=(5, 0), units="nm")])
    np.testing.assert_array_equal(array[:2], voxels[:2])
    with pytest.raises(ReadError, match="a sum is beyond its dtype") as error:
        array.read()
    assert error.value.got == f"{high + 1} at voxel (2, 1), in the world (25, 0.7) nm"
    assert error.value.expected == f"{low} to {high}, as {dtype} holds"
    with pytest.raises(ReadError, match=rf"got {high + 1} at voxel \(2, 1\)"):
        array[2, 1]


def test_nothing_wraps_around_below():
    low = from_numpy(np.full((2, 2), -(2**63), "int64"))
    with pytest.raises(ReadError, match=rf"got {-(2**63) - 1} at voxel \(0, 0\)"):
        low.sum_with([from_numpy(np.full((2, 2), -1, "int8"))]).read()


def test_the_spec_is_the_common_grid():
    a = plane(offset=(10, 0), units=("nm", "um"), attrs={"of": "a"})
    b = plane("int16", shape=(2, 9), offset=(0, -4000), units="nm", voxel_size=(10, 4000))
    array = total(a, b)
    assert array.spec == from_shape(
        (1, 5), "int64", voxel_size=(10, 4), offset=(10, 0), units=("nm", "um"), kind="image"
    )
    assert array.attrs == {}


@pytest.mark.parametrize(
    ("names", "kept"), [(("a", "b"), ("a", "b")), (("a", "c"), None), (None, None)]
)
def test_channels_keep_names_that_all_agree_on(names, kept):
    fields = {"shape": (2, 4, 5), "axes": "cyx"}
    array = total(plane(channels=("a", "b"), **fields), plane(channels=names, **fields))
    assert array.channels == kept


@pytest.mark.parametrize(
    ("kinds", "kind"), [(("labels", "labels"), "labels"), (("mask", "mask"), "image")]
)
def test_a_sum_is_an_image_unless_of_labels(kinds, kind):
    assert total(*(plane(kind=given) for given in kinds)).kind == kind


def test_the_method_adds_others():
    a, b = plane(), plane("uint16")
    assert a.sum_with([b]).config == total(a, b).config


def test_only_the_common_voxels_are_read(watched):
    a, b = watched(plane()), watched(plane(offset=(10, 0)))
    SumArrayConfig(source_array_configs=(a, b)).array()[1:2, 2:]
    assert (a.boxes, b.boxes) == ([Box((2, 2), (1, 3))], [Box((1, 2), (1, 3))])


def refusal(*arrays):
    with pytest.raises(SpecError) as error:
        total(*arrays)
    assert error.value.where == "sum"
    return error.value


def test_there_must_be_sources():
    with pytest.raises(ConfigError, match="no sources") as error:
        SumArrayConfig(source_array_configs=())
    assert error.value.key == ("sources",)


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 4, 5), "tyx"), ((3, 4, 5), "cyx"), ((2, 2, 4, 5), "tcyx")]
)
def test_different_leading_axes_are_refused(shape, axes):
    error = refusal(plane(shape=(2, 4, 5), axes="cyx"), plane(shape=shape, axes=axes))
    assert error.what == "arrays with different leading axes"
    assert error.got == f"sources[1] has {' '.join(axes)} of shape {shape}"


def test_different_voxel_sizes_are_refused():
    error = refusal(plane(), plane(), plane(voxel_size=(10, 5)))
    assert error.got == "sources[2] has (10, 5) nm"
    assert error.expected == "(10, 4) nm as sources[0] has"


def test_units_known_for_some_only_are_a_warning():
    (problem,) = dacapo_like.verify(total(plane(), plane(units=None)).config)
    assert (problem.code, problem.severity, problem.key) == ("DL402", "warning", "sources")
