import itertools
import math
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from dacapo_like import ResampledArrayConfig, Roi, dump, from_numpy, verify
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels

HALF, THIRD, TWO_THIRDS = Fraction(1, 2), Fraction(1, 3), Fraction(2, 3)
METHODS = ["mean", "mode", "min", "max", "median", "stride", "linear", "cubic", "spline"]


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


def overlaps(index, ratio, shift, n):
    """Voxels of one axis that any part of lies in a cell, and these parts."""
    start, stop = index * ratio + shift, (index + 1) * ratio + shift
    parts = [(i, min(stop, Fraction(i + 1)) - max(start, Fraction(i))) for i in range(n)]
    return [(i, part) for i, part in parts if part > 0]


def weighed(cell, method, dtype):
    """What (value, weight) pairs become, in exact arithmetic."""
    if method in ("min", "max", "stride"):
        return cell_value([value for value, _ in cell], method, dtype)
    if method == "mode":
        weights = Counter()
        for value, weight in cell:
            weights[value] += weight
        return min(weights, key=lambda value: (-weights[value], value))
    total = sum(weight for _, weight in cell)
    if method == "mean":
        value = sum(Fraction(value) * weight for value, weight in cell) / total
    else:
        below, value = Fraction(0), None
        for item, weight in sorted(cell):
            if value is not None:
                value = (value + Fraction(item)) / 2
                break
            below += weight
            if below > total / 2:
                value = Fraction(item)
                break
            if below == total / 2:
                value = Fraction(item)
    return round(value) if dtype.kind in "biu" else float(value)


def parted(voxels, ratios, method, shape=None, shift=None):
    """One cell after the other, which may take parts of voxels; `ratios` for every axis."""
    shape = shape or tuple(math.floor(n / r) for n, r in zip(voxels.shape, ratios, strict=True))
    shift = shift or [Fraction(0)] * voxels.ndim
    result = np.empty(shape, voxels.dtype)
    for at in np.ndindex(tuple(shape)):
        axes = [overlaps(*place) for place in zip(at, ratios, shift, voxels.shape, strict=True)]
        cell = [
            (voxels[tuple(i for i, _ in places)].item(), math.prod(part for _, part in places))
            for places in itertools.product(*axes)
        ]
        result[at] = weighed(cell, method, voxels.dtype)
    return result


def by_kernel(voxels, ratios, kernel, reach):
    """One axis after the other in exact arithmetic, the kernel as wide as the larger voxels, weights made to add up to 1."""
    values = np.vectorize(Fraction, otypes=[object])(voxels)
    for axis, (r, n) in enumerate(zip(ratios, voxels.shape, strict=True)):
        rows = []
        for o in range(math.floor(n / r)):
            x = (o + HALF) * r - HALF
            width = max(r, 1)
            voxels = range(math.floor(x - reach * width), math.ceil(x + reach * width) + 1)
            weights = [kernel((i - x) / width) for i in voxels]
            if kernel is tent:  # tilted so that the weighted mean place is the centre
                one, two = (
                    sum(w * (i - x) ** power for i, w in zip(voxels, weights, strict=True))
                    for power in (1, 2)
                )
                weights = [w * (two - one * (i - x)) for i, w in zip(voxels, weights, strict=True)]
            row = [Fraction(0)] * n
            for i, weight in zip(voxels, weights, strict=True):
                row[min(max(i, 0), n - 1)] += weight / sum(weights)
            rows.append(row)
        values = np.moveaxis(np.tensordot(np.array(rows), values, ([1], [axis])), 0, axis)
    return values


def tent(t):
    return max(1 - abs(t), Fraction(0))


class TestLawsOfParts(ArrayContract):
    def parts(self, voxels, directory, voxel_size, ratios, method, tolerance=0.0, **grid):
        array = as_zarr(voxels, directory / "a", voxel_size=(2, 3), **grid)
        array = array.resample(voxel_size=voxel_size, method=method)
        expected = parted(voxels, ratios, method)
        return Case(array, expected, oracle_tolerance=tolerance)

    def case_mean_of_bytes(self, directory):
        voxels = sample_voxels((9, 7), "uint8")
        ratios = (Fraction(5, 2), Fraction(4, 3))
        return self.parts(voxels, directory, (5, 4), ratios, "mean", offset=(-4.9, 0))

    def case_mean_of_floats_with_channels(self, directory):
        voxels = sample_voxels((2, 9, 7), "float32")
        ratios = (Fraction(1), Fraction(3, 2), Fraction(7, 3))
        return self.parts(voxels, directory, (3, 7), ratios, "mean", 1e-7, axes="cyx")

    def case_mode_of_labels(self, directory):
        voxels = sample_voxels((9, 8), "uint64") % 3 + (2**64 - 5)
        return self.parts(voxels, directory, (3, 5), (Fraction(3, 2), Fraction(5, 3)), "mode")

    def case_median(self, directory):
        voxels = sample_voxels((9, 8), "uint8")
        return self.parts(voxels, directory, (3, 4), (Fraction(3, 2), Fraction(4, 3)), "median")

    def case_min(self, directory):
        voxels = sample_voxels((9, 8), "int32")
        return self.parts(voxels, directory, (3, 4), (Fraction(3, 2), Fraction(4, 3)), "min")

    def case_max(self, directory):
        voxels = sample_voxels((9, 8), "float64")
        return self.parts(voxels, directory, (5, 7), (Fraction(5, 2), Fraction(7, 3)), "max")

    def case_stride(self, directory):
        voxels = sample_voxels((9, 8), "uint32")
        return self.parts(voxels, directory, (5, 4), (Fraction(5, 2), Fraction(4, 3)), "stride")

    def case_to_shape_both_ways(self, directory):
        voxels = sample_voxels((5, 4), "float64")
        array = as_zarr(voxels, directory / "a", voxel_size=(9.8, 25)).to_shape((3, 7))
        expected = interpolated(
            parted(voxels, (Fraction(5, 3), Fraction(1)), "mean"),
            (Fraction(1), Fraction(4, 7)),
            1,
        )
        return Case(array, expected, oracle_tolerance=1e-14)


class TestLawsOfKernels(ArrayContract):
    def case_linear_by_whole_numbers(self, directory):
        voxels = sample_voxels((9, 13), "float64")
        array = as_zarr(voxels, directory / "a").downsample((2, 3), method="linear")
        expected = by_kernel(voxels, (Fraction(2), Fraction(3)), tent, 1).astype(float)
        return Case(array, expected, oracle_tolerance=1e-14)

    def case_linear_by_parts(self, directory):
        voxels = sample_voxels((11, 12), "uint8")
        array = as_zarr(voxels, directory / "a").resample(voxel_size=(1.7, 2.4), method="linear")
        exact = by_kernel(voxels, (Fraction(17, 10), Fraction(12, 5)), tent, 1)
        expected = np.vectorize(round, otypes=["uint8"])(exact)
        return Case(array, expected)

    def case_cubic_by_parts(self, directory):
        voxels = sample_voxels((2, 11, 12), "float32")
        source = as_zarr(voxels, directory / "a", axes="tyx")
        array = source.resample(voxel_size=(2.5, "4/3"), method="cubic")
        ratios = (Fraction(5, 2), Fraction(4, 3))
        expected = [by_kernel(plane, ratios, cubic, 2).astype("float32") for plane in voxels]
        return Case(array, np.array(expected), oracle_tolerance=1e-6)

    def case_cubic_clipped(self, directory):
        voxels = sample_voxels((14, 9), "uint16") // 2**15 * (2**16 - 1)
        array = as_zarr(voxels, directory / "a").resample(
            downsample=(3, 1), upsample=(1, 2), method="cubic"
        )
        exact = by_kernel(voxels, (Fraction(3), HALF), cubic, 2)
        clipped = [min(max(round(value), 0), 2**16 - 1) for value in exact.ravel()]
        return Case(array, np.array(clipped, "uint16").reshape(exact.shape))

    def case_spline_up(self, directory):
        voxels = sample_voxels((7, 40), "float64")
        array = as_zarr(voxels, directory / "a").upsample((3, 2), method="spline")
        expected = scipy_spline(voxels, array.shape, (THIRD, HALF))
        return Case(array, expected, oracle_tolerance=1e-7)

    def case_spline_of_bytes_down_and_up(self, directory):
        voxels = sample_voxels((9, 64), "uint8")
        array = as_zarr(voxels, directory / "a").resample(voxel_size=(0.4, 2.5), method="spline")
        expected = np.rint(scipy_spline(voxels, array.shape, (0.4, 2.5))).clip(0, 255)
        return Case(array, expected.astype("uint8"), oracle_tolerance=1 / 255)  # halves


class TestLawsOfOtherGrids(ArrayContract):
    def like(self, directory, shape, axes=None, **grid):
        return as_zarr(np.zeros(shape, "uint8"), directory / "like", axes=axes, **grid)

    def case_mean_of_shifted_cells(self, directory):
        voxels = sample_voxels((2, 9, 8), "uint8")
        source = as_zarr(voxels, directory / "a", axes="cyx", voxel_size=(2, 3), offset=(10, -3))
        other = self.like(directory, (6, 7), voxel_size=(5, 3), offset=(5, 0))
        # Along y the centres are at 7.5, 12.5, … 32.5, the source is from 10 to 28; along x begin the voxels at its second.
        expected = np.full((2, 6, 7), 9, "uint8")
        ratios = (Fraction(1), Fraction(5, 2), Fraction(1))
        expected[:, 1:5] = parted(voxels[:, :, 1:], ratios, "mean", (2, 4, 7))
        return Case(source.resample_like(other, fill=9), expected)

    def case_cells_that_are_cut_off(self, directory):
        voxels = sample_voxels((5, 6), "float64")
        source = as_zarr(voxels, directory / "a", voxel_size=(1, 1))
        other = self.like(directory, (3, 3), voxel_size=(2, 3), offset=(-0.5, -1))
        # The last centre along x is at 6.5: outside.
        expected = np.zeros((3, 3))
        shift = (Fraction(-1, 2), Fraction(-1))
        expected[:, :2] = parted(voxels, (2, 3), "mean", (3, 2), shift)
        return Case(source.resample_like(other), expected, oracle_tolerance=1e-15)

    def case_labels_between_voxels(self, directory):
        voxels = sample_voxels((6, 7), "uint64")
        source = as_zarr(voxels, directory / "a", voxel_size=(4, 4), offset=(-2, 1))
        other = self.like(directory, (9, 12), voxel_size=(3, 2), offset=(-4, 2))
        rows = [math.floor((Fraction(-4) + (o + HALF) * 3 + 2) / 4) for o in range(9)]
        columns = [math.floor((Fraction(2) + (o + HALF) * 2 - 1) / 4) for o in range(12)]
        expected = np.full((9, 12), 2**64 - 1, "uint64")
        for y, x in np.ndindex(9, 12):
            if 0 <= rows[y] < 6 and 0 <= columns[x] < 7:
                expected[y, x] = voxels[rows[y], columns[x]]
        return Case(source.resample_like(other, fill=2**64 - 1), expected)

    def case_units_are_converted(self, directory):
        voxels = sample_voxels((4, 6), "float64")
        source = as_zarr(voxels, directory / "a", voxel_size=(500, 250), units="nm")
        other = self.like(directory, (2, 12), voxel_size=(1, 0.125), units="um")
        expected = interpolated(pooled(voxels, (2, 1), "mean"), (Fraction(1), HALF), 1)
        return Case(source.resample_like(other), expected, oracle_tolerance=1e-14)

    def case_linear_on_a_shifted_grid(self, directory):
        voxels = sample_voxels((2, 5, 6), "int16")
        source = as_zarr(voxels, directory / "a", axes="tyx", voxel_size=(1, 1))
        other = self.like(directory, (5, 8), voxel_size=(1, 0.5), offset=(0.5, 1))
        rows = (voxels.astype(int) + np.concatenate([voxels[:, 1:], voxels[:, -1:]], 1)) / 2
        columns = np.stack(
            [np.take(rows, [min(max(i + t, 0), 5) for i in range(1, 5)], 2) for t in (-1, 0, 1)]
        )
        even, odd = 0.25 * columns[0] + 0.75 * columns[1], 0.75 * columns[1] + 0.25 * columns[2]
        expected = np.stack([even, odd], -1).reshape(2, 5, 8)
        expected = np.rint(expected).astype("int16")
        expected[:, 4] = -1  # its centres are at the end of the source: outside
        return Case(source.resample_like(other, fill=-1, interp_order=1), expected)

    def case_nothing_in_common(self, directory):
        source = as_zarr(sample_voxels((4, 4), "uint8"), directory / "a")
        other = self.like(directory, (3, 3), offset=(10, 0))
        return Case(source.resample_like(other, fill=5), np.full((3, 3), 5, "uint8"))

    def case_spline_on_another_grid(self, directory):
        voxels = sample_voxels((6, 30), "float32")
        source = as_zarr(voxels, directory / "a", voxel_size=(2, 2))
        other = self.like(directory, (12, 20), voxel_size=(1.3, 2.9), offset=(1, -0.7))
        array = source.resample_like(other, method="spline", fill=-7.5)
        expected = scipy_spline(voxels, (12, 20), (0.65, 1.45), (0.5, -0.35)).astype("float32")
        expected[8:] = -7.5
        return Case(array, expected, oracle_tolerance=1e-6)


def scipy_spline(voxels, shape, ratios, shift=(0, 0)):
    """scipy's spline of the whole array, smoothed before where voxels get coarser."""
    centres = [
        (np.arange(n) + 0.5) * float(r) - 0.5 + float(s)
        for n, r, s in zip(shape, ratios, shift, strict=True)
    ]
    sigmas = [max(float(r) - 1, 0) / 2 for r in ratios]
    smooth = scipy.ndimage.gaussian_filter(voxels.astype(float), sigmas, mode="mirror")
    return scipy.ndimage.map_coordinates(
        smooth, np.meshgrid(*centres, indexing="ij"), order=3, mode="mirror"
    )


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
    ("fields", "got"),
    [
        ({}, "none of them"),
        ({"downsample": (2, 2), "voxel_size": (8, 8)}, "factors and voxel_size"),
        ({"upsample": (2, 2), "shape": (8, 8)}, "factors and shape"),
        ({"shape": (2, 2), "voxel_size": (8, 8)}, "voxel_size and shape"),
        ({"shape": (2, 2), "like": grid()}, "shape and like"),
    ],
)
def test_one_grid_is_needed(fields, got):
    with pytest.raises(ConfigError, match="needs one grid") as error:
        grid().resample(**fields)
    assert error.value.got == got


@pytest.mark.parametrize("key", ["downsample", "upsample", "shape"])
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
    ("key", "value"),
    [("downsample", (2,)), ("upsample", (2, 2, 2)), ("voxel_size", (8, 8, 8)), ("shape", (8,))],
)
def test_there_is_one_number_per_spatial_axis(key, value):
    with pytest.raises(SpecError, match=f"{key} does not fit the axes") as error:
        grid().resample(**{key: value})
    assert error.value.key == (key,)
    assert error.value.expected == "2, one per spatial axis y x"


def test_something_must_be_left():
    with pytest.raises(SpecError, match="nothing is left") as error:
        grid((6, 9)).downsample((7, 1))
    assert error.value.got == "(6, 9) voxels in cells of (7, 1)"


@pytest.mark.parametrize("dtype", ["uint32", "bool"])
@pytest.mark.parametrize("method", ["mean", "median", "linear", "cubic", "spline"])
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


def test_a_mask_of_kind_image_is_not_interpolated():
    source = grid((4, 4), "bool", kind="image")
    assert source.upsample((2, 2)).dtype == bool
    np.testing.assert_array_equal(source.upsample((2, 1)), source.read().repeat(2, 0))
    with pytest.raises(SpecError, match="linear would invent values in bool") as error:
        source.downsample((2, 2), method="linear")
    assert error.value.key == ("method",)


# Closed forms


def world_of(spec, axis):
    """World position of voxel centres along a spatial axis."""
    centres = np.arange(spec.spatial_shape[axis]) + 0.5
    return float(spec.offset[axis]) + centres * float(spec.voxel_size[axis])


def ramp(shape, voxel_size, offset, **fields):
    """An array whose voxels are 2 y - 3 x, of their centres in the world."""
    spec = from_shape(shape, voxel_size=voxel_size, offset=offset)
    y, x = np.meshgrid(world_of(spec, 0), world_of(spec, 1), indexing="ij")
    return from_numpy(2 * y - 3 * x, voxel_size=voxel_size, offset=offset, **fields)


def assert_ramp(array, margin):
    """Voxels whose centres are further than so much from the ends of an axis are those of the ramp."""
    y, x = world_of(array.spec, 0), world_of(array.spec, 1)
    inner = np.ix_(
        *(
            np.flatnonzero((at >= low + gap) & (at <= high - gap))
            for at, low, high, gap in zip((y, x), *margin, strict=True)
        )
    )
    expected = (2 * y[:, None] - 3 * x)[inner]
    assert expected.size
    np.testing.assert_allclose(array.read()[inner], expected, rtol=0, atol=1e-6)


sizes = st.fractions("1/6", 1, max_denominator=30)


@settings(max_examples=60)
@given(size=st.tuples(sizes, sizes), offset=st.tuples(sizes, sizes))
def test_a_ramp_stays_itself_at_any_ratio_and_shift(size, offset):
    source = ramp((12, 14), (1, 2), (-3, 5))
    spec = from_shape((30, 30), voxel_size=size, offset=(-3 + offset[0], 5 + offset[1]))
    finer = source.resample_like(from_numpy(np.zeros((30, 30), "uint8"), **grid_of(spec)))
    region = ((-3, 5), (9, 33), (0.5, 1))
    assert_ramp(finer, region)
    assert_ramp(source.resample(voxel_size=size, interp_order=3), ((-3, 5), (9, 33), (1.5, 3)))
    coarser = source.resample(voxel_size=[1 + size[0], 2 + size[1]], method="linear")
    assert_ramp(coarser, ((-3, 5), (9, 33), (2, 3)))


def grid_of(spec):
    return {"voxel_size": spec.voxel_size, "offset": spec.offset}


@pytest.mark.parametrize("method", ["mean", "linear", "cubic", "spline"])
def test_levels_of_a_pyramid_align_in_the_world(method):
    source = ramp((64, 96), (4, 2), (-3, 5))
    coarse = source.downsample((2, 2), method=method)
    coarser = coarse.downsample((2, 3), method=method)
    inside = ((-3, 5), (253, 197), (100, 60))
    assert_ramp(coarse, inside)
    assert_ramp(coarser, inside)
    assert_ramp(coarse.resample_like(source), inside)


@pytest.mark.parametrize("how", [{}, {"interp_order": 3}, {"method": "spline"}])
@pytest.mark.parametrize("size", [(0.5, 0.7), (1.3, 1), (2, 2.5)])
def test_the_centroid_of_a_blob_stays_where_it_is_in_the_world(how, size):
    spec = from_shape((50, 60), voxel_size=(1, 1), offset=(7, -3))
    y, x = np.meshgrid(world_of(spec, 0), world_of(spec, 1), indexing="ij")
    blob = np.exp(-((y - 31.3) ** 2 + (x - 26.8) ** 2) / (2 * 4**2))
    array = from_numpy(blob, **grid_of(spec)).resample(voxel_size=size, **how)
    voxels = array.read()
    mean = [
        (voxels.sum(1 - axis) * world_of(array.spec, axis)).sum() / voxels.sum() for axis in (0, 1)
    ]
    np.testing.assert_allclose(mean, [31.3, 26.8], atol=1e-3)


# scipy.ndimage


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("factors", [(2, 3), (4, 1)])
def test_finer_voxels_are_those_of_scipy_zoom(order, factors):
    voxels = sample_voxels((7, 9), "float64")
    got = from_numpy(voxels).upsample(factors, interp_order=order).read()
    expected = scipy.ndimage.zoom(voxels, factors, order=order, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.ptp(voxels))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("size", "offset"), [((0.6, 1.1), (0, 0)), ((0.9, 0.8), (2.3, -0.4))])
def test_the_spline_is_that_of_scipy(dtype, size, offset):
    voxels = sample_voxels((9, 50), dtype)
    like = from_numpy(np.zeros((6, 40), "uint8"), voxel_size=size, offset=offset)
    source = from_numpy(voxels, voxel_size=(1, 1))
    got = source.resample_like(like, method="spline").read()
    expected = scipy_spline(voxels, got.shape, size, offset)
    inside = [
        (o + (np.arange(n) + 0.5) * r >= 0) & (o + (np.arange(n) + 0.5) * r < m)
        for o, n, r, m in zip(offset, got.shape, size, voxels.shape, strict=True)
    ]
    expected = np.where(np.logical_and.outer(*inside), expected, 0)
    if dtype == "uint8":
        expected = np.rint(expected).clip(0, 255)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.ptp(voxels.astype(float)))


# Blocks


@st.composite
def regridded(draw, dtypes, methods, orders):
    """An array of any axes on a random grid, and a random box of it."""
    axes = draw(st.sampled_from(["yx", "zyx", "cyx", "tcyx"]))
    dims = sum(axis in "zyx" for axis in axes)
    shape = [draw(st.integers(1, 3)) for _ in axes[:-dims]]
    shape += [draw(st.integers(1, 12)) for _ in range(dims)]
    voxels = sample_voxels(shape, draw(st.sampled_from(dtypes)), draw(st.integers(0, 99)))
    size = [draw(st.fractions("1/3", 4, max_denominator=9)) for _ in range(dims)]
    source = from_numpy(voxels, axes=axes)
    how = {"method": draw(st.sampled_from(methods)), "interp_order": draw(st.sampled_from(orders))}
    if draw(st.booleans()):
        offset = [draw(st.fractions(-3, 5, max_denominator=6)) for _ in range(dims)]
        counts = [draw(st.integers(1, 12)) for _ in range(dims)]
        like = from_numpy(np.zeros(counts, "uint8"), voxel_size=size, offset=offset)
        array = source.resample_like(like, fill=draw(st.sampled_from([0, 1])), **how)
    else:
        size = [min(r, n) for r, n in zip(size, shape[-dims:], strict=True)]
        array = source.resample(voxel_size=size, **how)
    start = [draw(st.integers(0, n - 1)) for n in array.shape]
    stop = [draw(st.integers(a + 1, n)) for a, n in zip(start, array.shape, strict=True)]
    return source, array, Box(tuple(start), tuple(b - a for a, b in zip(start, stop, strict=True)))


@settings(max_examples=200)
@given(regridded(["uint8", "float32"], METHODS, [None, 0, 1, 3]))
def test_any_block_is_that_part_of_the_whole(drawn):
    _, array, box = drawn
    assert array.read_box(box).tobytes() == array.read()[box.slices].tobytes()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_whole_cells_are_the_same_beside_one_that_is_cut_off(method, dtype):
    source = from_numpy(sample_voxels((9, 8), dtype))
    like = from_numpy(np.zeros((5, 3), "uint8"), voxel_size=(2, 3), offset=(-1, 0))
    array = source.resample_like(like, method=method)
    whole = array.read()
    for y, x in np.ndindex(whole.shape):
        assert array[y : y + 1, x : x + 1].tobytes() == whole[y, x].tobytes()


@settings(max_examples=100)
@given(regridded(["uint64", "int32", "bool"], [None, "mode", "min", "max", "stride"], [None, 0]))
def test_labels_and_masks_never_gain_a_value(drawn):
    source, array, box = drawn
    block = array.read_box(box)
    assert block.dtype == source.dtype
    assert set(block.ravel().tolist()) <= set(source.read().ravel().tolist()) | {0, 1}


# What is read


def read_for(watched, box, **fields):
    source = watched(from_numpy(np.zeros((400, 300), "float32")))
    ResampledArrayConfig(source_array_config=source, **fields).array().read_box(box)
    return source.boxes


def test_only_the_cells_of_parts_are_read(watched):
    fields = {"voxel_size": (2.5, 1.5), "method": "mean"}
    # From 25 to 30, and from 15 to 16.5.
    assert read_for(watched, Box((10, 10), (2, 1)), **fields) == [Box((25, 15), (5, 2))]


@pytest.mark.parametrize(("method", "reach"), [("linear", 2), ("cubic", 4), ("spline", 2 + 14 + 2)])
def test_no_more_is_read_than_stretched_kernels_reach(watched, method, reach):
    ((start, _), (rows, columns)) = read_for(
        watched, Box((50, 9), (3, 1)), downsample=(2, 1), method=method
    )[0]
    # Centres at 100.5, 102.5 and 104.5.
    assert (start, rows) == (101 - reach, 4 + 2 * reach)
    assert columns == 1


def test_voxels_outside_are_not_read(watched):
    like = from_numpy(np.zeros((400, 300), "uint8"), offset=(100.5, -20))
    boxes = read_for(watched, Box((298, 0), (10, 30)), like=like.config, interp_order=0)
    # Centres from 399 on, of which the first is in the source.
    assert boxes == [Box((399, 0), (1, 10))]
    assert read_for(watched, Box((300, 0), (10, 30)), like=like.config) == []


def test_the_voxels_of_the_other_array_are_not_read(unreadable):
    other = unreadable(from_shape((3, 4), voxel_size=(2, 2), offset=(1, 1)))
    assert grid((8, 9)).resample_like(other).read().shape == (3, 4)


# Shapes and other grids


def test_to_shape_is_the_same_region_in_so_many_voxels():
    array = grid((6, 9)).to_shape((4, 27))
    assert array.shape == (4, 27)
    assert array.roi == grid((6, 9)).roi
    assert array.spec.voxel_size == Coordinate(14.7, "4/3")
    channels = from_numpy(np.zeros((2, 3, 6, 9)), axes="tcyx").to_shape((2, 3))
    assert channels.shape == (2, 3, 2, 3)


def test_a_grid_is_taken_as_it_is():
    other = from_numpy(
        np.zeros((2, 4, 5), "float32"),
        axes="cyx",
        voxel_size=(0.3, 0.2),
        offset=(0.1, -1),
        units="um",
    )
    source = grid((6, 9), "uint32", units="nm")
    array = source.resample_like(other)
    assert array.spec == source.spec.replace(
        shape=(4, 5), voxel_size=(0.3, 0.2), offset=(0.1, -1), units=("um", "um")
    )
    assert array.roi == other.roi


def test_methods_agree_with_the_config():
    other = grid((3, 3))
    array = grid().resample_like(other, fill=3, method="max", interp_order=0)
    assert array.config == ResampledArrayConfig(
        source_array_config=grid_source(array),
        like=array.config.like,
        fill=3,
        method="max",
        interp_order=0,
    )
    assert array.config.like is other.config


def grid_source(array):
    return array.config.source_array_config


def test_resample_takes_all_fields():
    other = grid((3, 3))
    array = grid().resample(like=other, method="max", fill=2)
    assert (array.config.method, array.config.fill) == ("max", 2)
    assert array.config.like is other.config


def test_an_empty_array_has_no_other_shape():
    with pytest.raises(SpecError, match="empty array has no voxels"):
        from_numpy(np.zeros((0, 3))).to_shape((2, 2))


def test_other_axes_are_refused():
    with pytest.raises(SpecError, match="different spatial axes") as error:
        grid().resample_like(from_numpy(np.zeros((2, 2)), axes="zy"))
    assert error.value.key == ("like",)


def test_other_directions_are_refused():
    spec = from_shape((4, 4), directions=((0, 1), (1, 0)))
    other = from_numpy(np.zeros((4, 4)), directions=spec.directions)
    with pytest.raises(SpecError, match="point in different directions") as error:
        grid().resample_like(other)
    assert error.value.key == ("like",)


@pytest.mark.parametrize(("dtype", "fill"), [("uint8", 256), ("uint8", 0.5), ("bool", 2)])
def test_a_fill_that_does_not_fit_is_refused(dtype, fill):
    with pytest.raises(ConfigError, match="dtype cannot hold") as error:
        grid(dtype=dtype).resample_like(grid(), fill=fill)
    assert error.value.key == ("fill",)


def test_nothing_is_filled_without_another_grid():
    with pytest.raises(ConfigError, match="nothing is filled") as error:
        grid().resample(downsample=(2, 2), fill=3)
    assert error.value.key == ("fill",)


def test_units_known_for_one_of_them_only_are_a_warning():
    config = grid(units="nm").resample_like(grid((6, 9))).config
    (problem,) = verify(config)
    assert (problem.code, problem.severity, problem.key) == ("DL402", "warning", "like")


def test_a_grid_that_lies_outside_is_a_warning():
    far = from_numpy(np.zeros((2, 2), "uint8"), offset=(1000, 0))
    (problem,) = verify(grid().resample_like(far).config)
    assert (problem.code, problem.severity, problem.key) == ("DL403", "warning", "like")
    assert verify(grid().resample_like(grid((3, 3))).config) == []


def test_a_region_of_another_grid_is_read_by_its_roi():
    source = ramp((12, 14), (1, 2), (-3, 5))
    other = from_numpy(np.zeros((8, 9), "uint8"), voxel_size=(0.5, 1), offset=(0, 10))
    array = source.resample_like(other)
    np.testing.assert_array_equal(array[Roi((1, 12), (2, 3))], array.read()[2:6, 2:5])


def test_numba_is_not_imported_to_verify(tmp_path):
    source = as_zarr(sample_voxels((8, 9), "uint8"), tmp_path / "a.zarr")
    document = tmp_path / "document.yaml"
    document.write_text(dump(source.resample(voxel_size=(1.5, 0.7), method="cubic").config))
    code = (
        "import sys, dacapo_like; assert not dacapo_like.verify(sys.argv[1]);"
        "dacapo_like.open_array(sys.argv[1]); sys.exit('numba' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(document)], check=True)
