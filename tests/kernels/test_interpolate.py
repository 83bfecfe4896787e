import itertools
import math
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from dacapo_like.kernels._interpolate_reference import reference
from dacapo_like.kernels.interpolate import interpolate, support

pytestmark = pytest.mark.slow  # the module takes over ten seconds

HALF = Fraction(1, 2)
RATIOS = [
    *(Fraction(1), HALF, Fraction(1, 3), Fraction(1, 4), Fraction(2), Fraction(3), Fraction(5, 2)),
    *(Fraction(2, 3), Fraction(98, 250), Fraction(7, 5), Fraction(10**9 + 7, 2 * 10**9 + 1)),
]
ORDERS = [0, 1, 3, "spline"]
ratios = st.sampled_from(RATIOS) | st.fractions("1/5", 4, max_denominator=50)
shifts = st.sampled_from([Fraction(0), HALF, -HALF]) | st.fractions(-2, 3, max_denominator=50)


def whole(data, ratio, order, shape=None, *, by=interpolate, **options):
    """Interpolate from the array's corner, by default as far as whole voxels fit."""
    data = np.asarray(data)
    if shape is None:
        shape = [int(n / r) for n, r in zip(data.shape, ratio, strict=True)]
    zeros = [0] * data.ndim
    bounds = [(0, n) for n in data.shape]
    grid = {"start": zeros, "data_start": zeros, "bounds": bounds, "shape": shape}
    return by(data, ratio=ratio, order=order, **grid, **options)


def keys(s):
    """Keys' cubic convolution kernel with a = -1/2, as he writes it."""
    s = abs(s)
    if s < 1:
        return Fraction(3, 2) * s**3 - Fraction(5, 2) * s**2 + 1
    return -HALF * s**3 + Fraction(5, 2) * s**2 - 4 * s + 2 if s < 2 else Fraction(0)


def tent(s):
    return max(1 - abs(s), Fraction(0))


def exact_weights(index, ratio, order, n, shift=Fraction(0)):
    """Weight of each input voxel for one output voxel along an axis, edges replicated."""
    x = (index + HALF) * ratio - HALF + shift
    weights = dict.fromkeys(range(n), Fraction(0))
    if order == 0:
        weights[min(max(math.floor(x + HALF), 0), n - 1)] = Fraction(1)
    else:
        kernel = tent if order == 1 else keys
        for voxel in range(math.floor(x) - 3, math.floor(x) + 5):
            weights[min(max(voxel, 0), n - 1)] += kernel(x - voxel)
    return [weights[voxel] for voxel in range(n)]


def exact(data, ratio, order, shape, shift=None):
    """The sums over the product of the weights in rational numbers, voxel by voxel."""
    values = np.vectorize(Fraction, otypes=[object])(data)
    shift = shift or [Fraction(0)] * data.ndim
    for axis, (r, length, s) in enumerate(zip(ratio, shape, shift, strict=True)):
        rows = [exact_weights(k, r, order, data.shape[axis], s) for k in range(length)]
        matrix = np.array(rows, object).reshape(length, data.shape[axis])
        values = np.moveaxis(np.tensordot(matrix, values, ([1], [axis])), 0, axis)
    return values


@st.composite
def grids(draw, max_dims=3, max_side=7):
    dims = draw(st.integers(1, max_dims))
    shape = tuple(draw(st.integers(1, max_side)) for _ in range(dims))
    ratio = [draw(ratios) for _ in range(dims)]
    seed = draw(st.integers(0, 2**32 - 1))
    length = [min(12, math.ceil(n / r) + 1) for n, r in zip(shape, ratio, strict=True)]
    return np.random.default_rng(seed), shape, ratio, length


@pytest.mark.parametrize("order", [0, 1, 3])
@given(grids(max_dims=2), st.data())
def test_floats_agree_with_rational_arithmetic(order, grid, draws):
    random, shape, ratio, length = grid
    shift = [draws.draw(shifts) for _ in shape]
    data = random.standard_normal(shape)
    expected = exact(data, ratio, order, length, shift).astype(np.float64)
    got = whole(data, ratio, order, length, shift=shift)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", ">i2"])
@given(grid=grids(max_dims=2, max_side=5))
def test_integers_are_rounded_and_clipped_rational_arithmetic(order, dtype, grid):
    random, shape, ratio, length = grid
    limits = np.iinfo(dtype)
    data = random.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
    result = whole(data, ratio, order, length)
    assert result.dtype == data.dtype
    for got, true in zip(result.ravel(), exact(data, ratio, order, length).ravel(), strict=True):
        clipped = min(max(true, limits.min), limits.max)
        assert abs(int(got) - clipped) <= HALF + Fraction(1, 10**5)  # float64's error at 2**32


@given(grids())
def test_linear_agrees_with_scipy(grid):
    random, shape, ratio, length = grid
    data = random.standard_normal(shape)
    centres = [(np.arange(n) + 0.5) * float(r) - 0.5 for n, r in zip(length, ratio, strict=True)]
    coordinates = np.meshgrid(*centres, indexing="ij")
    expected = ndimage.map_coordinates(data, coordinates, order=1, mode="nearest")
    np.testing.assert_allclose(whole(data, ratio, 1, length), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(("order", "degree", "margin"), [(1, 1, 1), (3, 1, 2), (3, 2, 2)])
def test_polynomials_are_reproduced_inside(ratio, order, degree, margin):
    n = 24
    result = whole(np.arange(n, dtype=float) ** degree, [ratio], order)
    x = [(o + HALF) * ratio - HALF for o in range(len(result))]
    inside = [k for k, centre in enumerate(x) if margin - 1 <= centre <= n - margin]
    assert len(inside) >= 4
    expected = [float(x[k] ** degree) for k in inside]
    np.testing.assert_allclose(result[inside], expected, rtol=1e-14, atol=1e-13)


def test_a_ramp_by_halves_is_exact_to_the_last_bit():
    ramp = np.arange(8.0)
    for order in (1, 3):
        np.testing.assert_array_equal(
            whole(ramp, [HALF], order)[3:-3], (np.arange(16) + 0.5)[3:-3] / 2 - 0.5
        )


def test_halves_round_to_even():
    assert whole(np.array([0, 2, 4, 6], "i4"), [HALF], 1).tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    assert whole(np.array([0, -2, -4], "i8"), [HALF], 1).tolist() == [0, 0, -2, -2, -4, -4]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "i8"])
def test_overshoot_is_clipped_and_never_wraps(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    result = whole(np.array([low] * 4 + [high] * 4, dtype), [Fraction(1, 4)], 3)
    assert result[:14].tolist() == [low] * 14
    assert result[-14:].tolist() == [high] * 14
    assert (np.diff(result[13:19].astype(float)) > 0).all()


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("dtype", ["i8", "u8", ">u8", "i4", "u1", "f4", "f2"])
@pytest.mark.parametrize("ratio", [HALF, Fraction(1, 4), Fraction(2)])
def test_a_constant_at_either_limit_stays(order, dtype, ratio):
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    for limit in (limits.min, limits.max):
        data = np.full((4, 6), limit, dtype)
        result = whole(data, [ratio] * 2, order)
        np.testing.assert_array_equal(result, np.full(result.shape, limit, dtype), strict=True)


def test_narrow_floats_are_computed_in_float64_and_cast_once():
    random = np.random.default_rng(5)
    for dtype in ("f2", "f4", ">f4"):
        data = random.standard_normal((5, 6)).astype(dtype)
        wide = whole(data.astype(np.float64), [HALF, Fraction(2, 3)], 3)
        result = whole(data, [HALF, Fraction(2, 3)], 3)
        np.testing.assert_array_equal(result, wide.astype(dtype), strict=True)


def test_a_cubic_overshoot_of_float16_is_infinite():
    data = np.array([-65504, 65504, 65504, -65504], np.float16)
    assert np.isinf(whole(data, [HALF], 3)).any()


@given(grids())
def test_nearest_copies_the_voxel_that_holds_the_centre(grid):
    random, shape, ratio, length = grid
    data = random.integers(0, 2**64, shape, dtype=np.uint64)
    picks = [
        [min(math.floor((o + HALF) * r), n - 1) for o in range(m)]
        for n, m, r in zip(shape, length, ratio, strict=True)
    ]
    np.testing.assert_array_equal(whole(data, ratio, 0, length), data[np.ix_(*picks)], strict=True)


@pytest.mark.parametrize("dtype", ["?", ">i8", "c8", "M8[s]", [("id", "u8"), ("w", "f2")]])
def test_nearest_takes_every_dtype(dtype):
    data = np.zeros(4, dtype)
    data[1:3] = np.ones((), dtype) if dtype != "M8[s]" else np.datetime64(1, "s")
    assert whole(data, [HALF], 0).tolist() == data.repeat(2).tolist()


def test_a_centre_on_a_face_belongs_to_the_voxel_after_it():
    assert whole(np.arange(6), [Fraction(2)], 0).tolist() == [1, 3, 5]


@pytest.mark.parametrize("order", [0, 1, 3])
def test_voxels_are_copied_where_all_centres_are_voxel_centres(order):
    data = np.array([[2**63 - 1, 5, -(2**63)], [2**53 + 1, 6, 7]]).repeat(3, 0)
    ratio = [Fraction(3), Fraction(1)]
    np.testing.assert_array_equal(whole(data, ratio, order), data[1::3], strict=True)
    assert support(4, 2, Fraction(1), order, (0, 9)) == (4, 6)
    assert support(1, 2, Fraction(3), order, (0, 9)) == (4, 8)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_taps_of_weight_zero_are_left_out(order, bad):
    data = np.array([1.0, bad, 2, 3, 4, 5, 6])
    result = whole(data, [Fraction(1, 3)], order)
    np.testing.assert_array_equal(result[1::3], data)
    reach = 3 * (1 if order == 1 else 2)
    touched = ~np.isfinite(result)
    assert touched[3:6].all()
    assert not touched[4 + reach :].any()


def draw_range(draws, stop):
    first = draws.draw(st.integers(0, stop - 1))
    return first, draws.draw(st.integers(first + 1, stop))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
@pytest.mark.parametrize("order", ORDERS)
@given(grid=grids(), stretch=st.booleans(), draws=st.data())
def test_any_block_from_its_support_alone_is_the_same_as_in_the_whole(
    dtype, order, grid, stretch, draws
):
    random, shape, ratio, length = grid
    data = np.exp2(random.uniform(-14, 14, shape)).astype(dtype)
    shift = [draws.draw(shifts) for _ in shape]
    ranges = [draw_range(draws, n) for n in length]
    bounds = [(0, n) for n in shape]
    needs = [
        support(a, b - a, r, order, bound, s, stretch=stretch)
        for (a, b), r, bound, s in zip(ranges, ratio, bounds, shift, strict=True)
    ]
    block = interpolate(
        np.asfortranarray(data[tuple(slice(*need) for need in needs)]),
        ratio=ratio,
        start=[a for a, _ in ranges],
        data_start=[first for first, _ in needs],
        bounds=bounds,
        shape=[b - a for a, b in ranges],
        order=order,
        shift=shift,
        stretch=stretch,
    )
    expected = whole(data, ratio, order, length, shift=shift, stretch=stretch)
    assert block.tobytes() == expected[tuple(slice(*pair) for pair in ranges)].tobytes()


@pytest.mark.parametrize("order", ORDERS)
@given(ratio=ratios, shift=shifts, n=st.integers(1, 60), stretch=st.booleans(), draws=st.data())
def test_support_is_the_least_range_that_is_enough(order, ratio, shift, n, stretch, draws):
    start, stop = draw_range(draws, math.ceil(n / ratio) + 2)
    first, end = support(start, stop - start, ratio, order, (0, n), shift, stretch=stretch)
    assert 0 <= first < end <= n
    grid = {"ratio": [ratio], "start": [start], "shape": [stop - start], "bounds": [(0, n)]}
    how = {"order": order, "shift": [shift], "stretch": stretch}
    interpolate(np.zeros(n)[first:end], data_start=[first], **how, **grid)
    for low, high in ((first + 1, end), (first, end - 1)):
        with pytest.raises(ValueError, match="data lacks voxels along axis 0"):
            interpolate(np.zeros(n)[low:high], data_start=[low], **how, **grid)


@pytest.mark.parametrize("order", [0, 1, 3])
@given(ratio=ratios, n=st.integers(1, 40), draws=st.data())
def test_support_holds_every_voxel_of_weight_and_none_that_is_not_asked_for(order, ratio, n, draws):
    start, stop = draw_range(draws, math.ceil(n / ratio) + 2)
    first, end = support(start, stop - start, ratio, order, (0, n))
    weights = [exact_weights(index, ratio, order, n) for index in range(start, stop)]
    used = [voxel for row in weights for voxel, weight in enumerate(row) if weight]
    assert 0 <= first <= min(used) <= max(used) < end <= n
    grid = {"ratio": [ratio], "start": [start], "shape": [stop - start], "bounds": [(0, n)]}
    for low, high in ((first + 1, end), (first, end - 1)):
        with pytest.raises(ValueError, match="data lacks voxels along axis 0"):
            interpolate(np.zeros(n)[low:high], data_start=[low], order=order, **grid)


def test_support_is_exact_far_from_the_origin():
    ratio = Fraction(10**18 + 9, 10**18)  # in float64 it is 1
    index = 10**20
    x = (index + HALF) * ratio - HALF
    assert support(index, 1, ratio, 1, (0, 10**30)) == (math.floor(x), math.floor(x) + 2)
    assert support(np.int64(2**62), 1, HALF, 0, (0, 2**62)) == (2**61, 2**61 + 1)


def test_support_of_nothing_is_empty_and_never_leaves_the_array():
    assert support(5, 0, HALF, 3, (0, 9)) == (0, 0)
    assert support(-50, 10, HALF, 3, (0, 9)) == (0, 1)
    assert support(100, 10, HALF, 3, (0, 9)) == (8, 9)
    with pytest.raises(ValueError, match="empty input"):
        support(0, 1, HALF, 1, (0, 0))


def test_only_the_border_of_the_array_is_replicated():
    data = np.arange(10.0)
    grid = {"ratio": [HALF], "start": [8], "shape": [2], "bounds": [(0, 10)], "order": 1}
    assert interpolate(data[3:6], data_start=[3], **grid).tolist() == [3.75, 4.25]
    assert whole(data, [HALF], 1)[[0, -1]].tolist() == [0, 9]


@pytest.mark.parametrize("order", [0, 1, 3])
def test_results_are_contiguous_copies_and_out_may_be_strided(order):
    data = np.asfortranarray(np.random.default_rng(6).integers(0, 99, (3, 4), dtype="u2"))
    for ratio in ([HALF, Fraction(1)], [Fraction(1), Fraction(1)]):
        result = whole(data, ratio, order)
        assert result.flags.c_contiguous
        assert not np.shares_memory(result, data)
        holder = np.full((8, result.shape[0]), 7, "u2")
        out = holder[::2].T
        assert whole(data, ratio, order, out=out) is out
        np.testing.assert_array_equal(out, result)
        assert (holder[1::2] == 7).all()


@pytest.mark.parametrize("order", [0, 1, 3])
def test_large_arrays_are_the_same_as_their_parts(order):
    data = np.random.default_rng(7).standard_normal((5, 200, 1100), np.float32)
    ratio = [Fraction(2, 3), HALF, Fraction(1, 4)]
    result = whole(data, ratio, order)  # more than one thread takes, rows longer than a tile
    for z, y, x in itertools.product(range(7), (0, 190, 391), (0, 180, 4090, 4391)):
        start = [z, y, x]
        part = interpolate(
            data,
            ratio=ratio,
            start=start,
            data_start=[0] * 3,
            bounds=[(0, n) for n in data.shape],
            shape=[1, 9, 9],
            order=order,
        )
        expected = result[tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))]
        assert part.tobytes() == expected.tobytes()


def test_axes_are_blended_from_the_last_to_the_first():
    data = np.random.default_rng(8).standard_normal((4, 5, 6))
    ratio = [HALF, Fraction(2, 3), Fraction(3, 5)]
    stepwise = data
    for axis in (2, 1, 0):
        alone = [r if i == axis else Fraction(1) for i, r in enumerate(ratio)]
        stepwise = whole(stepwise, alone, 3)
    assert whole(data, ratio, 3).tobytes() == stepwise.tobytes()


def test_memory_of_temporaries_is_bounded():
    data = np.ones((64, 64, 64), np.uint8)
    tracemalloc.start()
    try:
        whole(data, [HALF] * 3, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * 2**20  # the result is 2 MiB, the two stages before it 8 and 4 MiB


def test_empty_results_need_no_data():
    assert whole(np.zeros((0, 3)), [HALF, HALF], 1, [0, 6]).shape == (0, 6)


def test_arrays_without_axes_are_copied():
    np.testing.assert_array_equal(whole(np.array(3, "u1"), [], 1), np.array(3, "u1"), strict=True)


def test_bool_is_copied_but_not_interpolated():
    mask = np.array([True, False])
    assert whole(mask, [HALF], 0).tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="bool cannot be interpolated"):
        whole(mask, [HALF], 1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"order": 2}, "expected 0, 1, 3 or 'spline'"),
        ({"order": [1, 1]}, "one entry for each axis"),
        ({"shift": [HALF, HALF]}, "one entry for each axis"),
        ({"ratio": [Fraction(0)]}, "positive"),
        ({"ratio": [HALF, HALF]}, "one entry for each axis"),
        ({"shape": [2, 2]}, "one entry for each axis"),
        ({"out": np.zeros(9)}, "out does not fit"),
        ({"data_start": [1]}, "data lacks voxels along axis 0: got 1 to 5, expected 0 to 4"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    grid = {"ratio": [HALF], "start": [0], "data_start": [0], "bounds": [(0, 4)], "shape": [8]}
    with pytest.raises(ValueError, match=match):
        interpolate(np.zeros(4), **({"order": 1} | grid | change))


def test_complex_numbers_are_not_interpolated():
    with pytest.raises(TypeError, match="complex128"):
        whole(np.zeros(4, complex), [HALF], 1)


# The compiled loops


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "u2", "i2", "u4", "i8", "f2", ">f4"])
@pytest.mark.parametrize("order", [1, 3, "spline"])
@settings(max_examples=25)
@given(grid=grids(max_dims=5, max_side=4), stretch=st.booleans(), draws=st.data())
def test_compiled_loops_give_the_bits_of_the_reference(dtype, order, grid, stretch, draws):
    random, shape, ratio, length = grid
    how = {"order": order, "stretch": stretch, "shift": [draws.draw(shifts) for _ in shape]}
    if np.dtype(dtype).kind == "f":
        data = random.standard_normal(shape).astype(dtype)
        data[random.random(shape) < 0.1] = -0.0
    else:
        limits = np.iinfo(dtype)
        data = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    got = whole(data, ratio, shape=length, **how)
    assert got.tobytes() == whole(data, ratio, shape=length, by=reference, **how).tobytes()


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, "max"])
def test_compiled_loops_treat_what_is_not_finite_as_the_reference_does(order, dtype, bad):
    data = np.random.default_rng(9).standard_normal((7, 8, 9)).astype(dtype)
    data[3, 4, 5] = np.finfo(dtype).max if bad == "max" else bad
    for ratio in (Fraction(1, 3), HALF, Fraction(3, 4)):
        with np.errstate(over="ignore"):
            expected = whole(data, [ratio] * 3, order, by=reference)
        np.testing.assert_array_equal(whole(data, [ratio] * 3, order), expected)


@pytest.mark.parametrize("shape", [(90, 91, 92), (1400, 1500), (40, 2, 120, 90)])
def test_threads_give_the_bits_of_one(shape):
    data = np.random.default_rng(16).random(shape, np.float32)
    ratio = [HALF] * data.ndim
    with ThreadPoolExecutor(1) as other:  # not the main thread: its work is not divided
        alone = other.submit(whole, data, ratio, 1).result()
    assert whole(data, ratio, 1).tobytes() == alone.tobytes()


@pytest.mark.parametrize("order", [1, 3])
def test_blocks_that_may_not_be_written_are_read(order):
    data = np.random.default_rng(10).random((4, 4, 4), np.float32)
    expected = whole(data, [HALF] * 3, order)
    data.setflags(write=False)
    np.testing.assert_array_equal(whole(data, [HALF] * 3, order), expected)


def test_orders_may_differ_by_axis():
    data = np.random.default_rng(11).standard_normal((6, 7))
    ratio = [Fraction(2, 3), HALF]
    got = whole(data, ratio, [3, 1])
    rows = whole(data, [Fraction(1), HALF], 1)
    np.testing.assert_array_equal(got, whole(rows, [Fraction(2, 3), Fraction(1)], 3))


def test_a_grid_of_its_own_voxels_half_a_voxel_on_is_interpolated():
    data = np.array([0.0, 2, 6, 6])
    shifted = {"shift": [HALF]}
    assert whole(data, [Fraction(1)], 0, **shifted).tolist() == [2, 6, 6, 6]
    assert whole(data, [Fraction(1)], 1, **shifted).tolist() == [1, 4, 6, 6]
    assert whole(data, [Fraction(1)], 1, shift=[Fraction(1)]).tolist() == [2, 6, 6, 6]


# Stretched kernels


@given(ratio=st.fractions(1, 9, max_denominator=40), shift=shifts)
def test_a_stretched_tent_keeps_a_ramp(ratio, shift):
    n = 60
    result = whole(np.arange(n, dtype=float), [ratio], 1, shift=[shift], stretch=True)
    x = [(o + HALF) * ratio - HALF + shift for o in range(len(result))]
    inside = [k for k, centre in enumerate(x) if ratio <= centre <= n - 1 - ratio]
    assert len(inside) >= 3
    np.testing.assert_allclose(result[inside], [float(x[k]) for k in inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 3, "spline"])
@given(ratio=st.fractions(1, 9, max_denominator=40), shift=shifts)
def test_a_constant_stays_where_kernels_are_stretched(order, ratio, shift):
    result = whole(np.full(40, 7.25), [ratio], order, shift=[shift], stretch=True)
    np.testing.assert_allclose(result, 7.25, rtol=1e-14)


def test_a_voxel_weighs_as_much_as_the_kernel_says():
    spike = np.zeros(20)
    spike[10] = 8
    got = whole(spike, [Fraction(2)], 1, stretch=True)
    x = np.arange(10) * 2 + 0.5
    np.testing.assert_allclose(got, 8 * np.maximum(1 - np.abs(x - 10) / 2, 0) / 2, atol=1e-15)


@pytest.mark.parametrize(
    ("order", "ratio"),
    [
        (1, Fraction(2)),
        (1, Fraction(3)),
        (3, Fraction(2)),
        (3, Fraction(5, 2)),
        (3, Fraction(7, 3)),
    ],
)
def test_stretched_kernels_are_those_of_pillow(order, ratio):
    data = np.random.default_rng(12).random((84, 70), np.float32)
    how = {1: Image.Resampling.BILINEAR, 3: Image.Resampling.BICUBIC}[order]
    shape = [int(n / ratio) for n in data.shape]
    box = (0, 0, float(shape[1] * ratio), float(shape[0] * ratio))
    expected = np.asarray(Image.fromarray(data).resize(shape[::-1], how, box))
    got = whole(data, [ratio] * 2, order, stretch=True)
    margin = math.ceil(order)  # beyond the edge, Pillow leaves voxels out
    inside = (slice(margin, -margin),) * 2
    np.testing.assert_allclose(got[inside], expected[inside], rtol=0, atol=2e-6)


def test_a_kernel_that_is_not_stretched_by_anything_is_the_plain_one():
    data = np.random.default_rng(13).standard_normal(30)
    for ratio in (HALF, Fraction(1), Fraction(2, 3)):
        for order in (1, 3, "spline"):
            plain, wide = (whole(data, [ratio], order, stretch=how) for how in (False, True))
            assert plain.tobytes() == wide.tobytes()


# The B-spline


def spline_of_scipy(data, ratio, shift, length):
    """scipy's spline of the whole array, smoothed before where voxels get coarser."""
    sigmas = [float(max(r - 1, 0)) / 2 for r in ratio]
    smooth = ndimage.gaussian_filter(data, sigmas, mode="mirror")
    centres = [
        (np.arange(n) + 0.5) * float(r) - 0.5 + float(s)
        for n, r, s in zip(length, ratio, shift, strict=True)
    ]
    coordinates = np.meshgrid(*centres, indexing="ij")
    return ndimage.map_coordinates(smooth, coordinates, order=3, mode="mirror")


@settings(max_examples=40)
@given(grid=grids(max_side=20), draws=st.data())
def test_the_spline_is_scipy_s(grid, draws):
    random, shape, ratio, length = grid
    data = random.random(shape)
    shift = [draws.draw(shifts) for _ in shape]
    got = whole(data, ratio, "spline", length, shift=shift, stretch=True)
    # It is cut off where it falls below 1e-8 of the range along each axis.
    expected = spline_of_scipy(data, ratio, shift, length)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)


def test_the_spline_of_a_block_is_scipy_s_of_the_whole():
    data = np.random.default_rng(14).choice([0.0, 1.0], (80, 90))  # as rough as can be
    ratio, shift, length = [HALF, Fraction(5, 3)], [Fraction(0)] * 2, [160, 54]
    bounds = [(0, n) for n in data.shape]
    start, shape = [70, 20], [9, 8]
    needs = [
        support(a, n, r, "spline", b, stretch=True)
        for a, n, r, b in zip(start, shape, ratio, bounds, strict=True)
    ]
    assert all(stop - first < 60 for first, stop in needs)
    block = interpolate(
        data[tuple(slice(*need) for need in needs)],
        ratio=ratio,
        start=start,
        data_start=[first for first, _ in needs],
        bounds=bounds,
        shape=shape,
        order="spline",
        stretch=True,
    )
    expected = spline_of_scipy(data, ratio, shift, length)[70:79, 20:28]
    np.testing.assert_allclose(block, expected, rtol=0, atol=1e-7)


def test_the_spline_goes_through_the_voxels():
    data = np.random.default_rng(15).random(30)
    np.testing.assert_allclose(whole(data, [Fraction(1, 3)], "spline")[1::3], data, atol=1e-8)


def test_numba_is_imported_on_first_use():
    code = "import sys, dacapo_like.kernels.interpolate; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
