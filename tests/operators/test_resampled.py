import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage

from dacapo_like import ResampledArrayConfig, from_numpy
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels

HALF, THIRD, TWO_THIRDS = Fraction(1, 2), Fraction(1, 3), Fraction(2, 3)


def cell_value(cell, method, dtype):
    """What one cell becomes, in exact arithmetic."""
    if method == "stride":
        return cell[0]
    if method in ("min", "max"):
        return {"min": min, "max": max}[method](cell)
    if method == "mode":
        counts = Counter(cell)
        most = max(counts.values())
        return min(value for value, count in counts.items() if count == most)
    if method == "mean":
        value = sum(map(Fraction, cell)) / len(cell)
    else:
        ordered, n = sorted(map(Fraction, cell)), len(cell)
        value = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return round(value) if dtype.kind in "biu" else float(value)  # round(): halves to even


def pooled(voxels, factors, method):
    """One cell after the other; `factors` for every axis."""
    shape = tuple(n // f for n, f in zip(voxels.shape, factors, strict=True))
    result = np.empty(shape, voxels.dtype)
    for at in np.ndindex(shape):
        cell = voxels[tuple(slice(i * f, (i + 1) * f) for i, f in zip(at, factors, strict=True))]
        result[at] = cell_value(cell.ravel().tolist(), method, voxels.dtype)
    return result


def cubic(t):
    """Keys' kernel with a = -1/2."""
    t = abs(t)
    if t < 1:
        return Fraction(3, 2) * t**3 - Fraction(5, 2) * t**2 + 1
    return -HALF * t**3 + Fraction(5, 2) * t**2 - 4 * t + 2 if t < 2 else Fraction(0)


def taps(index, ratio, order, n):
    """Voxels of one axis and their weights, by the definition of the kernel of each order."""
    if order == 0:
        return [(math.floor((index + HALF) * ratio), Fraction(1))]
    x = (index + HALF) * ratio - HALF
    kernel = cubic if order == 3 else lambda t: max(1 - abs(t), Fraction(0))
    around = range(math.floor(x) - 3, math.floor(x) + 5)
    return [(min(max(i, 0), n - 1), kernel(x - i)) for i in around if kernel(x - i)]


def interpolated(voxels, ratios, order):
    """One voxel after the other, in exact arithmetic, rounded once; `ratios` for every axis."""
    shape = tuple(math.floor(n / r) for n, r in zip(voxels.shape, ratios, strict=True))
    result = np.empty(shape, voxels.dtype)
    for at in np.ndindex(shape):
        axes = [taps(i, r, order, n) for i, r, n in zip(at, ratios, voxels.shape, strict=True)]
        value = Fraction(0)
        for places in itertools.product(*axes):
            voxel = voxels[tuple(index for index, _ in places)].item()
            value += Fraction(voxel) * math.prod(weight for _, weight in places)
        if voxels.dtype.kind in "iu":
            limits = np.iinfo(voxels.dtype)
            value = min(max(round(value), limits.min), limits.max)
        result[at] = value
    return result


def finer(voxels, directory, upsample, ratios, order, tolerance=0.0, downsample=None, **grid):
    array = as_zarr(voxels, directory / "a", **grid).resample(
        upsample=upsample, downsample=downsample, interp_order=order
    )
    return Case(array, interpolated(voxels, ratios, order), oracle_tolerance=tolerance)


def coarser(voxels, directory, factors, method, tolerance=0.0, **grid):
    array = as_zarr(voxels, directory / "a", **grid).downsample(factors, method=method)
    lead = (1,) * (voxels.ndim - len(factors))
    return Case(array, pooled(voxels, (*lead, *factors), method), oracle_tolerance=tolerance)


class TestLawsOfCoarser(ArrayContract):
    def case_mean_of_bytes(self, directory):
        voxels = sample_voxels((7, 9), "uint8")
        return coarser(voxels, directory, (2, 2), "mean", voxel_size=(9.8, 25), offset=(-4.9, 0))

    def case_mean_of_signed(self, directory):
        return coarser(sample_voxels((4, 5, 9), "int16"), directory, (1, 2, 3), "mean")

    def case_mean_of_large_integers(self, directory):
        voxels = sample_voxels((6, 6), "uint64")
        return coarser(voxels, directory, (2, 3), "mean", kind="image")

    def case_mean_of_floats_with_time_and_channels(self, directory):
        voxels = sample_voxels((2, 3, 4, 7), "float32")
        return coarser(voxels, directory, (2, 3), "mean", 1e-7, axes="tcyx", voxel_size=(0.7, 0.7))

    def case_mean_of_doubles(self, directory):
        return coarser(sample_voxels((6, 6), "float64"), directory, (3, 3), "mean", 1e-15)

    def case_mode_of_labels(self, directory):
        voxels = sample_voxels((9, 8), "uint64") % 3 + (2**64 - 5)
        return coarser(voxels, directory, (3, 2), "mode")

    def case_mode_of_a_mask(self, directory):
        return coarser(sample_voxels((8, 8), "bool"), directory, (2, 4), "mode")

    def case_mode_of_signed_volume(self, directory):
        voxels = sample_voxels((5, 6, 7), "int8") % 4 - 2
        return coarser(voxels, directory, (2, 2, 2), "mode")

    def case_min(self, directory):
        return coarser(sample_voxels((6, 7), "int32"), directory, (2, 3), "min")

    def case_max(self, directory):
        return coarser(sample_voxels((6, 7), "float32"), directory, (3, 2), "max")

    def case_median_of_even_cells(self, directory):
        return coarser(sample_voxels((6, 8), "uint16"), directory, (2, 2), "median")

    def case_median_of_floats(self, directory):
        return coarser(sample_voxels((6, 8), "float64"), directory, (2, 3), "median", 1e-15)

    def case_stride(self, directory):
        return coarser(sample_voxels((7, 7), "uint64"), directory, (3, 2), "stride")

    def case_by_voxel_size(self, directory):
        voxels = sample_voxels((4, 9), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7), units="nm")
        return Case(source.resample(voxel_size=(19.6, 2.1)), pooled(voxels, (2, 3), "mean"))


class TestLawsOfFiner(ArrayContract):
    def case_nearest(self, directory):
        voxels = sample_voxels((4, 5), "uint64")
        return finer(voxels, directory, (2, 3), (HALF, THIRD), 0, voxel_size=(9.8, 25))

    def case_nearest_mask(self, directory):
        return finer(sample_voxels((4, 5), "bool"), directory, (3, 1), (THIRD, Fraction(1)), 0)

    def case_linear_bytes(self, directory):
        voxels = sample_voxels((4, 5), "uint8")
        return finer(voxels, directory, (2, 4), (HALF, Fraction(1, 4)), 1, offset=(-3, 0.7))

    def case_linear_volume(self, directory):
        voxels = sample_voxels((3, 2, 4), "int16")
        return finer(voxels, directory, (2, 1, 2), (HALF, Fraction(1), HALF), 1)

    def case_linear_floats_by_thirds(self, directory):
        voxels = sample_voxels((4, 5), "float64")
        return finer(voxels, directory, (3, 5), (THIRD, Fraction(1, 5)), 1, 1e-14)

    def case_linear_by_three_halves(self, directory):
        voxels = sample_voxels((5, 6), "float32")
        ratios = (TWO_THIRDS, Fraction(1))
        return finer(voxels, directory, (3, 1), ratios, 1, 1e-6, downsample=(2, 1))

    def case_cubic_bytes_are_clipped(self, directory):
        voxels = sample_voxels((5, 6), "uint8") // 128 * 255
        return finer(voxels, directory, (2, 2), (HALF, HALF), 3)

    def case_cubic_signed_at_the_limits(self, directory):
        voxels = np.where(sample_voxels((5, 6), "bool"), 2**15 - 1, -(2**15)).astype("int16")
        return finer(voxels, directory, (2, 4), (HALF, Fraction(1, 4)), 3)

    def case_cubic_floats_with_time_and_channels(self, directory):
        voxels = sample_voxels((2, 2, 4, 3), "float64")
        ratios = (Fraction(1), Fraction(1), THIRD, HALF)
        return finer(voxels, directory, (3, 2), ratios, 3, 1e-14, axes="tcyx")

    def case_cubic_line_of_one_voxel(self, directory):
        return finer(sample_voxels((1, 4), "float64"), directory, (3, 2), (THIRD, HALF), 3, 1e-14)

    def case_by_voxel_size(self, directory):
        voxels = sample_voxels((4, 5), "float64")
        source = as_zarr(voxels, directory / "a", voxel_size=(10, 0.7), kind="image")
        array = source.resample(voxel_size=("10/3", 0.35), interp_order=1)
        expected = interpolated(voxels, (THIRD, HALF), 1)
        return Case(array, expected, oracle_tolerance=1e-14)


class TestLawsOfCoarserAndFiner(ArrayContract):
    def case_image(self, directory):
        voxels = sample_voxels((6, 5), "float64")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 25), offset=(1, -2))
        array = source.resample(downsample=(2, 1), upsample=(1, 2), interp_order=3)
        expected = interpolated(pooled(voxels, (2, 1), "mean"), (Fraction(1), HALF), 3)
        return Case(array, expected, oracle_tolerance=1e-14)

    def case_labels(self, directory):
        voxels = sample_voxels((3, 7, 4), "uint32") % 5
        source = as_zarr(voxels, directory / "a", voxel_size=(40, 4, 4))
        array = source.resample(voxel_size=(20, 8, 4))
        expected = interpolated(pooled(voxels, (1, 2, 1), "mode"), (HALF, 1, 1), 0)
        return Case(array, expected)

    def case_nothing_changes(self, directory):
        voxels = sample_voxels((3, 4), "uint8")
        return Case(as_zarr(voxels, directory / "a").resample(voxel_size=(1, 1)), voxels)


def grid(shape=(6, 9), dtype="uint8", **fields):
    return from_numpy(sample_voxels(shape, dtype), voxel_size=(9.8, 4), offset=(-4.9, 2), **fields)


def test_the_voxel_size_is_exact_and_the_corner_stays():
    array = grid(units="nm").resample(downsample=(2, 1), upsample=(1, 3))
    assert array.spec.voxel_size == Coordinate(19.6, "4/3")
    assert array.spec.offset == Coordinate(-4.9, 2)
    assert array.shape == (3, 27)
    assert array.units == ("nm", "nm")
    assert array.dtype == "uint8"


def test_part_voxels_at_the_end_are_dropped():
    assert grid((7, 11)).downsample((2, 4)).shape == (3, 2)
    assert grid((7, 11)).downsample((2, 4)).spec.roi.end == Coordinate(-4.9 + 58.8, 34)
    assert grid((5, 5)).resample(downsample=(2, 2), upsample=(3, 3)).shape == (7, 7)


def test_the_first_corner_of_every_cell_stays_in_the_world():
    source = grid()
    array = source.downsample((2, 3), method="stride")
    for at in np.ndindex(array.shape):
        corner = array.spec.offset + array.spec.voxel_size * at
        index = (corner - source.spec.offset) / source.spec.voxel_size
        assert array[at] == source[tuple(int(i) for i in index)]


def test_integers_are_rounded_half_to_even():
    source = from_numpy(np.array([[0, 1, 1, 2, 2, 3, 254, 255]], "uint8"))
    assert source.downsample((1, 2)).read().tolist() == [[0, 2, 2, 254]]
    source = from_numpy(np.array([[-1, 0, -2, -1, -3, -2]], "int16"))
    assert source.downsample((1, 2)).read().tolist() == [[0, -2, -2]]
    source = from_numpy(np.array([[0, 2]], "uint8"))
    assert source.upsample((1, 2)).read().tolist() == [[0, 0, 2, 2]]  # 0, 0.5, 1.5, 2


def test_linear_upsampling_is_scipy_s():
    voxels = sample_voxels((5, 7), "float64")
    expected = scipy.ndimage.zoom(voxels, (2, 3), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(from_numpy(voxels).upsample((2, 3)), expected, atol=1e-11)


def test_images_default_to_mean_and_linear():
    source = grid((4, 4), "float64")
    np.testing.assert_array_equal(
        source.downsample((2, 2)), source.downsample((2, 2), method="mean")
    )
    np.testing.assert_array_equal(source.upsample((2, 2)), source.upsample((2, 2), interp_order=1))


@pytest.mark.parametrize("dtype", ["uint32", "int64", "bool"])
def test_labels_and_masks_default_to_mode_and_nearest(dtype):
    source = grid((4, 4), dtype)
    np.testing.assert_array_equal(
        source.downsample((2, 2)), source.downsample((2, 2), method="mode")
    )
    np.testing.assert_array_equal(source.upsample((2, 2)), source.upsample((2, 2), interp_order=0))


def test_only_the_cells_asked_for_are_read(watched):
    source = watched(grid((60, 90)))
    ResampledArrayConfig(source_array_config=source, downsample=(2, 3)).array()[4:6, 10:11]
    assert source.boxes == [Box((8, 30), (4, 3))]


def test_only_the_halo_is_read(watched):
    source = watched(grid((60, 90)))
    finer = ResampledArrayConfig(source_array_config=source, upsample=(2, 1), interp_order=3)
    finer.array()[40:42, 10:11]
    # centres at 19.75 and 20.25: voxels 18 to 21, and 19 to 22
    assert source.boxes == [Box((18, 10), (5, 1))]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"downsample": (2, 2), "voxel_size": (8, 8)},
        {"upsample": (2, 2), "voxel_size": (8, 8)},
    ],
)
def test_factors_or_a_voxel_size_are_needed(fields):
    with pytest.raises(ConfigError, match="factors or a voxel size, and not both"):
        grid().resample(**fields)


@pytest.mark.parametrize("key", ["downsample", "upsample"])
@pytest.mark.parametrize("factors", [(0, 1), (-2, 1), (2.0, 1), (True, 1), ("2", 1), ()])
def test_factors_are_integers_of_at_least_1(key, factors):
    with pytest.raises(ConfigError, match="integers of at least 1"):
        grid().resample(**{key: factors})


def test_numpy_integers_are_factors():
    array = grid().downsample(np.array([2, 3]))
    assert array.config == grid_config(array, (2, 3))
    assert array.shape == (3, 3)


def grid_config(array, factors):
    return ResampledArrayConfig(
        source_array_config=array.config.source_array_config, downsample=factors
    )


@pytest.mark.parametrize("voxel_size", [(0, 4), (9.8, -4)])
def test_a_voxel_size_is_positive(voxel_size):
    with pytest.raises(ConfigError, match="voxel size is not positive") as error:
        grid().resample(voxel_size=voxel_size)
    assert error.value.key == ("voxel_size",)


@pytest.mark.parametrize(
    ("key", "value"), [("downsample", (2,)), ("upsample", (2, 2, 2)), ("voxel_size", (8, 8, 8))]
)
def test_there_is_one_number_per_spatial_axis(key, value):
    with pytest.raises(SpecError, match=f"{key} does not fit the axes") as error:
        grid().resample(**{key: value})
    assert error.value.key == (key,)
    assert error.value.expected == "2, one per spatial axis y x"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"downsample": (3, 1), "upsample": (2, 1)}, "downsample"),
        ({"voxel_size": (9.8, 10)}, "voxel_size"),
    ],
)
def test_voxels_are_not_joined_in_parts(fields, key):
    with pytest.raises(SpecError, match="cannot be joined in parts") as error:
        grid().resample(**fields)
    assert error.value.key == (key,)


def test_something_must_be_left():
    with pytest.raises(SpecError, match="nothing is left") as error:
        grid((6, 9)).downsample((7, 1))
    assert error.value.got == "(6, 9) voxels in cells of (7, 1)"


@pytest.mark.parametrize("dtype", ["uint32", "bool"])
@pytest.mark.parametrize("method", ["mean", "median"])
def test_methods_that_invent_ids_are_refused(dtype, method):
    with pytest.raises(SpecError, match=f"{method} would invent ids") as error:
        grid(dtype=dtype).downsample((2, 2), method=method)
    assert error.value.key == ("method",)
    assert "kind: image" in error.value.hint


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(
    ("dtype", "kind"), [("uint64", "labels"), ("bool", "mask"), ("bool", "image")]
)
def test_interpolation_that_invents_values_is_refused(order, dtype, kind):
    with pytest.raises(SpecError, match="interpolation would invent values") as error:
        grid(dtype=dtype, kind=kind).upsample((2, 2), interp_order=order)
    assert error.value.key == ("interp_order",)


@pytest.mark.parametrize(("field", "value"), [("method", "average"), ("interp_order", 2)])
def test_unknown_choices_are_refused(field, value):
    with pytest.raises(ConfigError, match="not one of the choices") as error:
        grid().resample(upsample=(2, 2), **{field: value})
    assert error.value.key == (field,)
