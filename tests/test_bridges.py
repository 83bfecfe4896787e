"""Arrays as funlib's: against our own reads, and against what funlib itself reads of the same file."""

from __future__ import annotations

import subprocess
import sys
import warnings
from fractions import Fraction
from typing import ClassVar

import attrs
import numpy as np
import pytest
from funlib.geometry import Coordinate as FunlibCoordinate
from funlib.geometry import Roi as FunlibRoi
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import Roi, from_numpy
from dacapo_like.bridges import integral_spec
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import ConfigError, DacapoLikeError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import as_zarr, sample_voxels

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pydantic, about funlib's classes
    from funlib.persistence import Array as FunlibArray
    from funlib.persistence import open_ds

DATA = sample_voxels((2, 4, 6, 8), "uint16")
ARRAY = from_numpy(
    DATA, axes="czyx", voxel_size=(40, 4, 4), offset=(-40, 8, 2), units=("nm", "nm", None)
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CountedConfig(SourceConfig):
    """A source of 4 by 4 chunks that notes what is read of it."""

    read_boxes: ClassVar[list[Box]] = []

    def open(self):
        self.read_boxes.clear()
        return CountedReader()


class CountedReader(Reader):
    spec = from_shape((12, 16), "i8", voxel_size=(10, 10), chunk_shape=(4, 4))
    voxels = np.arange(12 * 16).reshape(12, 16)

    def read(self, box, out=None):
        CountedConfig.read_boxes.append(box)
        return self.voxels[box.slices].copy()


# What funlib sees


def test_funlib_sees_the_same_array():
    bridged = ARRAY.to_funlib()
    assert type(bridged) is FunlibArray
    assert (bridged.shape, bridged.dtype) == (ARRAY.shape, ARRAY.dtype)
    assert type(bridged.roi) is type(ARRAY.roi) is FunlibRoi
    assert (bridged.roi, bridged.voxel_size) == (ARRAY.roi, ARRAY.voxel_size)
    assert bridged.axis_names == ["c^", "z", "y", "x"]
    assert bridged.types == ["channel", "space", "space", "space"]
    assert bridged.units == ["nm", "nm", ""]
    assert (bridged.channel_dims, bridged.spatial_dims) == (1, 3)


def test_time_is_whole_as_channels_are():
    bridged = from_numpy(DATA, axes="tcyx", voxel_size=(4, 4)).to_funlib()
    assert bridged.axis_names == ["t^", "c^", "y", "x"]
    assert bridged.roi == FunlibRoi((0, 0), (24, 32))
    np.testing.assert_array_equal(bridged[FunlibRoi((4, 8), (8, 4))], DATA[:, :, 1:3, 2:3])


def test_funlib_describes_a_file_of_its_own_alike(tmp_path):
    array = as_zarr(
        DATA, tmp_path / "a.zarr", axes="czyx", voxel_size=(40, 4, 4), offset=(40, 0, 8)
    )
    import zarr

    zarr.open_array(tmp_path / "a.zarr", mode="r+").attrs.update(
        {"axis_names": ["c^", "z", "y", "x"], "types": ["channel", "space", "space", "space"]}
    )
    native, bridged = open_ds(tmp_path / "a.zarr"), array.config.array().to_funlib()
    for name in ("roi", "voxel_size", "axis_names", "types", "units", "chunk_shape", "dtype"):
        assert getattr(native, name) == getattr(bridged, name), name
    np.testing.assert_array_equal(native[native.roi], bridged[native.roi])


def test_attributes_are_copied():
    array = from_numpy(DATA, attrs={"labels": [1]})
    bridged = array.to_funlib()
    assert bridged.attrs == {"labels": [1]}
    bridged.attrs["more"] = 2
    assert array.attrs == {"labels": [1]}


# Reading through funlib


@given(st.data())
def test_regions_are_the_same_voxels(data):
    starts = [data.draw(st.integers(0, n - 1)) for n in DATA.shape[1:]]
    counts = [data.draw(st.integers(1, n - a)) for n, a in zip(DATA.shape[1:], starts, strict=True)]
    chunks = data.draw(st.sampled_from([None, 3, (1, 2, 3, 5)]))
    voxel = FunlibCoordinate(40, 4, 4)
    roi = FunlibRoi(
        voxel * FunlibCoordinate(starts) + ARRAY.offset, voxel * FunlibCoordinate(counts)
    )
    bridged = ARRAY.to_funlib(chunks=chunks)
    np.testing.assert_array_equal(bridged[roi], ARRAY[roi])


def test_numpy_indices_and_points_work():
    bridged = ARRAY.to_funlib()
    np.testing.assert_array_equal(bridged[1, ::-1, 2:4], DATA[1, ::-1, 2:4])
    assert bridged[FunlibCoordinate(0, 12, 6)].tolist() == DATA[:, 1, 1, 1].tolist()


def test_what_is_not_inside_is_refused():
    with pytest.raises(IndexError, match="not contained"):
        ARRAY.to_funlib()[ARRAY.roi + 40]


def test_lazy_operations_work_on_top():
    bridged = ARRAY.to_funlib()
    bridged.lazy_op(np.s_[0])
    bridged.lazy_op(lambda block: block > 30000)
    np.testing.assert_array_equal(bridged[bridged.roi], DATA[0] > 30000)


def test_only_the_chunks_that_are_asked_for_are_read():
    bridged = CountedConfig().array().to_funlib()
    assert sum(box.size for box in CountedConfig.read_boxes) == 0
    data = bridged[FunlibRoi((30, 50), (30, 20))]  # rows 3 to 5, columns 5 and 6
    np.testing.assert_array_equal(data, CountedReader.voxels[3:6, 5:7])
    asked = {box for box in CountedConfig.read_boxes if box.size}
    assert asked == {Box((3, 5), (1, 2)), Box((4, 5), (2, 2))}


def test_voxels_in_memory_are_not_read_for_a_name():
    pickled = []

    class Watched(np.ndarray):
        def __reduce_ex__(self, protocol):
            pickled.append(protocol)
            return super().__reduce_ex__(protocol)

    array = from_numpy(DATA.view(Watched), axes="czyx")
    one, two = array.to_funlib(), array.to_funlib()
    assert pickled == []
    assert one.data.name != two.data.name  # what is stored may have changed between them


def test_composed_trees_compute_behind_it():
    labels = from_numpy(np.arange(24, dtype="uint64").reshape(4, 6) % 5, voxel_size=(8, 8))
    composed = labels.crop(Roi((8, 16), (24, 32))).binarize({"odd": [1, 3]})
    bridged = composed.to_funlib()
    assert (bridged.shape, bridged.dtype) == ((1, 3, 4), np.uint8)
    np.testing.assert_array_equal(bridged[composed.roi], composed[...])


# Writing through funlib


def test_what_is_read_only_here_is_so_there():
    data = DATA.copy()
    bridged = from_numpy(data, axes="czyx", voxel_size=(40, 4, 4)).to_funlib()
    with pytest.raises(DacapoLikeError, match="not writable"):
        bridged[bridged.roi] = 0
    np.testing.assert_array_equal(bridged[bridged.roi], DATA)
    np.testing.assert_array_equal(data, DATA)


def test_what_is_writable_here_is_so_there():
    array = from_numpy(DATA.copy(), axes="czyx", voxel_size=(40, 4, 4), mode="r+")
    bridged = array.to_funlib()
    roi = FunlibRoi((40, 8, 4), (80, 4, 8))
    bridged[roi] = 7
    expected = DATA.copy()
    expected[:, 1:3, 2:3, 1:3] = 7
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(bridged[...], expected)


# Grids that are not integral


def test_a_grid_that_funlib_would_cut_off_is_refused():
    fine = from_numpy(np.zeros((4, 4)), voxel_size=(9.8, 4), units="nm")
    with pytest.raises(SpecError, match=r"\(9.8, 4\) nm.*expected integers.*units='pm'"):
        fine.to_funlib()
    shifted = from_numpy(np.zeros((4, 4)), voxel_size=(10, 4), offset=(0.5, 0), units="mm")
    with pytest.raises(SpecError, match=r"offset \(0.5, 0\).*units='um'"):
        shifted.to_funlib()


def test_in_a_finer_unit_it_is_given_out():
    fine = from_numpy(
        DATA[0], voxel_size=(9.8, 4, 0.0035), offset=(-9.8, 0, 1), units=("nm", "nm", "um")
    )
    bridged = fine.to_funlib(units="pm")
    assert bridged.voxel_size == FunlibCoordinate(9800, 4000, 3500)
    assert bridged.units == ["pm"] * 3
    roi = FunlibRoi((0, 4000, 1003500), (19600, 8000, 7000))
    np.testing.assert_array_equal(bridged[roi], DATA[0][1:3, 1:3, 1:3])


def test_the_way_out_that_an_error_names_is_one():
    spec = from_shape((4, 4), voxel_size=("1/3", 0.25), units="um")
    with pytest.raises(SpecError, match="resample it"):
        integral_spec(spec)
    unknown = from_shape((4, 4), voxel_size=(0.5, 0.25), units=("um", None))
    with pytest.raises(SpecError, match="say its `units`"):
        integral_spec(unknown)
    with pytest.raises(SpecError, match="unit of an axis is unknown"):
        integral_spec(unknown, "nm")
    with pytest.raises(ConfigError, match="unknown unit of length"):
        integral_spec(spec, "furlong")


@given(
    st.fractions(Fraction(1, 1000), 1000, max_denominator=1000),
    st.sampled_from(["mm", "um", "nm"]),
    st.sampled_from(["um", "nm", "pm"]),
)
def test_a_converted_grid_is_exact_or_refused(size, unit, into):
    metres = {"mm": -3, "um": -6, "nm": -9, "pm": -12}
    expected = size * Fraction(10) ** (metres[unit] - metres[into])
    spec = from_shape((3,), voxel_size=(size,), offset=(-2 * size,), units=unit)
    if expected.denominator == 1:
        found = integral_spec(spec, into)
        assert (*found.voxel_size, *found.offset) == (expected, -2 * expected)
        assert found.units == (into,)
    else:
        with pytest.raises(SpecError, match="not a grid of integers"):
            integral_spec(spec, into)


# Without the extras


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("funlib.persistence", "d.from_numpy(np.zeros(3)).to_funlib()"),
        ("gunpowder", "import dacapo_like.gunpowder"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(package, code):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.modules[{package!r}] = None\nimport numpy as np, dacapo_like as d\n{code}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    extra = package.split(".")[0]
    assert "MissingExtraError" in last
    assert f"pip install 'dacapo_like[{extra}]'" in last
