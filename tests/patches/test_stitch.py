"""Stitching: what was cut comes back, whatever the order; against sums over whole arrays; and how much is held meanwhile."""

import itertools
import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dacapo_like import Roi, create_array, from_numpy
from dacapo_like.errors import ConfigError, RegionError, WriteError
from dacapo_like.geometry import Box
from dacapo_like.kernels.windows import window_weights
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.stitch import Stitcher

WINDOWS = ["flat", "hann", "gaussian", "spline"]
WAYS = [(window, combine) for window in WINDOWS for combine in ("mean", "vote")]
WAYS += [("flat", combine) for combine in ("max", "sum", "replace")]
FLOATS = st.floats(allow_nan=False, width=32)


@st.composite
def grids(draw, max_dims=3, edges=("shift", "pad", "shrink", "overhang", "drop")):
    """Small grids that leave no gaps, with overlaps of up to many patches in a voxel."""
    dims = draw(st.integers(1, max_dims))
    edge = draw(st.sampled_from(edges))
    longest = {1: 40, 2: 14, 3: 8}[dims]
    shape = [draw(st.integers(1, longest)) for _ in range(dims)]
    size = [draw(st.integers(1, n)) for n in shape]
    stride = [draw(st.integers(max(1, n // 4), n)) for n in size]
    grid = PatchGrid(
        shape,
        size,
        stride=stride,
        context=draw(st.integers(0, 2)),
        edge=edge,
        spacing=draw(st.sampled_from(["even", "stride"])),
    )
    assume(0 < len(grid) < 200)
    return grid


def covered(grid):
    mask = np.zeros(grid.shape, bool)
    for patch in grid:
        mask[inside(patch.box, grid).slices] = True
    return mask


def inside(box, grid):
    return box.intersect(Box((0,) * len(grid.shape), grid.shape))


def cut(source, box, grid, surroundings=0):
    """Cut a box that may leave the region out of data with leading axes."""
    part = inside(box, grid)
    lead = source.shape[: source.ndim - len(grid.shape)]
    data = np.full(lead + box.shape, surroundings, source.dtype)
    data[(..., *part.slices_in(box))] = source[(..., *part.slices)]
    return data


def bits(array):
    return array.dtype, array.shape, array.tobytes()


def stitched(grid, patches, **options):
    """Stitch (patch, data) pairs into a new array."""
    dtype, lead = options.pop("out_dtype"), options.pop("lead", ())
    out = np.zeros(lead + grid.shape, dtype)
    with Stitcher(grid, out, **options) as stitcher:
        for patch, data in patches:
            stitcher.add(patch, data)
        held = stitcher.held_voxels
    assert held == 0
    return out


# What was cut comes back


@given(
    grid=grids(),
    of=st.sampled_from(["read", "box", "write"]),
    dtype=st.sampled_from(["u1", ">i2", "u8", "?", "f2", "f4", "f8"]),
    lead=st.sampled_from([(), (2,), (2, 3)]),
    seed=st.integers(0, 999),
)
def test_crops_come_back_bit_for_bit(grid, of, dtype, lead, seed):
    generator = np.random.default_rng(seed)
    raw = generator.integers(0, 256, (*lead, *grid.shape, np.dtype(dtype).itemsize), np.uint8)
    source = raw.view(dtype)[..., 0] if dtype != "?" else raw[..., 0] > 99
    pairs = [(patch, cut(source, getattr(patch, of), grid)) for patch in grid]
    generator.shuffle(pairs)
    out = stitched(grid, pairs, out_dtype=dtype, lead=lead, window="crop")
    mask = covered(grid)
    assert bits(out[..., mask]) == bits(source[..., mask])


@given(
    grid=grids(),
    window=st.sampled_from(WINDOWS),
    dtype=st.sampled_from(["u1", "i2", "u4", "i8", "f2", "f4", "f8"]),
    data=st.data(),
)
def test_where_patches_agree_it_is_what_they_say(grid, window, dtype, data):
    if dtype[0] == "f":
        values = st.sampled_from([-0.0, 0.0, np.inf, -np.inf, 1 / 3, -1e-3, 6e4, np.pi])
    else:
        limits = np.iinfo(dtype)
        values = st.integers(max(limits.min, -(2**53)), min(limits.max, 2**53))
    few = data.draw(st.lists(values, min_size=4, max_size=4))
    seed = data.draw(st.integers(0, 999))
    source = np.random.default_rng(seed).choice(np.array(few, dtype), (2, *grid.shape))
    pairs = [(patch, cut(source, patch.read, grid)) for patch in grid]
    mask = covered(grid)
    combine = data.draw(st.sampled_from(["mean", "max", "replace"]))
    if combine != "mean":
        window = "flat"
    options = {"window": window, "combine": combine, "kind": "image"}
    out = stitched(grid, pairs, out_dtype=dtype, lead=(2,), **options)
    assert bits(out[..., mask]) == bits(source[..., mask])


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_means_of_what_is_special(window, dtype):
    grid = PatchGrid((12,), (6,), stride=2)
    special = np.array([np.inf, -np.inf, -0.0, 0.0, 1 / 3, np.finfo(dtype).max] * 2, dtype)
    pairs = [(patch, special[patch.box.slices]) for patch in grid]
    assert bits(stitched(grid, pairs, out_dtype=dtype, window=window)) == bits(special)
    first, *others = pairs
    pairs = [first, *((patch, np.full(6, -1, dtype)) for patch, _ in others)]
    out = stitched(grid, pairs, out_dtype="f8", window=window)
    assert out[0] == np.inf
    assert out[1] == -np.inf
    assert np.isfinite(out[2:]).all()
    pairs = [first, *((patch, np.full(6, np.inf, dtype)) for patch, _ in others)]
    out = stitched(grid, pairs, out_dtype="f8", window=window)
    assert np.isposinf(out[2:]).all()


# Against whole arrays


def oracle(grid, pairs, window, combine):
    """Combine patches in whole arrays, in the order of their numbers, in extended precision."""
    patches = sorted(pairs, key=lambda pair: pair[0].index)
    lead = patches[0][1].shape[: -len(grid.shape)]
    if combine == "vote":
        return votes(grid, patches, window, lead)
    total = np.zeros(lead + grid.shape, np.longdouble)
    weights = np.zeros(grid.shape, np.longdouble)
    if combine == "max":
        total -= np.inf
    for patch, data in patches:
        part = inside(patch.box, grid)
        here, there = (..., *part.slices), (..., *part.slices_in(patch.box))
        weight = window_weights(window, patch.box.shape)[there]
        if combine == "replace":
            total[here] = data[there]
        elif combine == "max":
            total[here] = np.maximum(total[here], data[there])
        else:
            total[here] += data[there] * weight.astype(np.longdouble)
        weights[here] += weight
    assert np.all(weights[covered(grid)] > 0)
    return total / np.where(weights > 0, weights, 1) if combine == "mean" else total


def votes(grid, patches, window, lead):
    result = np.zeros(lead + grid.shape, patches[0][1].dtype)
    for place in np.ndindex(result.shape):
        where = place[len(lead) :]
        counts = defaultdict(float)
        for patch, data in patches:
            at = tuple(p - o for p, o in zip(where, patch.box.offset, strict=True))
            if all(0 <= a < n for a, n in zip(at, patch.box.shape, strict=True)):
                weight = window_weights(window, patch.box.shape)[at]
                counts[int(data[(*place[: len(lead)], *at)])] += weight
        if counts:
            result[place] = min(counts, key=lambda label: (-counts[label], label))
    return result


def random_pairs(grid, combine, lead, seed):
    """Patches that contradict each other."""
    generator = np.random.default_rng(seed)
    if combine == "vote":
        return [(p, generator.integers(0, 4, lead + p.box.shape).astype("u8")) for p in grid]
    pairs = []
    for patch in grid:
        size = lead + patch.box.shape
        pairs.append((patch, generator.normal(size=size) * 10.0 ** generator.integers(-9, 9, size)))
    return pairs


@given(
    grid=grids(edges=("shift", "pad", "shrink", "overhang")),
    way=st.sampled_from(WAYS),
    lead=st.sampled_from([(), (2,)]),
    seed=st.integers(0, 9999),
)
def test_as_with_whole_arrays(grid, way, lead, seed):
    window, combine = way
    assume(combine != "vote" or math.prod(grid.shape) * len(grid) < 3000)
    pairs = random_pairs(grid, combine, lead, seed)
    dtype = pairs[0][1].dtype
    out = stitched(grid, pairs, out_dtype=dtype, lead=lead, window=window, combine=combine)
    expected = oracle(grid, pairs, window, combine)
    if combine in {"mean", "sum"}:
        largest = oracle(grid, [(p, np.abs(d)) for p, d in pairs], window, "max")
        assert np.all(np.abs(out - expected) <= 1e-14 * largest)
    else:
        np.testing.assert_array_equal(out, expected)


@given(
    grid=grids(),
    way=st.sampled_from(WAYS),
    seed=st.integers(0, 9999),
    ordered=st.booleans(),
)
def test_any_order_gives_the_same_bits(grid, way, seed, ordered):
    window, combine = way
    pairs = random_pairs(grid, combine, (2,), seed)
    dtype = pairs[0][1].dtype
    options = {"out_dtype": dtype, "lead": (2,), "window": window, "combine": combine}
    first = stitched(grid, pairs, **options)
    shuffled = [pairs[i] for i in np.random.default_rng(seed + 1).permutation(len(pairs))]
    other = grid.ordered_by((3,) * len(grid.shape)) if ordered else grid[::-1]
    assert bits(stitched(other, shuffled, **options)) == bits(first)
    assert bits(stitched(grid, pairs[::-1], **options)) == bits(first)


@pytest.mark.parametrize(
    ("window", "combine"), [("hann", "mean"), ("flat", "sum"), ("hann", "vote")]
)
def test_from_many_threads(window, combine):
    grid = PatchGrid((20, 21), (8, 6), overlap=0.5)
    pairs = random_pairs(grid, combine, (3,), 0)
    options = {"out_dtype": pairs[0][1].dtype, "lead": (3,), "window": window, "combine": combine}
    expected = stitched(grid, pairs, **options)
    out = np.zeros_like(expected)
    with Stitcher(grid, out, window, combine) as stitcher, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: stitcher.add(*pair), pairs))
    assert bits(out) == bits(expected)


# What is held


def most_held(grid):
    """The bound that the documentation gives, in the order of the numbers."""
    overlaps, sizes = [], []
    for axis in grid.axes:
        ranges = [axis.box(i) for i in range(len(axis))]
        both = [b - c for (_, b), (c, _) in itertools.pairwise(ranges)]
        overlaps.append(max([0, *both]))
        sizes.append(axis.size)
    shape = grid.shape
    return sum(
        math.prod(sizes[:i]) * overlaps[i] * math.prod(shape[i + 1 :]) for i in range(len(shape))
    )


@given(grid=grids(), window=st.sampled_from(["crop", *WINDOWS]), seed=st.integers(0, 99))
def test_memory_is_bounded_and_every_voxel_is_written_once(grid, window, seed):
    written = np.zeros(grid.shape, int)
    calls = []

    def take(box, data):
        assert data.shape == (2, *box.shape)
        written[box.slices] += 1
        calls.append(box)

    with Stitcher(grid, take, window) as stitcher:
        for patch in grid:
            stitcher.add(patch, np.zeros((2, *patch.box.shape)))
            assert stitcher.held_voxels <= (0 if window == "crop" else most_held(grid))
    np.testing.assert_array_equal(written, covered(grid))
    assert len(calls) <= len(grid)

    most, seen = 0, 0
    with Stitcher(grid, take, window) as stitcher:
        for i in np.random.default_rng(seed).permutation(len(grid)):
            patch = grid[int(i)]
            stitcher.add(patch, np.zeros((2, *patch.box.shape)))
            seen += inside(patch.box, grid).size
            assert stitcher.held_voxels <= seen
            most = max(most, stitcher.held_voxels)
    np.testing.assert_array_equal(written, 2 * covered(grid))


def test_a_long_region_is_held_in_small_parts():
    grid = PatchGrid((1000, 8), (8, 8), overlap=2)
    most, ends = 0, []
    with Stitcher(grid, lambda box, _: ends.append(box.end[0]), "hann", "vote") as stitcher:
        for patch in grid:
            stitcher.add(patch, np.ones((8, 8), "u4"))
            most = max(most, stitcher.held_voxels)
    assert most == 3 * 8  # evenly spaced, some overlap by one voxel more
    assert ends == sorted(ends)
    assert len(ends) == len(grid)


# Integers, labels, classes


def test_integers_are_rounded_half_to_even_and_clipped():
    grid = PatchGrid((6,), (4,))
    out = np.zeros(6, "u1")
    with Stitcher(grid, out, "flat") as stitcher:
        stitcher.add(grid[1], np.array([0, 3, -9.0, 2.5]))
        stitcher.add(grid[0], np.array([1.5, 300, 1, 4.0]))
    assert out.tolist() == [2, 255, 0, 4, 0, 2]
    out = np.zeros(6, "i8")
    with Stitcher(grid, out, "crop", kind="image") as stitcher:
        stitcher.add(grid[0], np.array([1e300, -1e300, 2.0**63, 0]))
        stitcher.add(grid[1], np.array([0, -(2.0**63), 2.0**62, 0.5]))
    assert out.tolist() == [2**63 - 1, -(2**63), 2**63 - 1, -(2**63), 2**62, 0]
    out = np.zeros(6, "u1")
    with Stitcher(grid, out, "flat", "max") as stitcher:
        for patch in grid:
            stitcher.add(patch, np.full(4, 300 if patch.index else -2, "i2"))
    assert out.tolist() == [0, 0, 255, 255, 255, 255]


def test_the_mean_of_integers_is_rounded_once():
    grid = PatchGrid((4,), (2,), stride=1)
    out = np.zeros(4, "u2")
    with Stitcher(grid, out, "flat") as stitcher:
        for patch, values in zip(grid, ([1, 2], [3, 5], [6, 65535]), strict=True):
            stitcher.add(patch, np.array(values, "u2"))
    assert out.tolist() == [1, 2, 6, 65535]  # (2 + 3) / 2 is 2.5, (5 + 6) / 2 is 5.5


def test_ties_of_votes_go_to_the_smallest_id():
    grid = PatchGrid((3,), (2,), stride=1)
    for window in WINDOWS:
        out = np.zeros(3, "i8")
        with Stitcher(grid, out, window, "vote") as stitcher:
            stitcher.add(grid[0], np.array([7, -5]))
            stitcher.add(grid[1], np.array([-6, 2**62 + 1]))
        assert out.tolist() == [7, -6, 2**62 + 1]


@given(
    grid=grids(max_dims=2, edges=("shift",)),
    window=st.sampled_from(["crop", *WINDOWS]),
    classes=st.sampled_from([1, 3, 300]),
    seed=st.integers(0, 999),
)
def test_argmax_is_that_of_the_whole_mean(grid, window, classes, seed):
    generator = np.random.default_rng(seed)
    pairs = [
        (p, generator.integers(0, 9, (2, classes, *p.box.shape)).astype("f4") / 8) for p in grid
    ]
    means = stitched(grid, pairs, out_dtype="f8", lead=(2, classes), window=window)
    got = {}

    def take(box, data):
        assert data.dtype == ("u2" if classes > 256 else "u1")
        got[box] = data.copy()

    with Stitcher(grid, take, window, argmax=True) as stitcher:
        for i in generator.permutation(len(pairs)):
            stitcher.add(*pairs[i])
    labels = np.full((2, *grid.shape), -1)
    for box, data in got.items():
        labels[(..., *box.slices)] = data
    np.testing.assert_array_equal(labels, means.argmax(1))


def test_argmax_into_labels():
    grid = PatchGrid((4,), (4,))
    out = np.zeros(4, "u4")
    with Stitcher(grid, out, "hann", argmax=True) as stitcher:
        stitcher.add(grid[0], np.array([[0.1, 0.9, 0.5, 0.3], [0.2, 0.1, 0.5, 0.7]], "f4"))
    assert out.tolist() == [1, 0, 0, 1]


# Arrays


def test_into_a_stored_array_by_place_in_the_world(tmp_path):
    roi = Roi((100, 9.8), (120, 98))
    stored = create_array(
        tmp_path / "a.zarr", "raw", "czx", roi, (10, 9.8), "f4", num_channels=2, chunks=(1, 5, 4)
    )
    inner = Roi((120, 19.6), (80, 78.4))
    grid = PatchGrid(inner, (40, 39.2), voxel_size=(10, 9.8), overlap=(20, 9.8), context=(10, 0))
    source = np.random.default_rng(0).normal(size=(2, *grid.shape)).astype("f4")
    with Stitcher(grid, stored, "spline") as stitcher:
        for patch in grid:
            stitcher.add(patch, cut(source, patch.read, grid))
    np.testing.assert_array_equal(stored[inner], source)
    outside = stored.read()
    outside[stored.spec.roi_to_box(inner).slices] = 0
    assert not outside.any()


def test_into_the_voxels_of_an_array():
    voxels = np.zeros((5, 6), "u1")
    out = from_numpy(voxels, voxel_size=(3, 3), offset=(9, 9), mode="r+")
    grid = PatchGrid((4, 4), (2, 2))
    with Stitcher(grid, out) as stitcher:
        for patch in grid:
            stitcher.add(patch, np.full((2, 2), patch.index + 1, "u1"))
    assert voxels[:4, :4].tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2
    assert not voxels[4].any()
    assert not voxels[:, 4:].any()


def test_a_shard_writes_its_own_part():
    grid = PatchGrid((8, 8), (2, 2))
    source = np.arange(64, dtype="u8").reshape(8, 8)
    out = np.zeros_like(source)
    for rank in range(3):
        shard = grid.shard(rank, 3, by="chunks", chunks=(4, 4))
        with Stitcher(shard, out) as stitcher:
            for patch in shard:
                stitcher.add(patch, cut(source, patch.box, grid))
            if rank:
                with pytest.raises(RegionError, match="another part of the grid"):
                    stitcher.add(grid[0], np.zeros((2, 2), "u8"))
    np.testing.assert_array_equal(out, source)


# What is missing, and what is wrong


@pytest.mark.parametrize("window", ["crop", *WINDOWS])
def test_missing_patches_are_an_error_or_filled(window):
    grid = PatchGrid((10, 4), (4, 4), overlap=(1, 0))
    out = np.zeros((10, 4), "f4")
    stitcher = Stitcher(grid, out, window)
    stitcher.add(grid[0], np.full((4, 4), 3.0))
    with pytest.raises(RegionError, match=r"1 of 3; not patch 1, which writes 3:6, 0:4; patch 2"):
        stitcher.close()
    stitcher.add(grid[2], np.full((4, 4), 5.0))
    with pytest.raises(ConfigError, match="one of error, fill"):
        stitcher.close("drop")
    stitcher.close("fill", fill=-1)
    stitcher.close()
    edges = (3, 6) if window == "crop" else (4, 6)
    expected = np.repeat([3, -1, 5], [edges[0], edges[1] - edges[0], 10 - edges[1]])
    np.testing.assert_array_equal(out, np.broadcast_to(expected[:, None], (10, 4)))
    assert stitcher.held_voxels == 0
    with pytest.raises(RegionError, match="closed"):
        stitcher.add(grid[1], np.zeros((4, 4)))


@given(grid=grids(), way=st.sampled_from(WAYS), seed=st.integers(0, 999))
def test_filling_makes_the_most_of_what_came(grid, way, seed):
    window, combine = way
    pairs = random_pairs(grid, combine, (2,), seed)
    generator = np.random.default_rng(seed)
    kept = [
        pairs[i] for i in generator.permutation(len(pairs))[: generator.integers(1, len(pairs) + 1)]
    ]
    written = np.zeros(grid.shape, int)
    out = np.zeros((2, *grid.shape), pairs[0][1].dtype)

    def take(box, data):
        written[box.slices] += 1
        out[(..., *box.slices)] = data

    stitcher = Stitcher(grid, take, window, combine)
    for patch, data in kept:
        stitcher.add(patch, data)
    stitcher.close("fill", fill=77)
    np.testing.assert_array_equal(written, covered(grid))
    came = np.zeros(grid.shape, bool)
    for patch, _ in kept:
        came[inside(patch.box, grid).slices] = True
    assert np.all(out[:, covered(grid) & ~came] == 77)
    expected = oracle_of_some(grid, kept, window, combine)
    if combine in {"mean", "sum"}:
        np.testing.assert_allclose(out[:, came], expected[:, came], rtol=1e-9, atol=1e-3)
    elif combine != "vote":
        np.testing.assert_array_equal(out[:, came], expected[:, came])


def oracle_of_some(grid, kept, window, combine):
    total = np.full((2, *grid.shape), -np.inf if combine == "max" else 0.0)
    weights = np.zeros(grid.shape)
    for patch, data in sorted(kept, key=lambda pair: pair[0].index):
        part = inside(patch.box, grid)
        here, there = (..., *part.slices), (..., *part.slices_in(patch.box))
        weight = window_weights(window, patch.box.shape)[there]
        if combine == "max":
            total[here] = np.maximum(total[here], data[there])
        elif combine == "replace":
            total[here] = data[there]
        else:
            total[here] += data[there] * weight
        weights[here] += weight
    return total / np.where(weights > 0, weights, 1) if combine == "mean" else total


def test_nothing_came_at_all():
    grid = PatchGrid((4,), (2,))
    with pytest.raises(RegionError, match="no patch came at all"):
        Stitcher(grid, lambda *_: None).close("fill")
    out = np.zeros((2, 4), "u1")
    Stitcher(grid, out).close("fill", fill=9)
    assert np.all(out == 9)
    Stitcher(PatchGrid((4,), (5,), edge="drop"), np.zeros(4)).close()


def test_an_error_inside_of_with_is_the_one_that_is_raised():
    grid = PatchGrid((4,), (2,))
    with pytest.raises(ZeroDivisionError), Stitcher(grid, np.zeros(4)):
        1 / 0  # noqa: B018


@pytest.mark.parametrize("window", ["crop", "flat"])
def test_what_could_not_be_written_is_tried_again(window):
    grid = PatchGrid((4,), (2,))
    out, full = np.zeros(4), [True]

    def take(box, data):
        if full[0]:
            raise OSError("no space left")
        out[box.slices] = data

    stitcher = Stitcher(grid, take, window)
    with pytest.raises(OSError, match="no space"):
        stitcher.add(grid[0], np.ones(2))
    full[0] = False
    if window == "crop":
        stitcher.add(grid[0], np.ones(2))
    stitcher.add(grid[1], np.ones(2))
    stitcher.close()
    assert out.tolist() == [1, 1, 1, 1]


def test_data_are_not_kept():
    grid = PatchGrid((6,), (4,))
    for combine, both in {"mean": 4, "max": 5, "sum": 8, "replace": 3, "vote": 3}.items():
        out, data = np.zeros(6, "u1"), np.full(4, 3, "u1")
        with Stitcher(grid, out, "flat", combine) as stitcher:
            for patch in grid[::-1]:
                stitcher.add(patch, data)
                data[:] = 5
        assert out.tolist() == [5, 5, both, both, 3, 3]


GRID = PatchGrid((8, 8), (4, 4), overlap=2, context=1)


@pytest.mark.parametrize(
    ("out", "options", "error", "message"),
    [
        (np.zeros((8, 8)), {"window": "hamm"}, ConfigError, "not one of the choices .*hamm"),
        (np.zeros((8, 8)), {"combine": "median"}, ConfigError, "not one of the choices .*median"),
        (np.zeros((8, 8)), {"combine": "max"}, ConfigError, "nothing is combined .*window='flat'"),
        (np.zeros((8, 8)), {"window": "hann", "combine": "sum"}, ConfigError, "weights count in"),
        (
            np.zeros((8, 8)),
            {"window": "hann", "combine": "vote", "argmax": True},
            ConfigError,
            "a vote is on labels",
        ),
        (np.zeros((8, 8), "u8"), {"window": "hann"}, ConfigError, "labels are not averaged .*vote"),
        (
            np.zeros((8, 8), "?"),
            {"window": "flat", "combine": "sum"},
            ConfigError,
            "mask are not added",
        ),
        (np.zeros((8, 8)), {"dtype": "f4"}, ConfigError, "another dtype"),
        (np.zeros((8, 9)), {}, RegionError, r"shape of what the grid covers .*\(…, 8, 8\)"),
        ("a.zarr", {}, ConfigError, "nothing can be written to `out`"),
        (from_numpy(np.zeros((8, 8))), {}, WriteError, "mode: r\\+"),
        (from_numpy(np.zeros((8, 7)), mode="r+"), {}, RegionError, "covers more than the array"),
        (from_numpy(np.zeros(8), mode="r+"), {}, RegionError, "another rank"),
    ],
)
def test_options_that_make_no_sense(out, options, error, message):
    with pytest.raises(error, match=message):
        Stitcher(GRID, out, **options)


def test_outputs_that_cannot_hold_it():
    frozen = np.zeros((8, 8))
    frozen.flags.writeable = False
    with pytest.raises(WriteError, match="not writeable"):
        Stitcher(GRID, frozen)
    grid = PatchGrid(Roi((0, 0), (8, 8)), (4, 4), voxel_size=(1, 1))
    finer = from_numpy(np.zeros((16, 16)), voxel_size=(0.5, 0.5), mode="r+")
    with pytest.raises(RegionError, match=r"other voxels .*\(0.5, 0.5\).*\(1, 1\)"):
        Stitcher(grid, finer)
    with pytest.raises(ConfigError, match=r"a part of a grid.*window='crop'"):
        Stitcher(GRID[:3], np.zeros((8, 8)), window="flat")


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.zeros((3, 3)), {}, r"patch 0, which writes 0:3, 0:3: .*\(…, 6, 6\) or \(…, 4, 4\)"),
        (np.zeros(4), {}, "do not have the shape"),
        (np.zeros((3, 3)), {"window": "crop", "lead": (2,)}, r"leading axes .*\(2,\)"),
        (np.zeros((4, 4), "c8"), {}, "no numbers"),
        (np.zeros((4, 4), "i8"), {}, "labels are not averaged"),
        (np.zeros((4, 4)), {"combine": "vote"}, "no vote on numbers"),
        (np.zeros((4, 4)), {"argmax": True}, "no axis of classes"),
        (np.zeros((300, 4, 4), "f4"), {"argmax": True, "out_dtype": "u1"}, "cannot hold .*299"),
        (np.full((4, 4), np.nan), {"out_dtype": "u1"}, "NaN or infinity"),
        (np.full((4, 4), 256), {"out_dtype": "u1", "window": "crop"}, "cannot hold .*256"),
        (np.full((4, 4), 0.5), {"out_dtype": "u4", "window": "crop"}, "cannot hold .*0.5"),
    ],
)
def test_data_that_do_not_fit(data, options, message):
    options = {"window": "flat"} | options
    out = np.zeros((*options.pop("lead", ()), 8, 8), options.pop("out_dtype", "f8"))
    stitcher = Stitcher(GRID, out, **options)
    with pytest.raises((RegionError, ConfigError), match=message):
        stitcher.add(GRID[0], data)
    assert stitcher.held_voxels == 0


def test_patches_that_do_not_belong():
    stitcher = Stitcher(GRID, np.zeros((2, 8, 8)), "flat")
    stitcher.add(GRID[0], np.zeros((2, 4, 4)))
    with pytest.raises(RegionError, match=r"came already .*patch 0"):
        stitcher.add(GRID[0], np.zeros((2, 4, 4)))
    other = PatchGrid((8, 8), (4, 4), overlap=2)
    with pytest.raises(RegionError, match="another grid"):
        stitcher.add(other[1], np.zeros((2, 4, 4)))
    with pytest.raises(RegionError, match="another grid"):
        stitcher.add(PatchGrid((80, 8), (4, 4))[30], np.zeros((2, 4, 4)))
    with pytest.raises(RegionError, match="leading axes differ"):
        stitcher.add(GRID[1], np.zeros((3, 4, 4)))
    with pytest.raises(ConfigError, match="dtype differs"):
        stitcher.add(GRID[1], np.zeros((2, 4, 4), "f4"))
    with pytest.raises(RegionError, match="1 of 9"):
        stitcher.close()
