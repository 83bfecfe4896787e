import math
import multiprocessing
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like.kernels import _pool_numpy as reference
from dacapo_like.kernels.pool import Method, pool

pytestmark = pytest.mark.slow  # the module takes over ten seconds

METHODS = get_args(Method)
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">u8"]
FLOATS = ["f2", "f4", "f8", ">f4"]


def middle(values):
    low, high = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
    return round(Fraction(low + high, 2))  # Fractions round half to even


def most_frequent(values):
    counts = Counter(values)
    return min(value for value, count in counts.items() if count == max(counts.values()))


# What becomes of a cell, its voxels in C order, in Python's unbounded integers.
EXACT = {
    "mean": lambda cell: round(Fraction(sum(cell), len(cell))),
    "mode": most_frequent,
    "min": min,
    "max": max,
    "median": middle,
    "stride": lambda cell: cell[0],
}


def per_cell(data, factors, reduce):
    shape = tuple(n // f for n, f in zip(data.shape, factors, strict=True))
    result = np.empty(shape, data.dtype)
    for index in np.ndindex(*shape):
        box = tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))
        result[index] = reduce(data[box].ravel().tolist())
    return result


def as_cells(data, factors):
    """The array with the voxels of each cell along a new last axis, in C order."""
    pairs = [n for size, f in zip(data.shape, factors, strict=True) for n in (size // f, f)]
    outer, inner = range(0, len(pairs), 2), range(1, len(pairs), 2)
    shape = [*pairs[::2], math.prod(factors)]
    return data.reshape(pairs).transpose(*outer, *inner).reshape(shape)


@st.composite
def cases(draw, dtypes, max_factor=3):
    factors = draw(st.lists(st.integers(1, max_factor), min_size=1, max_size=3).map(tuple))
    counts = [draw(st.integers(0, 3)) for _ in factors]
    shape = tuple(n * f for n, f in zip(counts, factors, strict=True))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    elements = None
    if dtype.kind in "iu":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        # few distinct values, so that modes tie; the limits, so that sums overflow
        edges = st.sampled_from([low, low + 1, high - 1, high, 0, 3, 4])
        elements = edges | st.integers(low, high)
    elif dtype.kind == "f":
        few = st.sampled_from([0.0, -0.0, 1.0, 2.0, math.nan, math.inf, -math.inf])
        elements = few | hnp.from_dtype(dtype.newbyteorder("="))
    return draw(hnp.arrays(dtype, shape, elements=elements, fill=st.nothing())), factors


def bits(array):
    """The bytes of an array, where all NaNs are the same."""
    array = np.array(array)
    if array.dtype.kind == "f":
        array[np.isnan(array)] = np.nan
    return array.tobytes()


@pytest.mark.parametrize("method", METHODS)
@given(cases([*INTEGERS, "?"]))
def test_integers_are_exact(method, case):
    data, factors = case
    result = pool(data, factors, method)
    assert result.dtype == data.dtype
    np.testing.assert_array_equal(result, per_cell(data, factors, EXACT[method]))


@pytest.mark.parametrize("dtype", ["i8", "u8"])
@pytest.mark.parametrize("factors", [(4, 5), (1, 6), (17, 1)])
def test_the_mean_of_64_bit_integers_is_exact_at_random(dtype, factors):
    limits = np.iinfo(dtype)
    shape = tuple(6 * f for f in factors)
    data = np.random.default_rng(1).integers(
        limits.min, limits.max, shape, dtype=dtype, endpoint=True
    )
    expected = per_cell(data, factors, EXACT["mean"])
    np.testing.assert_array_equal(pool(data, factors, "mean"), expected)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_at_either_limit_stays(dtype, method):
    for limit in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        data = np.full((6, 8), limit, dtype)
        np.testing.assert_array_equal(
            pool(data, (3, 4), method), np.full((2, 2), limit, dtype), strict=True
        )


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_at_either_limit_of_narrow_floats_stays(dtype, method):
    for limit in (np.finfo(dtype).min, np.finfo(dtype).max):
        data = np.full((3, 8), limit, dtype)
        np.testing.assert_array_equal(
            pool(data, (3, 4), method), np.full((1, 2), limit, dtype), strict=True
        )


def test_the_median_of_an_odd_number_of_float64_does_not_overflow():
    top = np.finfo(np.float64).max
    assert pool(np.array([top, top, -top]), (3,), "median").tolist() == [top]


def test_float_mean_adds_rows_first():
    cell = np.array([[1, 2.0**53], [-(2.0**53), 3]])
    assert pool(cell, (2, 2), "mean").item() == 0.75  # 1 is lost in 2**53
    assert pool(cell.T, (2, 2), "mean").item() == 0.75 + 0.25


def test_halves_round_to_even():
    cells = np.array([0, 1, 1, 2, 2, 3, -1, 0, -2, -1, -3, -2])
    expected = [0, 2, 2, 0, -2, -2]
    for dtype in ("i1", "i4", "i8"):
        assert pool(cells.astype(dtype), (2,), "mean").tolist() == expected
        assert pool(cells.astype(dtype), (2,), "median").tolist() == expected
    half = np.array([True, False, True, True])
    assert pool(half, (2,), "mean").tolist() == [False, True]
    assert pool(half, (2,), "median").tolist() == [False, True]


def test_mode_takes_the_smallest_of_equally_frequent_values_and_keeps_large_ids_apart():
    top = 2**64 - 1
    labels = np.array([9, 5, 9, 5, top, top - 1, top - 1, top], np.uint64)
    assert pool(labels, (4,), "mode").tolist() == [5, top - 1]


def test_mode_counts_nans_as_one_greatest_value_and_zeros_as_one():
    nan = math.nan
    cells = [[nan, nan, 2, 2], [nan, nan, nan, 2], [nan, 4, 3, 2], [nan] * 4, [1, 0.0, -0.0, 1]]
    data = np.array(cells, np.float32)
    data[0, 1] = -data[0, 1]  # another NaN, in its bits
    result = pool(data, (1, 4), "mode").ravel()
    np.testing.assert_array_equal(result, np.array([2, nan, 2, nan, 0], np.float32))
    assert not np.signbit(result[4])


@given(cases(FLOATS))
def test_float_min_and_max_are_numpys(case):
    data, factors = case
    cells = as_cells(data, factors)
    for method, reduce in {"min": np.min, "max": np.max}.items():
        result = pool(data, factors, method)
        assert result.dtype == data.dtype  # numpy's is in native byte order
        np.testing.assert_array_equal(result, reduce(cells, axis=-1))


@given(cases(FLOATS))
@pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")
def test_float_median_is_numpys_of_the_same_values_in_float64(case):
    data, factors = case
    cells = as_cells(data, factors).astype(np.float64)
    expected = np.median(cells, axis=-1) if cells.size else cells[..., 0]
    np.testing.assert_array_equal(
        pool(data, factors, "median"), expected.astype(data.dtype), strict=True
    )


@given(cases(FLOATS))
def test_float_mean_adds_in_c_order_in_float64(case):
    data, factors = case

    def reduce(cell):
        total = cell[0]
        for value in cell[1:]:
            total += value
        return total / len(cell)

    np.testing.assert_array_equal(
        pool(data, factors, "mean"), per_cell(data, factors, reduce), strict=True
    )


def test_float16_does_not_overflow_and_float32_is_rounded_once():
    data = np.full((64, 64), 60000, np.float16)
    assert pool(data, (64, 64), "mean").item() == data[0, 0]
    small = np.array([1, 2.0**-24, 2.0**-24, 2.0**-24], np.float32) * 4
    assert pool(small, (4,), "mean").item() == np.float32(1 + 3 * 2.0**-24)


@pytest.mark.parametrize("method", METHODS)
@given(case=cases([*INTEGERS, "?", *FLOATS]), draws=st.data())
def test_any_aligned_part_is_the_same_as_in_the_whole(method, case, draws):
    data, factors = case
    whole = pool(data, factors, method)
    starts = [draws.draw(st.integers(0, n)) for n in whole.shape]
    stops = [draws.draw(st.integers(a, n)) for a, n in zip(starts, whole.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    cells = tuple(slice(a * f, b * f) for a, b, f in zip(starts, stops, factors, strict=True))
    assert bits(pool(data[cells], factors, method)) == bits(whole[box])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "u2", "i8"])
def test_the_layout_in_memory_and_the_size_do_not_matter(method, dtype):
    spread = np.random.default_rng(2).standard_normal((6, 340, 400)) * 1e9
    data = np.exp2(spread / 1e8) if dtype[0] == "f" else spread.astype("i8")
    data = data.astype(dtype)
    factors = (2, 1, 1)  # over 2**18 cells: more than are done at once
    result = pool(data, factors, method)
    reversed_view = np.ascontiguousarray(data[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    for other in (np.asfortranarray(data), reversed_view):
        assert bits(pool(other, factors, method)) == bits(result)
    ends = [result[:, :1, :1], pool(data[:, :1, :1], factors, method)]
    assert bits(ends[0]) == bits(ends[1])
    low, high = np.minimum(data[::2], data[1::2]), np.maximum(data[::2], data[1::2])
    if method in {"min", "max", "mode", "stride"}:
        expected = {"min": low, "max": high, "mode": low, "stride": data[::2]}[method]
        np.testing.assert_array_equal(result, expected)
    else:
        assert ((low <= result) & (result <= high)).all()


@pytest.mark.parametrize("method", METHODS)
def test_cells_of_one_voxel_are_copied(method):
    data = np.array([-0.0, math.nan, 1e308, -math.inf])
    result = pool(data, (1,), method)
    assert result.tobytes() == data.tobytes()
    assert not np.shares_memory(result, data)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_contiguous_copies_and_out_may_be_strided(method):
    data = np.asfortranarray(np.random.default_rng(3).integers(0, 9, (4, 6, 8), dtype="i4"))
    result = pool(data, (2, 3, 1), method)
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, data)
    holder = np.full((8, 4, 4), -1, "i4")
    out = holder[:, ::2, 1::2].T
    assert pool(data, (2, 3, 1), method, out=out) is out
    np.testing.assert_array_equal(out, result)
    assert (holder[:, 1::2] == -1).all()


@pytest.mark.parametrize("method", METHODS)
def test_arrays_without_axes_are_copied(method):
    np.testing.assert_array_equal(pool(np.int16(7), (), method), np.array(7, "i2"), strict=True)


def test_stride_takes_every_dtype():
    data = np.arange(6).astype(complex)
    np.testing.assert_array_equal(pool(data, (3,), "stride"), data[::3], strict=True)


@pytest.mark.parametrize(("factor", "limit"), [(2, 12 * 2**20), (8, 4 * 2**20)])
@pytest.mark.parametrize("method", METHODS)
def test_memory_is_bounded(method, factor, limit):
    data = np.ones((128, 256, 256), np.uint8)
    pool(
        data[:factor, :factor, :factor], (factor,) * 3, method
    )  # what compiling needs is not meant
    tracemalloc.start()
    try:
        pool(data, (factor,) * 3, method)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit  # a full-size array of 64-bit values would be 64 MiB


@pytest.mark.parametrize(
    ("shape", "factors", "method", "match"),
    [
        ((4, 5), (2, 2), "mean", "not a multiple"),
        ((4, 4), (2,), "mean", "expected 2 of at least 1"),
        ((4, 4), (2, 0), "mean", "at least 1"),
        ((4, 4), (2, -2), "stride", "at least 1"),
        ((4, 4), (2, 2), "average", "unknown pooling method: got 'average'"),
        ((0, 4), (2**30, 2), "mean", r"2\*\*30"),
    ],
)
def test_what_does_not_fit_is_refused(shape, factors, method, match):
    with pytest.raises(ValueError, match=match):
        pool(np.zeros(shape, "u1"), factors, method)


def test_an_out_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="out does not fit"):
        pool(np.zeros((4, 4), "u1"), (2, 2), "min", out=np.zeros((2, 2), "u2"))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "stride"])
def test_dtypes_without_an_order_are_refused(method):
    with pytest.raises(TypeError, match="complex128"):
        pool(np.zeros(4, complex), (2,), method)


def test_fractional_factors_are_refused():
    with pytest.raises(TypeError):
        pool(np.zeros(4), (2.0,), "mean")


def exact_bits(array):
    """The bytes of an array, where all NaNs are the same but zeros are not."""
    return (
        np.where(array == array, array, np.nan).tobytes()
        if array.dtype.kind == "f"
        else array.tobytes()
    )


def by_reference(data, factors, method):
    out = np.empty([n // f for n, f in zip(data.shape, factors, strict=True)], data.dtype)
    reference.pool(data, tuple(factors), method, out)
    return out


@st.composite
def layouts(draw, data):
    """The same voxels elsewhere in memory: reversed, transposed, a part of more, every second one."""
    axes = draw(st.permutations(range(data.ndim)))
    steps = [draw(st.sampled_from([1, 1, -1, 2, -3])) for _ in axes]
    larger = np.zeros(
        [data.shape[a] * abs(s) + 1 for a, s in zip(axes, steps, strict=True)], data.dtype
    )
    cuts = []
    for a, step in zip(axes, steps, strict=True):
        last = data.shape[a] * abs(step)
        cuts.append(slice(1, None, step) if step > 0 else slice(last, 0, step))
    view = larger[tuple(cuts)]
    view[...] = data.transpose(axes)
    return view.transpose(np.argsort(axes))


@pytest.mark.parametrize("method", METHODS)
@given(case=cases([*INTEGERS, "?", *FLOATS], max_factor=4), draws=st.data())
def test_it_equals_the_reference_bit_for_bit_in_any_layout(method, case, draws):
    data, factors = case
    view = draws.draw(layouts(data))
    np.testing.assert_array_equal(view, data)
    out = draws.draw(
        layouts(np.empty([n // f for n, f in zip(data.shape, factors, strict=True)], data.dtype))
    )
    view.flags.writeable = draws.draw(st.booleans())
    expected = by_reference(data, factors, method)
    assert exact_bits(pool(view, factors, method, out=out)) == exact_bits(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "factors", [(2, 2, 2), (1, 2, 2), (2, 2, 1), (3, 1, 2), (5, 7, 2), (1, 1, 9), (8, 8, 8)]
)
@pytest.mark.parametrize("dtype", ["u1", "i8", "f4"])
def test_blocky_and_noisy_voxels_equal_the_reference(method, factors, dtype):
    rng = np.random.default_rng(4)
    shape = [f * n for f, n in zip(factors, (3, 4, 20), strict=True)]
    blocks = rng.integers(-2, 3, [-(-n // 3) for n in shape]).repeat(3, 0).repeat(3, 1).repeat(3, 2)
    noise = rng.integers(-100, 100, shape) * (rng.random(shape) < 0.3)
    data = (blocks[tuple(map(slice, shape))] + noise).astype(dtype)
    assert exact_bits(pool(data, factors, method)) == exact_bits(
        by_reference(data, factors, method)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("shape", "factors"),
    [
        ((2, 3, 4, 4, 6), (1, 3, 2, 4, 2)),
        ((2,) * 7, (2, 1, 2, 2, 1, 2, 2)),
        ((1, 1), (1, 1)),
        ((5, 1), (5, 1)),
    ],
)
def test_any_number_of_axes_is_pooled(method, shape, factors):
    data = np.random.default_rng(5).integers(0, 4, shape, dtype="u4")
    np.testing.assert_array_equal(
        pool(data, factors, method), by_reference(data, factors, method), strict=True
    )


LARGE = np.random.default_rng(6).integers(0, 3, (40, 384, 400), dtype="u1")


@pytest.mark.parametrize("method", ["mean", "mode", "median"])
@pytest.mark.parametrize(
    "view", [(slice(None),) * 3, (slice(None, None, -1), slice(2, 382), slice(4, 398))]
)
def test_threads_share_what_is_large(method, view):
    data = LARGE[view]
    factors = (2, 2, 2)
    expected = by_reference(data, factors, method)
    np.testing.assert_array_equal(pool(data, factors, method), expected)
    found = []
    thread = threading.Thread(target=lambda: found.append(pool(data, factors, method)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found[0], expected)


def mean_of_large():
    return pool(LARGE, (2, 2, 2), "mean")


def test_a_forked_process_pools_too():
    expected = mean_of_large()
    with multiprocessing.get_context("fork").Pool(1) as processes:
        np.testing.assert_array_equal(processes.apply_async(mean_of_large).get(60), expected)


def test_a_row_may_be_longer_than_what_is_done_at_once():
    data = np.arange(3 * 2**19, dtype="u4").reshape(1, -1)
    np.testing.assert_array_equal(pool(data, (1, 3), "median"), data[:, 1::3])
    np.testing.assert_array_equal(pool(data, (1, 3), "mean"), data[:, 1::3])


def test_importing_it_does_not_import_numba():
    code = "import dacapo_like.kernels.pool, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cells_may_have_more_voxels_than_short_sums_hold():
    for dtype, side in (("u1", 17), ("u1", 70), ("i2", 300), ("u4", 300)):
        highest = np.iinfo(dtype).max
        data = np.full((side, side), highest, dtype)
        data[0, 0] = 0
        exact = round(Fraction(int(highest) * (side**2 - 1), side**2))
        assert pool(data, (side, side), "mean").item() == exact
