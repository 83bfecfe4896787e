import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dacapo_like.kernels._sample_reference import reference
from dacapo_like.kernels.sample import sample, sample_rows, support, taps_between, walks_rows
from dacapo_like.kernels.walk import grid_points
from dacapo_like.testing import difference, sample_voxels

DTYPES = [
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "longdouble", ">f4", ">u2"),
]
WAYS = [(0, "keys"), (1, "keys"), (3, "keys"), (3, "spline")]
ways = pytest.mark.parametrize(("order", "method"), WAYS)


def grid(shape):
    return {"data_start": [0] * len(shape), "bounds": [(0, n) for n in shape]}


def scattered(shape, count, seed=0):
    """Give points in and around an array, some of them on centres, faces and edges of voxels."""
    rng = np.random.default_rng(seed)
    points = np.array([rng.uniform(-1.2, n + 0.2, count) for n in shape])
    halves = rng.random(points.shape) < 0.3
    points[halves] = np.rint(2 * points[halves]) / 2
    return points


def is_inside(points, shape):
    return np.all([(x >= -0.5) & (x < n - 0.5) for x, n in zip(points, shape, strict=True)], axis=0)


@pytest.mark.parametrize(
    ("dtype", "order", "method"),
    [("bool", 0, "keys"), *((d, *way) for d in DTYPES for way in WAYS)],
)
def test_every_dtype_is_sampled_as_plain_numpy_does(dtype, order, method):
    for shape in ((2, 5, 6), (7,), (2, 4, 5, 3)):
        dims = min(len(shape), 3 if len(shape) == 4 else 2)
        voxels = sample_voxels(shape, np.dtype(dtype).newbyteorder("="), seed=len(shape)).astype(
            dtype
        )
        spatial = shape[len(shape) - dims :]
        points = scattered(spatial, 300)
        how = {"fill": 1, "method": method, **grid(spatial)}
        got = sample(voxels, points, order, **how)
        assert difference(got, reference(voxels, points, order, **how), signed_zeros=True) is None


@ways
@given(st.data())
@settings(max_examples=25)
def test_points_and_arrays_of_any_shape(order, method, data):
    shape = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    lead = data.draw(st.lists(st.integers(0, 3), max_size=2))
    voxels = sample_voxels((*lead, *shape), "float32", seed=data.draw(st.integers(0, 99)))
    points = scattered(shape, data.draw(st.integers(0, 40)), seed=data.draw(st.integers(0, 99)))
    how = {"fill": -7, "method": method, **grid(shape)}
    got = sample(voxels, points, order, **how)
    assert got.shape == (*lead, points.shape[1])
    assert difference(got, reference(voxels, points, order, **how), signed_zeros=True) is None


@pytest.mark.parametrize("shape", [(40,), (23, 31), (19, 22, 25)])
@pytest.mark.parametrize(
    ("order", "method", "mode"), [(1, "keys", "nearest"), (3, "spline", "mirror")]
)
def test_scipy_agrees(shape, order, method, mode):
    voxels = np.random.default_rng(0).random(shape)
    points = scattered(shape, 3000)
    points = points[:, is_inside(points, shape)]
    expected = ndimage.map_coordinates(voxels, points, order=order, mode=mode)
    got = sample(voxels, points, order, method=method, **grid(shape))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)


def test_scipy_agrees_on_the_nearest_voxel():
    shape = (9, 8, 7)
    voxels = sample_voxels(shape, "int32")
    points = np.random.default_rng(0).uniform(-0.5, 6.5, (3, 2000))
    expected = ndimage.map_coordinates(voxels, points, order=0, mode="nearest")
    np.testing.assert_array_equal(sample(voxels, points, 0, **grid(shape)), expected)


def keys(s):
    """Keys' cubic convolution kernel with a = -1/2, as he writes it."""
    s = abs(s)
    if s < 1:
        return 1.5 * s**3 - 2.5 * s**2 + 1
    return -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2 if s < 2 else 0.0


def test_cubic_convolution_is_keys_own():
    shape = (6, 7, 5)
    voxels = np.random.default_rng(0).random(shape)
    points = scattered(shape, 200)
    points = points[:, is_inside(points, shape)]
    expected = []
    for point in points.T:
        values = voxels
        for x in point[::-1]:  # the last axis first
            taps = np.arange(np.floor(x) - 2, np.floor(x) + 4)
            weights = np.array([keys(x - tap) for tap in taps])
            n = values.shape[-1]
            values = values[..., np.clip(taps, 0, n - 1).astype(int)] @ weights
        expected.append(values)
    np.testing.assert_allclose(sample(voxels, points, 3, **grid(shape)), expected, atol=1e-13)


@ways
def test_the_voxels_of_the_support_are_enough(order, method):
    voxels = sample_voxels((3, 60, 50), "float64")
    points = scattered((60, 50), 60)
    bounds = [(0, 60), (0, 50)]
    how = {"fill": 3, "bounds": bounds, "method": method}
    whole = sample(voxels, points, order, data_start=[0, 0], **how)
    for i in range(points.shape[1]):
        few = points[:, i : i + 1]
        ranges = support(few, order, bounds, method)
        if ranges is None:
            np.testing.assert_array_equal(whole[:, i], 3)
            continue
        part = voxels[:, slice(*ranges[0]), slice(*ranges[1])]
        start = [low for low, _ in ranges]
        np.testing.assert_array_equal(
            sample(part, few, order, data_start=start, **how)[:, 0], whole[:, i]
        )


@ways
def test_the_support_of_some_points_is_that_between_their_extremes(order, method):
    points = np.random.default_rng(0).uniform(3, 30, (2, 20))
    bounds = [(0, 40), (2, 33)]
    extremes = np.stack([points.min(axis=1), points.max(axis=1)], axis=1)
    between = taps_between(extremes, order, bounds, method)
    assert support(points, order, bounds, method) == between
    assert all(
        low <= first < stop <= high
        for (first, stop), (low, high) in zip(between, bounds, strict=True)
    )


def test_no_point_inside_needs_no_voxel():
    points = [[-0.6, 3.0, np.nan, np.inf], [1.0, 9.6, 1.0, 1.0]]
    assert support(points, 1, [(0, 5), (0, 10)]) is None
    got = sample(np.ones((5, 10)), points, 1, fill=-1, **grid((5, 10)))
    np.testing.assert_array_equal(got, [-1, -1, -1, -1])


def test_the_extent_of_the_voxels_ends_half_a_voxel_beyond_their_centres():
    below = np.nextafter(2.5, 0)
    got = sample([4, 5, 6], [[np.nextafter(-0.5, -1), -0.5, below, 2.5]], 0, fill=9, **grid((3,)))
    np.testing.assert_array_equal(got, [9, 4, 6, 9])


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_voxel_without_weight_does_no_harm(order, bad):
    voxels = np.random.default_rng(0).random((6, 6, 6))
    voxels[3, 3, 3] = bad
    centres = np.array(np.unravel_index(np.arange(voxels.size), voxels.shape), float)
    got = sample(voxels, centres, order, **grid(voxels.shape))
    np.testing.assert_array_equal(got, voxels.ravel())
    along = np.array([[2.0, 2.0], [3.0, 3.0], [2.5, 3.5]])
    assert np.isfinite(sample(voxels, along, order, **grid(voxels.shape))).all()
    across = np.array([[2.5], [3.0], [3.0]])
    assert not np.isfinite(sample(voxels, across, order, **grid(voxels.shape))).any()


def test_integers_are_rounded_half_to_even_and_clipped():
    got = sample(np.array([0, 1, 2, 3], "uint8"), [[0.5, 1.5, 2.5]], 1, **grid((4,)))
    np.testing.assert_array_equal(got, [0, 2, 2])
    steps = np.array([0, 0, 255, 255], "uint8")
    np.testing.assert_array_equal(sample(steps, [[0.6, 2.4]], 3, **grid((4,))), [0, 255])
    limits = np.iinfo("int64")
    ends = np.array([limits.min, limits.max, limits.max, limits.min])
    got = sample(ends, [[0, 1.5]], 3, **grid((4,)))
    np.testing.assert_array_equal(got, [limits.min, limits.max])


def test_a_fill_value_that_float64_cannot_hold():
    got = sample(np.zeros((2, 2), "uint64"), [[9.0], [9.0]], 1, fill=2**64 - 1, **grid((2, 2)))
    assert got[0] == 2**64 - 1


@ways
def test_where_it_is_written(order, method):
    voxels = sample_voxels((2, 9, 8), "uint16")
    voxels.setflags(write=False)
    points = scattered((9, 8), 50)
    expected = sample(voxels, points, order, method=method, **grid((9, 8)))
    for out in (
        np.ones((2, 50), "uint16"),
        np.ones((50, 2), "uint16").T,
        np.ones((4, 100), "uint16")[::2, ::2],
    ):
        assert sample(voxels, points, order, method=method, out=out, **grid((9, 8))) is out
        np.testing.assert_array_equal(out, expected)
    turned = np.asfortranarray(voxels)
    np.testing.assert_array_equal(
        sample(turned, points, order, method=method, **grid((9, 8))), expected
    )
    with pytest.raises(ValueError, match="out does not fit"):
        sample(voxels, points, order, out=np.ones((2, 50)), **grid((9, 8)))


@st.composite
def boxes_on_arrays(draw):
    """Give an array, and a box of another that a matrix leads to it, mostly."""
    dims = draw(st.integers(1, 3))
    shape = [draw(st.integers(1, 8)) for _ in range(dims)]
    dtype = draw(st.sampled_from(["uint8", "uint16", "float32"]))
    voxels = sample_voxels((draw(st.integers(1, 2)), *shape), dtype, seed=draw(st.integers(0, 9)))
    if voxels.dtype.kind == "f" and draw(st.booleans()):
        voxels.flat[:: draw(st.integers(3, 9))] = draw(st.sampled_from([np.nan, np.inf]))
    numbers = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5]) | st.floats(-2, 2)
    matrix = np.array([[draw(numbers) for _ in range(dims + 1)] for _ in range(dims)])
    start = [draw(st.integers(-3, 5)) for _ in range(dims)]
    return voxels, matrix, start, [draw(st.integers(1, 9)) for _ in range(dims)]


@given(boxes_on_arrays(), st.data())
@settings(max_examples=150)
def test_rows_are_what_their_points_are(drawn, data):
    voxels, matrix, start, box = drawn
    dims = len(box)
    how = {"fill": 3, **grid(voxels.shape[1:])}
    out = np.zeros((len(voxels), int(np.prod(box))), voxels.dtype)
    assert walks_rows(1, voxels.dtype)
    write = sample_rows(voxels, matrix, start, box, out=out, **how)
    rows = int(np.prod(box[:-1]))
    cut = data.draw(st.integers(0, rows))
    write(cut, rows)
    write(0, cut)
    points = grid_points(matrix, start, box, 0, out.shape[1])[3 - dims :]
    expected = reference(voxels, points, 1, **how)
    assert difference(out, expected, signed_zeros=True) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 2}, "expected 0, 1 or 3"),
        ({"method": "sinc"}, "expected keys or spline"),
        ({"points": [1.0, 2.0]}, "a row or an entry"),
        ({"bounds": [(0, 3)]}, "a row or an entry"),
        ({"data": np.zeros(3)}, "no 2 spatial ones"),
        ({"data": np.zeros((3, 3), bool)}, "cannot interpolate this dtype: got bool"),
        (
            {"data": np.zeros((2, 3))},
            "lacks voxels along spatial axis 0: got 0 to 2, expected 1 to 3",
        ),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    given = {
        "data": np.zeros((3, 3)),
        "points": [[1.5], [1.5]],
        "order": 1,
        **grid((3, 3)),
    } | change
    with pytest.raises(ValueError, match=message):
        sample(given.pop("data"), given.pop("points"), given.pop("order"), **given)
