"""Batches of patches: each patch as it is read alone, each once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import from_numpy, settings
from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.patches.batches import batches
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.stitch import Stitcher
from dacapo_like.patches.together import Together
from dacapo_like.testing import sample_voxels


@given(st.data())
def test_batches_hold_the_patches_of_the_grid_in_its_order(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    patch = tuple(data.draw(st.integers(1, n)) for n in shape)
    context = data.draw(st.integers(0, 2))
    size, drop = data.draw(st.integers(1, 7)), data.draw(st.booleans())
    voxels = sample_voxels((2, *shape), "int16")
    around = np.pad(voxels, ((0, 0), (context, context), (context, context)), mode="edge")
    grid = PatchGrid(shape, patch, context=context)
    cut = grid[:: data.draw(st.sampled_from([1, -1, 3]))]
    expected = [
        around[
            (
                slice(None),
                *(slice(o + context, o + context + n) for o, n in zip(*p.read, strict=True)),
            )
        ]
        for p in cut
    ]
    found = list(batches({"raw": voxels}, cut, size, pad="edge", drop_last=drop))
    kept = len(expected) // size * size if drop else len(expected)
    assert [len(batch["raw"]) for batch in found[:-1]] == [size] * (len(found) - 1)
    assert list(itertools.chain(*(batch["index"] for batch in found))) == list(range(kept))
    for values, one in zip(itertools.chain(*(b["raw"] for b in found)), expected, strict=False):
        np.testing.assert_array_equal(values, one)
    assert sum(len(batch["raw"]) for batch in found) == kept


def test_what_comes_in_batches_is_stitched_together_again():
    voxels = sample_voxels((2, 13, 17), "uint64")
    grid = PatchGrid((13, 17), (5, 6), overlap=2, context=1).shard(0, 1)
    out = np.zeros_like(voxels)
    with Stitcher(grid, out) as stitcher:
        for batch in batches({"ids": from_numpy(voxels, axes="cyx")}, grid, 4, pad="reflect"):
            for index, values in zip(batch["index"], batch["ids"], strict=True):
                stitcher.add(grid[index], values)
    np.testing.assert_array_equal(out, voxels)


def test_several_arrays_each_with_its_own_voxels_and_context():
    raw = from_numpy(sample_voxels((12, 12), "uint8"), voxel_size=(4, 4), units="nm")
    gt = from_numpy(sample_voxels((6, 6), "uint32"), voxel_size=(8, 8), units="nm")
    both = Together({"raw": raw, "gt": gt}, (4, 4), context=1, pad={"raw": {"constant": 0}})
    grid = both.grid()
    (batch,) = batches(both, grid, len(grid))
    assert {name: values.shape for name, values in batch.items()} == {
        "raw": (9, 6, 6),
        "gt": (9, 2, 2),
        "index": (9,),
    }
    for index in range(9):
        for name, values in both.read(grid[index]).items():
            np.testing.assert_array_equal(batch[name][index], values)


def test_nothing_is_read_before_the_first_batch_and_only_what_it_needs():
    class Counted(np.ndarray):
        reads = 0

        def __getitem__(self, key):
            Counted.reads += 1
            return np.asarray(super().__getitem__(key))

    voxels = np.zeros(24, "uint8").view(Counted)
    found = batches({"raw": voxels}, PatchGrid((24,), (2,)), 2)
    assert Counted.reads == 0
    next(found)
    assert 2 <= Counted.reads <= 2 + settings.current().reads_in_flight
    assert len(list(found)) == 5
    assert Counted.reads == 6 * 2


def test_no_patches_no_batches():
    assert list(batches({"raw": np.zeros(3)}, PatchGrid((3,), (2,))[2:], 4)) == []


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"raw": np.zeros(5)}, {"batch_size": 0}, "no batch size"),
        ({"index": np.zeros(5)}, {"batch_size": 2}, "cannot have this name"),
        ({"raw": np.zeros(5)}, {"batch_size": 2, "pad": "wrap"}, "pad"),
    ],
)
def test_what_is_wrong_is_told_at_once(arrays, options, message):
    with pytest.raises(ConfigError, match=message):
        batches(arrays, PatchGrid((5,), (2,)), **options)


def test_patches_of_different_shapes_are_told_with_their_places():
    found = batches({"raw": np.zeros(5)}, PatchGrid((5,), (2,), edge="shrink"), 3)
    with pytest.raises(
        RegionError, match=r"different shapes .*raw \(1,\) at 2; expected \(2,\)"
    ) as error:
        next(found)
    assert "edge" in error.value.hint
    assert len(list(batches({"raw": np.zeros(5)}, PatchGrid((5,), (2,), edge="shrink"), 1))) == 3
