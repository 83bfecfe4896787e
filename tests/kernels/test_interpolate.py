import itertools
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from dacapo_like.kernels.interpolate import interpolate, support

HALF = Fraction(1, 2)
RATIOS = [
    *(Fraction(1), HALF, Fraction(1, 3), Fraction(1, 4), Fraction(2), Fraction(3), Fraction(5, 2)),
    *(Fraction(2, 3), Fraction(98, 250), Fraction(7, 5), Fraction(10**9 + 7, 2 * 10**9 + 1)),
]
ratios = st.sampled_from(RATIOS) | st.fractions("1/5", 4, max_denominator=50)


def whole(data, ratio, order, shape=None, **options):
    """Interpolate from the array's corner, by default as far as whole voxels fit."""
    data = np.asarray(data)
    if shape is None:
        shape = [int(n / r) for n, r in zip(data.shape, ratio, strict=True)]
    zeros = [0] * data.ndim
    bounds = [(0, n) for n in data.shape]
    grid = {"start": zeros, "data_start": zeros, "bounds": bounds, "shape": shape}
    return interpolate(data, ratio=ratio, order=order, **grid, **options)


def keys(s):
    """Keys' cubic convolution kernel with a = -1/2, as he writes it."""
    s = abs(s)
    if s < 1:
        return Fraction(3, 2) * s**3 - Fraction(5, 2) * s**2 + 1
    return -HALF * s**3 + Fraction(5, 2) * s**2 - 4 * s + 2 if s < 2 else Fraction(0)


def tent(s):
    return max(1 - abs(s), Fraction(0))


def exact_weights(index, ratio, order, n):
    """Weight of each input voxel for one output voxel along an axis, edges replicated."""
    x = (index + HALF) * ratio - HALF
    weights = dict.fromkeys(range(n), Fraction(0))
    if order == 0:
        weights[min(max(math.floor(x + HALF), 0), n - 1)] = Fraction(1)
    else:
        kernel = tent if order == 1 else keys
        for voxel in range(math.floor(x) - 3, math.floor(x) + 5):
            weights[min(max(voxel, 0), n - 1)] += kernel(x - voxel)
    return [weights[voxel] for voxel in range(n)]


def exact(data, ratio, order, shape):
    """The sums over the product of the weights in rational numbers, voxel by voxel."""
    values = np.vectorize(Fraction, otypes=[object])(data)
    for axis, (r, length) in enumerate(zip(ratio, shape, strict=True)):
        rows = [exact_weights(k, r, order, data.shape[axis]) for k in range(length)]
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
@given(grids(max_dims=2))
def test_floats_agree_with_rational_arithmetic(order, grid):
    random, shape, ratio, length = grid
    data = random.standard_normal(shape)
    expected = exact(data, ratio, order, length).astype(np.float64)
    np.testing.assert_allclose(whole(data, ratio, order, length), expected, rtol=0, atol=1e-13)


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
@pytest.mark.parametrize("order", [0, 1, 3])
@given(grid=grids(), draws=st.data())
def test_any_block_from_its_support_alone_is_the_same_as_in_the_whole(dtype, order, grid, draws):
    random, shape, ratio, length = grid
    data = np.exp2(random.uniform(-14, 14, shape)).astype(dtype)
    ranges = [draw_range(draws, n) for n in length]
    bounds = [(0, n) for n in shape]
    needs = [
        support(a, b - a, r, order, bound)
        for (a, b), r, bound in zip(ranges, ratio, bounds, strict=True)
    ]
    block = interpolate(
        np.asfortranarray(data[tuple(slice(*need) for need in needs)]),
        ratio=ratio,
        start=[a for a, _ in ranges],
        data_start=[first for first, _ in needs],
        bounds=bounds,
        shape=[b - a for a, b in ranges],
        order=order,
    )
    expected = whole(data, ratio, order, length)[tuple(slice(*pair) for pair in ranges)]
    assert block.tobytes() == expected.tobytes()


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
    data = np.random.default_rng(7).standard_normal((5, 200, 300))
    ratio = [Fraction(2, 3), HALF, Fraction(3, 4)]
    result = whole(data, ratio, order)  # each plane is more than is done at once
    for z, y, x in itertools.product(range(7), (0, 190, 391), (0, 180, 391)):
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
        ({"order": 2}, "expected 0, 1 or 3"),
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
