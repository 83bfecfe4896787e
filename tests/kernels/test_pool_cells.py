import math
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dacapo_like.kernels import pool as module
from dacapo_like.kernels._pool_cells import largest_weight, rational_cells
from dacapo_like.kernels._pool_parts import pool_parts
from dacapo_like.kernels.pool import Method, cell_support, pool, pool_cells

pytestmark = pytest.mark.slow  # the module takes over ten seconds

METHODS = get_args(Method)
RATIOS = st.builds(Fraction, st.integers(1, 12), st.integers(1, 5))
SHIFTS = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 6))


def covered(index, ratio, shift, n):
    """How much of each input voxel lies in a cell, by intersecting intervals."""
    begin, end = index * ratio + shift, (index + 1) * ratio + shift
    parts = {i: min(end, Fraction(i + 1)) - max(begin, Fraction(i)) for i in range(n)}
    return {i: part for i, part in parts.items() if part > 0}


def members(data, index, ratio, shift):
    """The values of a cell with their exact weights, in C order."""
    per_axis = [
        covered(o, r, s, n) for o, r, s, n in zip(index, ratio, shift, data.shape, strict=True)
    ]
    found = [((), Fraction(1))]
    for axis in per_axis:
        found = [((*at, i), weight * part) for at, weight in found for i, part in axis.items()]
    return [(data[at].item(), weight) for at, weight in found]


def most_weight(cell):
    totals = {}
    for value, weight in cell:
        totals[value] = totals.get(value, 0) + weight
    return min(value for value, total in totals.items() if total == max(totals.values()))


def half_of_weight(cell):
    whole, values = sum(weight for _, weight in cell), sorted({value for value, _ in cell})
    below = {v: sum(weight for value, weight in cell if value <= v) for v in values}
    low = next(v for v in values if 2 * below[v] >= whole)
    high = next(v for v in values if 2 * below[v] > whole)
    return round(Fraction(low + high, 2))


EXACT = {
    "mean": lambda cell: round(sum(v * w for v, w in cell) / sum(w for _, w in cell)),
    "mode": most_weight,
    "min": lambda cell: min(value for value, _ in cell),
    "max": lambda cell: max(value for value, _ in cell),
    "median": half_of_weight,
    "stride": lambda cell: cell[0][0],
}


@st.composite
def grids(draw, max_axes=3):
    """Shapes, ratios, shifts, and all cells that reach the array."""
    axes = draw(st.integers(1, max_axes))
    ratio = [draw(RATIOS) for _ in range(axes)]
    shift = [draw(SHIFTS) for _ in range(axes)]
    shape = [draw(st.integers(1, 9)) for _ in range(axes)]
    start = [math.floor(-s / r) for r, s in zip(ratio, shift, strict=True)]
    stop = [math.ceil((n - s) / r) for n, r, s in zip(shape, ratio, shift, strict=True)]
    lengths = [min(b - a, 6) for a, b in zip(start, stop, strict=True)]
    return shape, ratio, shift, start, lengths


def arrays(draw, shape, dtype):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if dtype.kind == "f":
        values = rng.choice([0.0, -0.0, 1.0, 2.0, np.nan, np.inf, -np.inf, 0.3, -1e4], shape)
        return np.where(rng.random(shape) < 0.5, rng.standard_normal(shape), values).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    limits = np.iinfo(dtype)
    few = rng.integers(0, 4, shape).astype(dtype)
    many = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.7, few, many)


def whole(data, ratio, shift, start, lengths, method):
    return pool_cells(
        data,
        ratio=ratio,
        shift=shift,
        start=start,
        data_start=[0] * data.ndim,
        bounds=[(0, n) for n in data.shape],
        shape=lengths,
        method=method,
    )


def bits(array):
    array = np.where(array == array, array, np.nan) if array.dtype.kind == "f" else array
    return array.tobytes()


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(), draws=st.data())
def test_integers_are_exact(method, grid, draws):
    shape, ratio, shift, start, lengths = grid
    data = arrays(draws.draw, shape, draws.draw(st.sampled_from(["u1", "i2", "i8", "u8", "?"])))
    result = whole(data, ratio, shift, start, lengths, method)
    assert result.dtype == data.dtype
    for index in np.ndindex(*lengths):
        cell = members(data, [i + a for i, a in zip(index, start, strict=True)], ratio, shift)
        assert result[index] == EXACT[method](cell)


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(), draws=st.data())
def test_it_equals_the_reference_bit_for_bit(method, grid, draws):
    shape, ratio, shift, start, lengths = grid
    dtype = draws.draw(st.sampled_from(["u1", "u2", "i4", "u8", "f4", "f8", ">f4"]))
    data = arrays(draws.draw, shape, dtype)
    axes = [
        rational_cells(*axis, (0, n), 0)
        for *axis, n in zip(start, lengths, ratio, shift, shape, strict=True)
    ]
    expected = np.empty(lengths, dtype)
    pool_parts(data, axes, method, expected, exact=largest_weight(ratio, shift) <= 2**30)
    result = whole(data, ratio, shift, start, lengths, method)
    assume(result.size)
    if ratio == [1] * len(ratio):  # whole voxels are copied: -0.0 stays
        result, expected = result + result.dtype.type(0), expected + expected.dtype.type(0)
    assert bits(result) == bits(expected)


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(), draws=st.data())
def test_any_part_is_the_same_as_in_the_whole(method, grid, draws):
    shape, ratio, shift, start, lengths = grid
    data = arrays(draws.draw, shape, draws.draw(st.sampled_from(["u1", "i8", "f2", "f4", "f8"])))
    expected = whole(data, ratio, shift, start, lengths, method)
    lows = [draws.draw(st.integers(0, n - 1)) for n in lengths]
    counts = [draws.draw(st.integers(1, n - low)) for low, n in zip(lows, lengths, strict=True)]
    begins = [a + low for a, low in zip(start, lows, strict=True)]
    needed = [
        cell_support(a, n, r, s, (0, size))
        for a, n, r, s, size in zip(begins, counts, ratio, shift, shape, strict=True)
    ]
    out = np.empty(counts[::-1], data.dtype).T
    result = pool_cells(
        data[tuple(slice(*reach) for reach in needed)],
        ratio=ratio,
        shift=shift,
        start=begins,
        data_start=[first for first, _ in needed],
        bounds=[(0, n) for n in shape],
        shape=counts,
        method=method,
        out=out,
    )
    assert result is out
    box = tuple(slice(low, low + n) for low, n in zip(lows, counts, strict=True))
    assert bits(result) == bits(expected[box])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8"])
@given(draws=st.data())
def test_whole_cells_are_pooled_as_by_pool(method, dtype, draws):
    factors = draws.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    counts = [draws.draw(st.integers(1, 3)) for _ in factors]
    shape = [f * n for f, n in zip(factors, counts, strict=True)]
    rest = [draws.draw(st.integers(0, f - 1)) for f in factors]
    larger = arrays(draws.draw, [n + r for n, r in zip(shape, rest, strict=True)], dtype)
    data = larger[tuple(map(slice, shape))]
    ratio, none = list(map(Fraction, factors)), [Fraction(0)] * len(factors)
    expected = pool(data, factors, method)
    assert bits(whole(larger, ratio, none, [0] * len(factors), counts, method)) == bits(expected)
    with_parts = [n + (r > 0) for n, r in zip(counts, rest, strict=True)]
    found = whole(larger, ratio, none, [0] * len(factors), with_parts, method)
    cut = found[tuple(map(slice, counts))]
    if math.prod(factors) > 1:
        assert bits(cut) == bits(expected)


@given(st.integers(-5, 9), st.integers(1, 4), RATIOS, SHIFTS, st.integers(1, 12))
def test_support_is_what_cells_cover(start, length, ratio, shift, n):
    reached = {i for o in range(start, start + length) for i in covered(o, ratio, shift, n)}
    first, stop = cell_support(start, length, ratio, shift, (0, n))
    assert 0 <= first <= stop <= n
    assert set(range(first, stop)) == reached


def test_support_of_nothing_is_empty():
    first, stop = cell_support(3, 0, Fraction(5, 2), Fraction(0), (0, 100))
    assert first == stop


def test_the_mean_keeps_the_sum_of_what_cells_cover():
    data = np.random.default_rng(0).random((21, 35))
    result = whole(
        data, [Fraction(7, 3), Fraction(5, 4)], [Fraction(0)] * 2, (0, 0), (9, 28), "mean"
    )
    np.testing.assert_allclose(result.sum() * 7 / 3 * 5 / 4, data.sum(), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["u1", "u8", "f4"])
def test_very_fine_parts_are_taken_too(method, dtype):
    ratio = [Fraction(10014, 3250), Fraction(1000000007, 333333331)]
    shift = [Fraction(123456789, 10**9), Fraction(-1, 10**12 + 39)]
    data = np.random.default_rng(1).integers(0, 200, (40, 50)).astype(dtype)
    result = whole(data, ratio, shift, (0, 0), (10, 12), method)
    for index in np.ndindex(*result.shape):
        cell = members(data.astype("i8"), index, ratio, shift)
        if dtype == "f4" and method in {"mean", "median"}:
            total = sum(v * w for v, w in cell) / sum(w for _, w in cell)
            exact = float(total) if method == "mean" else float(half_of_weight(cell))
            assert result[index] == pytest.approx(exact, rel=1e-6, abs=0.5 * (method == "median"))
        else:
            assert result[index] == EXACT[method](cell)
    highest = {"u1": 255, "u8": 2**48, "f4": 0.1}[dtype]  # these go through float64
    constant = np.full((40, 50), highest, dtype)
    found = whole(constant, ratio, shift, (0, 0), (10, 12), method)
    np.testing.assert_array_equal(found, constant[:10, :12], strict=True)


def test_what_is_not_in_a_cell_does_no_harm():
    data = np.array([math.nan, 1.0, 2.0, math.inf], "f4")
    for method in METHODS:
        found = whole(data, [Fraction(3, 2)], [Fraction(1)], [0], [1], method)
        assert found.item() in {1.0, np.float32(4 / 3), 2.0}


def test_a_cell_at_the_edge_is_what_is_left_of_it():
    data = np.array([10, 20, 40], "u1")
    found = whole(data, [Fraction(2)], [Fraction(-1, 2)], [0], [2], "mean")
    assert found.tolist() == [round((10 + 20 / 2) / 1.5), round((20 / 2 + 40) / 1.5)]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"ratio": [Fraction(0)]}, "positive"),
        ({"ratio": [Fraction(-1, 2)]}, "positive"),
        ({"ratio": [Fraction(1)] * 2}, "one entry for each axis"),
        ({"method": "average"}, "unknown pooling method"),
        ({"start": [5]}, "cell 6, expected one that reaches a voxel from 0 to 8"),
        ({"start": [-1]}, "outside of the input"),
        ({"data_start": [1]}, "data lacks voxels along axis 0: got 1 to 9, expected 0 to 3"),
        ({"data_start": [-6]}, "read what cell_support"),
        ({"out": np.zeros(2, "u2")}, "out does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    fitting = {
        "ratio": [Fraction(3, 2)],
        "shift": [Fraction(0)],
        "start": [0],
        "data_start": [0],
        "bounds": [(0, 8)],
        "shape": [2],
        "method": "mean",
    }
    data = np.zeros(8, "u1")
    assert module.pool_cells(data, **fitting).shape == (2,)
    with pytest.raises(ValueError, match=match):
        module.pool_cells(data, **fitting | change)


def test_dtypes_without_an_order_are_refused():
    with pytest.raises(TypeError, match="complex128"):
        whole(np.zeros(4, complex), [Fraction(3, 2)], [Fraction(0)], [0], [2], "mean")
