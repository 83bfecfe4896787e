"""Grids: counted and laid out by hand, and properties over random ones."""

import itertools
import json
import pickle
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st

from dacapo_like import Roi, from_numpy, open_array
from dacapo_like.errors import ConfigError, DacapoLikeError, RegionError
from dacapo_like.geometry import Box
from dacapo_like.patches.grid import PatchGrid


def spans(grid, of="box"):
    """Give (first, stop) of every patch of a grid over one axis."""
    return [(box.offset[0], box.end[0]) for box in (getattr(patch, of) for patch in grid)]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 390),
        ({"overlap": 0.5}, 1900),
        ({"overlap": 40}, 1900),
        ({"stride": 40}, 1900),
        ({"overlap": 0.5, "count": "biapy"}, 2600),
        ({"edge": "drop"}, 2 * 9 * 12),
    ],
)
def test_documented_counts(options, count):
    assert len(PatchGrid((165, 768, 1024), (80, 80, 80), **options)) == count


@pytest.mark.parametrize(
    ("options", "boxes", "writes"),
    [
        ({}, [(0, 4), (3, 7), (6, 10)], [(0, 3), (3, 6), (6, 10)]),
        ({"spacing": "stride"}, [(0, 4), (4, 8), (6, 10)], [(0, 4), (4, 7), (7, 10)]),
        ({"edge": "pad"}, [(0, 4), (4, 8), (8, 12)], [(0, 4), (4, 8), (8, 10)]),
        ({"edge": "overhang"}, [(0, 4), (4, 8), (8, 12)], [(0, 4), (4, 8), (8, 10)]),
        ({"edge": "shrink"}, [(0, 4), (4, 8), (8, 10)], [(0, 4), (4, 8), (8, 10)]),
        ({"edge": "drop"}, [(0, 4), (4, 8)], [(0, 4), (4, 8)]),
        ({"stride": 6}, [(0, 4), (6, 10)], [(0, 4), (6, 10)]),
        ({"overlap": 2}, [(0, 4), (2, 6), (4, 8), (6, 10)], [(0, 3), (3, 5), (5, 7), (7, 10)]),
    ],
)
def test_laid_out_by_hand(options, boxes, writes):
    grid = PatchGrid((10,), (4,), **options)
    assert spans(grid) == boxes
    assert spans(grid, "write") == writes


def biapy_count(n, size, overlap):
    """As BiaPy 3.7 counts patches along an axis, without its padding."""
    return int(np.ceil(n / int(size * (1 - overlap))))


@pytest.mark.parametrize(
    ("n", "size", "overlap"),
    [(165, 80, 0.5), (768, 80, 0.25), (100, 10, 0.0), (1000, 256, 0.75), (7, 5, 0.25)],
)
def test_biapys_rule(n, size, overlap):
    grid = PatchGrid((n,), (size,), overlap=overlap, count="biapy")
    assert len(grid) == biapy_count(n, size, overlap)


@pytest.mark.parametrize(("n", "size", "overlap"), [(65, 64, 0.75), (64, 64, 0.5), (64, 64, 0)])
@pytest.mark.parametrize("count", ["minimal", "biapy"])
def test_where_biapy_fails_or_repeats_patches(n, size, overlap, count):
    grid = PatchGrid((n,), (size,), overlap=overlap, count=count)
    starts = [first for first, _ in spans(grid)]
    assert starts == ([0] if n == size else [0, 1])


AXES = st.tuples(
    st.integers(1, 200),
    st.integers(1, 80),
    st.one_of(st.integers(0, 79), st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.75, 0.9])),
)


@given(
    axis=AXES,
    edge=st.sampled_from(["shift", "pad", "shrink", "overhang", "drop"]),
    spacing=st.sampled_from(["even", "stride"]),
    count=st.sampled_from(["minimal", "biapy"]),
    context=st.integers(0, 9),
)
def test_properties(axis, edge, spacing, count, context):
    n, size, overlap = axis
    assume(overlap < size and (edge != "shift" or size <= n))
    options = {"edge": edge, "spacing": spacing, "count": count, "context": context}
    if (edge, spacing) != ("shift", "even"):
        options.pop("count")
    grid = PatchGrid((n,), (size,), overlap=overlap, **options)
    boxes, writes, reads = spans(grid), spans(grid, "write"), spans(grid, "read")
    least = -(-Fraction(str(overlap)) * size // 1) if overlap < 1 else overlap
    least = min(int(least), size - 1)
    for (a, b), (c, d) in itertools.pairwise(boxes):
        assert a < c
        assert b < d
        assert b - c >= least or (edge == "shrink" and d == n)
    assert reads == [(a - context, b + context) for a, b in boxes]
    if not boxes:
        assert edge == "drop"
        assert size > n
        return
    covered = n if edge != "drop" else boxes[-1][1]
    assert writes[0][0] == 0
    assert writes[-1][1] == covered
    assert covered > n - size
    for (_, b), (c, _) in itertools.pairwise(writes):
        assert b == c
    for (a, b), (c, d) in zip(boxes, writes, strict=True):
        assert a <= c < d <= b
        assert b - a == size or edge == "shrink"
        assert edge in {"pad", "overhang"} or b <= n
    if edge == "shift" and options.get("count") != "biapy":
        stride = max(size - least, 1)
        assert len(boxes) == -(-(n - size) // stride) + 1


@given(
    n=st.integers(0, 60),
    size=st.integers(1, 20),
    more=st.integers(1, 20),
    edge=st.sampled_from(["shift", "pad", "shrink", "overhang", "drop"]),
)
def test_patches_with_gaps_between_them(n, size, more, edge):
    assume(edge != "shift" or size <= n)
    grid = PatchGrid((n,), (size,), stride=size + more, edge=edge)
    boxes, writes = spans(grid), spans(grid, "write")
    for (_, b), (c, _) in itertools.pairwise(boxes):
        assert b <= c or edge == "shift"
    for (a, b), (c, d) in zip(boxes, writes, strict=True):
        assert a <= c < d <= min(b, n)
    last = n - size if edge in {"shift", "drop"} else n - 1
    if edge != "shift":
        assert [a for a, _ in boxes] == list(range(0, last + 1, size + more))
    else:
        assert (boxes[0][0], boxes[-1][1]) == (0, n) or len(boxes) == 1


SHAPES = st.lists(AXES, min_size=1, max_size=3)


@given(axes=SHAPES, chunk=st.integers(1, 60), n=st.integers(1, 9), data=st.data())
def test_orders_and_shards(axes, chunk, n, data):
    axes = [(length, min(size, length, 40), 0) for length, size, _ in axes]
    grid = PatchGrid(
        [length for length, _, _ in axes],
        [size for _, size, _ in axes],
        overlap=data.draw(st.sampled_from([0, 0.3, 0.5])),
    )
    assume(len(grid) < 300)
    everything = list(grid)
    assert [patch.index for patch in everything] == list(range(len(grid)))
    chunks = (chunk,) * len(axes)
    ordered = grid.ordered_by(chunks)
    assert sorted(patch.index for patch in ordered) == list(range(len(grid)))
    assert all(everything[patch.index] == patch for patch in ordered)
    for options in ({}, {"by": "slab"}, {"by": "chunks", "chunks": chunks}):
        shards = [grid.shard(rank, n, **options) for rank in range(n)]
        found = [[patch.index for patch in shard] for shard in shards]
        assert sorted(itertools.chain(*found)) == list(range(len(grid)))
        again = PatchGrid.from_dict(json.loads(json.dumps(shards[-1].to_dict())))
        assert again == shards[-1]
    owners = {}
    for rank in range(n):
        for patch in grid.shard(rank, n, by="chunks", chunks=chunks):
            touched = (
                range(a // chunk, (b - 1) // chunk + 1)
                for a, b in zip(patch.write.offset, patch.write.end, strict=True)
            )
            for cell in itertools.product(*touched):
                assert owners.setdefault(cell, rank) == rank


def test_shards_by_slabs_keep_rows_together():
    grid = PatchGrid((50, 40, 30), (10, 10, 10))
    rows = [{patch.box.offset[0] for patch in grid.shard(r, 3, by="slab")} for r in range(3)]
    assert rows == [{0}, {10, 20}, {30, 40}]


def test_an_order_that_finishes_chunks():
    grid = PatchGrid((4, 6), (1, 1)).ordered_by((2, 3))
    cells = [(p.write.offset[0] // 2, p.write.offset[1] // 3) for p in grid]
    assert [cell for cell, _ in itertools.groupby(cells)] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_huge_grid_costs_nothing():
    grid = PatchGrid((10**7,) * 3, (64, 64, 64), overlap=0.5)
    assert grid.counts == (312_499,) * 3
    assert grid[-1].box == Box((10**7 - 64,) * 3, (64,) * 3)
    assert grid[len(grid) // 2].index == len(grid) // 2


def test_places_in_the_world():
    roi = Roi((100, 9.8), (40, 98))
    grid = PatchGrid(roi, (20, 49), voxel_size=(10, 9.8), context=(10, 0), overlap=0)
    assert [patch.write_roi for patch in grid] == [
        Roi((100, 9.8), (20, 49)),
        Roi((100, 58.8), (20, 49)),
        Roi((120, 9.8), (20, 49)),
        Roi((120, 58.8), (20, 49)),
    ]
    assert grid[0].roi == Roi((90, 9.8), (40, 49))
    array = from_numpy(np.zeros((3, 4, 10)), voxel_size=(10, 9.8), offset=(100, 9.8), axes="czx")
    assert PatchGrid(array, (2, 5), context=(1, 0)) == grid
    assert PatchGrid(array.spec, (20, 49), context=(10, 0), units="world") == grid


def test_slices_are_grids():
    grid = PatchGrid((100,), (10,))
    assert [p.index for p in grid[2:8:3]] == [2, 5]
    assert grid[2:8:3][-1] == grid[5]
    assert next(iter(grid[::-1])) == grid[9] == grid[-1]
    assert grid[2:8][1:3] == grid[3:5]
    assert pickle.loads(pickle.dumps(grid[2:8])) == grid[2:8]
    assert hash(grid[2:8]) == hash(grid[2:8])
    with pytest.raises(IndexError, match="patch 10 of 10"):
        grid[10]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((10,), (0,)), {}, "patch is not in whole voxels .*at least 1"),
        (((10,), (2.5,)), {}, "patch is not in whole voxels"),
        (((10,), (11,)), {}, "larger than the region .*edge: pad"),
        (((10, 10), (4,)), {}, "patch does not fit the axes"),
        (((10,), (4,)), {"overlap": 4}, "overlap as much as they are long"),
        (((10,), (4,)), {"overlap": -1}, "overlap is not in whole voxels"),
        (((10,), (4,)), {"overlap": 1.5}, "overlap is not in whole voxels"),
        (((10,), (4,)), {"overlap": 1, "stride": 3}, "both given"),
        (((10,), (4,)), {"stride": 0}, "stride is not in whole voxels"),
        (((10,), (4,)), {"context": -1}, "context is not in whole voxels"),
        (((10,), (4,)), {"edge": "shrnk"}, "did you mean .?shrink"),
        (((10,), (4,)), {"units": "world"}, "no world units"),
        (((10,), (4,)), {"count": "biapy", "edge": "pad"}, "BiaPy's count goes with"),
        (((10,), (4,)), {"voxel_size": (2,)}, "has no voxel size"),
        (((-10,), (4,)), {}, "not a shape"),
        ((Roi((0,), (10,)), (4,)), {}, "without voxels"),
        ((Roi((0,), (10,)), (4,)), {"voxel_size": (3,)}, "not on the voxel grid"),
        ((Roi((0,), (12,)), (4,)), {"voxel_size": (3,)}, "multiples of"),
    ],
)
def test_what_is_refused(arguments, options, message):
    with pytest.raises(DacapoLikeError, match=f"(?i){message}"):
        PatchGrid(*arguments, **options)


def test_shards_that_are_refused():
    grid = PatchGrid((10,), (4,))
    with pytest.raises(ConfigError, match="no such rank"):
        grid.shard(3, 3)
    with pytest.raises(ConfigError, match="chunks go with"):
        grid.shard(0, 3, by="chunks")
    with pytest.raises(ConfigError, match="only a whole grid"):
        grid[1:].ordered_by((2,))
    with pytest.raises(RegionError, match="no place in the world"):
        grid[0].roi  # noqa: B018


def decoded(grid, shape, chunk, cache):
    """Give how often each chunk is decoded, on average, with a cache of so many that forgets the one not used for longest."""
    held, count = OrderedDict(), 0
    for patch in grid:
        touched = (
            range(a // chunk, (b - 1) // chunk + 1)
            for a, b in zip(patch.read.offset, patch.read.end, strict=True)
        )
        for cell in itertools.product(*touched):
            if cell in held:
                held.move_to_end(cell)
                continue
            count += 1
            held[cell] = None
            if len(held) > cache:
                held.popitem(last=False)
    return count / np.prod([-(-n // chunk) for n in shape])


def test_columns_have_chunks_decoded_once(tmp_path):
    shape, chunk, cache = (40, 128, 128), 8, 400
    stored = zarr.create_array(tmp_path / "a.zarr", shape=shape, chunks=(chunk,) * 3, dtype="u1")
    stored.attrs.update({"axes": ["z", "y", "x"], "voxel_size": [1, 1, 1]})
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    grid = PatchGrid(array, (10, 10, 10), overlap=0.5)
    columns = grid.in_columns(array, cache * chunk**3)
    assert sorted(patch.index for patch in columns) == list(range(len(grid)))
    assert decoded(grid, shape, chunk, cache) > 2.5
    assert decoded(columns, shape, chunk, cache) < 1.35
    whole = grid.in_columns(array)  # which fits into the cache: there is nothing to win
    assert [patch.index for patch in whole] == list(range(len(grid)))
    with pytest.raises(ConfigError, match="only a whole grid"):
        grid[1:].in_columns(array)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_columns_in_any_number_of_axes(dims):
    array = from_numpy(np.zeros((2, *(12,) * dims)), axes=("c", *"zyx"[3 - dims :]))
    grid = PatchGrid(array, (5,) * dims, overlap=2, context=1)
    for cache in (1, 2000, 10**9):
        found = [patch.index for patch in grid.in_columns(array, cache)]
        assert sorted(found) == list(range(len(grid)))
