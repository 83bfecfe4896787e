"""The page for those who come from BiaPy, row by row: each has a check of what it says there is here.

What BiaPy gives stands here as literals: the answers of its own functions, of version 3.7.1.
"""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest
from page_rows import Rows

from dacapo_like import Roi, create_array, from_numpy
from dacapo_like.cremi import read_synaptic_sites
from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.patches.blockwise import run_blockwise
from dacapo_like.patches.chunks import pick_chunks
from dacapo_like.patches.extract import extract, insert
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.sampler import Balanced, PatchSampler, Rejection, Weighted
from dacapo_like.patches.stitch import Stitcher

PAGE = Rows("how-to", "come-from-biapy.md")
row = PAGE.row


@pytest.mark.parametrize("name", sorted(PAGE.names))
def test_row(name, tmp_path):
    PAGE.checks[name](tmp_path)


def test_every_row_has_a_check_and_every_check_a_row():
    PAGE.compare()


def starts(n, size, overlap, padding=0, count="biapy"):
    grid = PatchGrid((n,), (size - 2 * padding,), overlap=overlap, context=padding, count=count)
    return [patch.box.offset[0] for patch in grid]


def noise(shape, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 255, shape).astype(dtype)


PLACES = {
    (7, 5, 0.25): [0, 1, 2],
    (9, 5, 0.5): [0, 1, 2, 3, 4],
    (64, 64, 0, 8): [0, 16],
    (100, 50, 0.5, 10): [0, 12, 24, 36, 48, 60, 70],
    (100, 64, 0.5): [0, 12, 24, 36],
    (165, 80, 0): [0, 43, 85],
    (165, 80, 0.5): [0, 22, 44, 66, 85],
    (200, 64, 0.25): [0, 34, 68, 102, 136],
}
"""Where `crop_3D_data_with_overlap` puts patches: of voxels, patch, overlap and padding."""

TURNED_BACK = {(10, 5, 0.5): [0, 2, 4, 3, 5], (27, 8, 0.5): [0, 4, 8, 12, 16, 15, 19]}
REPEATED = {
    (64, 64, 0.75): [0, 0, 0, 0],
    (66, 64, 0.75): [0, 1, 0, 1, 2],
    (33, 32, 0.5): [0, 0, 1],
}
FAILING = [(65, 64, 0.75), (10, 10, 0.9), (100, 10, 0.9), (10, 5, 0.8)]
"""ValueError the first, the others ZeroDivisionError."""


@pytest.mark.parametrize("asked", [*PLACES, *TURNED_BACK])
def test_as_many_patches_as_biapy(asked):
    theirs = PLACES.get(asked) or TURNED_BACK[asked]
    ours = starts(*asked)
    assert len(ours) == len(theirs)
    assert (ours[0], ours[-1]) == (theirs[0], theirs[-1])
    steps = np.diff(ours)
    assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize("asked", [*REPEATED, *FAILING])
def test_where_biapy_repeats_patches_or_fails(asked):
    n, size, overlap = asked
    ours = starts(*asked)
    assert (ours[0], ours[-1]) == (0, n - size)
    assert all(0 < step <= max(size * (1 - overlap), 1) for step in np.diff(ours))
    assert len(ours) == len(set(REPEATED.get(asked, ours)))


@row("DATA.PATCH_SIZE")
def _(folder):
    voxels = noise((2, 12, 12, 12))
    array = from_numpy(voxels, axes="czyx", voxel_size=(40, 4, 4), units="nm")
    grid = PatchGrid(array, (6, 6, 6), context=1)
    assert extract(array, grid[0], pad="reflect").shape == (2, 8, 8, 8)
    assert PatchGrid(array, (240, 24, 24), units="world").counts == grid.counts


@row("DATA.*.OVERLAP")
def _(folder):
    shape, size = (165, 768, 1024), (80, 80, 80)
    documented = {0: 390, 0.5: 2600}
    for overlap, n in documented.items():
        assert len(PatchGrid(shape, size, overlap=overlap, count="biapy")) == n
    assert len(PatchGrid(shape, size, overlap=0.5)) == 1900
    for count in ("biapy", "minimal"):
        for patches in starts(165, 80, 0.5, count=count), starts(768, 80, 0.5, count=count):
            assert np.diff(patches).max() <= 40
    assert starts(768, 80, 40) == starts(768, 80, 0.5)


@row("DATA.*.PADDING")
def _(folder):
    voxels = noise((20, 20, 20))
    grid = PatchGrid(voxels.shape, (4, 4, 4), context=2)
    padded = np.pad(voxels, 2, "reflect")
    assert [patch.box.offset[0] for patch in grid[::25]] == [0, 4, 8, 12, 16]
    for patch in grid:
        place = tuple(slice(first, first + 8) for first in patch.box.offset)
        np.testing.assert_array_equal(extract(voxels, patch, pad="reflect"), padded[place])
    inner = from_numpy(voxels).crop(Roi((5, 5, 5), (10, 10, 10)))
    patch = PatchGrid(inner, (10, 10, 10), context=5)[0]
    np.testing.assert_array_equal(extract(from_numpy(voxels), patch), voxels)
    wide = extract(voxels, PatchGrid(voxels.shape, (4, 4, 4), context=3)[0], pad="edge")
    assert wide.shape == (10, 10, 10)


@row("DATA.TEST.MEDIAN_PADDING")
def _(folder):
    voxels = noise((2, 4, 8, 8))
    patch = PatchGrid((4, 8, 8), (4, 8, 8), context=1)[0]
    found = extract(voxels, patch, pad="median")
    np.testing.assert_array_equal(found[:, 1:-1, 1:-1, 1:-1], voxels)
    for channel, data in zip(found, voxels, strict=True):
        outside = np.ones(channel.shape, bool)
        outside[1:-1, 1:-1, 1:-1] = False
        assert set(channel[outside]) == {np.rint(np.median(data))}


@row("DATA.REFLECT_TO_COMPLETE_SHAPE")
def _(folder):
    voxels = noise((5, 6))
    [patch] = PatchGrid((5, 6), (8, 8), edge="pad")
    expected = np.pad(voxels, ((0, 3), (0, 2)), "reflect")
    np.testing.assert_array_equal(extract(voxels, patch, pad="reflect"), expected)


@row("DATA.TRAIN.EXTRACT_RANDOM_PATCH")
def _(folder):
    raw = from_numpy(noise((20, 20, 20)))
    sampler = PatchSampler({"raw": raw}, (8, 8, 8), seed=3, samples=20)
    boxes = [sample.patch.box for sample in sampler.epoch(1)]
    assert sampler.at(1, 13).patch.box == boxes[13]
    again = PatchSampler({"raw": raw}, (8, 8, 8), seed=3)
    assert [s.patch.box for s in itertools.islice(again.epoch(1, start=1, step=2), 10)] == boxes[
        1::2
    ]
    assert boxes != [sample.patch.box for sample in sampler.epoch(2)]


@row("DATA.TRAIN.PROBABILITY_MAP")
def _(folder):
    voxels = np.zeros((10, 30, 30), "uint8")
    voxels[:, 4:14, 4:14] = 1
    raw = from_numpy(voxels)
    inside = voxels > 0
    weights = np.where(inside, 0.94 / inside.sum(), 0.06 / (~inside).sum())
    strategies = {0.94: Weighted(from_numpy(weights)), 0.5: Balanced("mask", ids=[0, 1])}
    for expected, strategy in strategies.items():
        arrays = {"raw": raw, "mask": from_numpy(voxels, kind="labels")}
        sampler = PatchSampler(arrays, (1, 1, 1), strategy, samples=1000)
        hits = sum(int(sample.arrays["raw"].item()) for sample in sampler.epoch(0))
        assert abs(hits / 1000 - expected) < 5 * np.sqrt(expected * (1 - expected) / 1000)


@row("DATA.TRAIN.REPLICATE")
def _(folder):
    raw = from_numpy(np.arange(1000))
    sampler = PatchSampler({"raw": raw}, 10, samples=100)
    assert len(sampler) == 100
    assert len({sample.patch.box for sample in sampler.epoch(0)}) > 80


@row("DATA.TRAIN.FILTER_SAMPLES")
def _(folder):
    raw = from_numpy(np.arange(100, dtype="uint8"))

    def bright(arrays):
        return bool(arrays["raw"].mean() > 50)

    sampler = PatchSampler({"raw": raw}, 10, rejection=Rejection(bright), samples=50)
    assert all(bright(sample.arrays) for sample in sampler.epoch(0))
    kept = [patch for patch in PatchGrid(raw, (10,)) if bright({"raw": extract(raw, patch)})]
    assert [patch.index for patch in kept] == [5, 6, 7, 8, 9]


@row("TEST.BY_CHUNKS.ENABLE")
def _(folder):
    raw = from_numpy(noise((16, 16)), voxel_size=(4, 4), units="nm")
    outs = [
        create_array(
            folder / name, None, "yx", raw.roi, (4, 4), "uint8", chunks=(8, 8), kind="image"
        )
        for name in ("a.zarr", "b.zarr")
    ]
    grid = PatchGrid(raw, (8, 8), context=2)

    def predict(block, patch):
        return 255 - block

    options = {"journal": folder / "done", "pad": "reflect"}
    assert run_blockwise(grid, predict, raw, outs[0], **options) == 4
    assert run_blockwise(grid, predict, raw, outs[0], **options) == 0
    overlapping = PatchGrid(raw, (8, 8), overlap=0.5)
    with Stitcher(overlapping, outs[1], window="spline") as stitcher:
        for patch in overlapping:
            stitcher.add(patch, 255 - extract(raw, patch))
    for out in outs:
        np.testing.assert_array_equal(out.read(), 255 - raw.read())


@row("crop_3D_data_with_overlap")
def _(folder):
    voxels = noise((66, 20, 20))
    grid = PatchGrid(voxels.shape, (64, 10, 10), overlap=(0.75, 0, 0), count="biapy")
    assert grid.counts == (3, 2, 2)
    found = [extract(voxels, patch) for patch in grid]
    for patch, data in zip(grid, found, strict=True):
        np.testing.assert_array_equal(data, voxels[patch.box.slices])
    assert len({data.tobytes() for data in found}) == len(found)
    assert starts(65, 64, 0.75) == [0, 1]
    assert starts(64, 64, 0.75) == [0]
    assert starts(10, 10, 0.9) == [0]


@row("crop_data_with_overlap")
def _(folder):
    assert PatchGrid((100, 200), (64, 64), overlap=(0.5, 0.25), count="biapy").counts == (4, 5)
    assert PatchGrid((9, 9, 9, 9), (3, 3, 3, 3)).counts == (3, 3, 3, 3)


def cropped_and_merged(voxels, size, **options):
    out = np.empty_like(voxels)
    grid = PatchGrid(voxels.shape, (size,) * voxels.ndim, overlap=0.5, count="biapy")
    with Stitcher(grid, out, **options) as stitcher:
        for patch in grid:
            stitcher.add(patch, extract(voxels, patch))
    return out


@row("merge_3D_data_with_overlap")
def _(folder):
    images = noise((20, 20, 20)), noise((20, 20, 20), "float32")
    for voxels in images:
        merged = cropped_and_merged(voxels, 10, window="spline")
        np.testing.assert_array_equal(merged, voxels)
    constant = cropped_and_merged(np.full((9, 9, 9), 7, "uint8"), 8, window="spline")
    assert set(constant.ravel()) == {7}  # BiaPy: 6 and 7
    labels = np.random.default_rng(0).integers(0, 2**31, (20, 20, 20)).astype("uint32")
    with pytest.raises(ConfigError, match="labels are not averaged"):
        cropped_and_merged(labels, 10, window="spline")
    voted = cropped_and_merged(labels, 10, window="spline", combine="vote")
    np.testing.assert_array_equal(voted, labels)


def test_merged_by_hand():
    """Patches of 0, 1 and 2 give 0, 0.2, 2/3, 4/3, 1.8 and 2 in BiaPy; with weights of our own we rise as evenly, from 0 to 2."""
    out = np.empty(6)
    grid = PatchGrid((6,), (4,), overlap=0.5, count="biapy")
    with Stitcher(grid, out, window="spline") as stitcher:
        for patch in grid:
            stitcher.add(patch, np.full(4, float(patch.index)))
    assert (out[0], out[-1]) == (0, 2)
    assert (np.diff(out) > 0).all()
    np.testing.assert_allclose(out + out[::-1], 2)


@row("extract_3D_patch_with_overlap_and_padding_yield")
def _(folder):
    voxels = noise((20, 8, 8))
    grid = PatchGrid(voxels.shape, (4, 8, 8), context=(2, 0, 0))
    theirs = {0: [0, 4], 1: [8, 12], 2: [16]}
    parts = [grid.shard(rank, 3, by="slab") for rank in theirs]
    assert sorted(len(part) for part in parts) == sorted(map(len, theirs.values()))
    places = [patch.box.offset[0] for part in parts for patch in part]
    assert places == list(itertools.chain(*theirs.values()))
    for part in parts:
        assert all(extract(voxels, patch, pad="reflect").shape == (8, 8, 8) for patch in part)
    small = PatchGrid((9, 9, 9), (8, 8, 8), overlap=0.5)
    assert {extract(noise((9, 9, 9)), patch).shape for patch in small} == {(8, 8, 8)}


@row("chunked_tile_grid")
def _(folder):
    shape = (165, 768, 1024)
    patches = PatchGrid(shape, (48, 48, 48), context=8, edge="shrink")
    tiles = PatchGrid(shape, (96, 96, 96), context=8, edge="shrink")
    assert (patches.counts, tiles.counts) == ((4, 16, 22), (2, 8, 11))


@row("extract_patch_from_efficient_file")
def _(folder):
    array = create_array(folder / "a.zarr", None, "zyx", Roi((0, 0, 0), (3, 3, 3)), (1, 1, 1), "u1")
    array[array.roi] = voxels = noise((3, 3, 3))
    with pytest.raises(RegionError, match="leaves the array"):
        extract(array, Roi((-1, 0, 0), (3, 2, 2)))
    found = extract(array, Roi((-1, 0, 0), (3, 2, 2)), pad={"constant": 0})
    np.testing.assert_array_equal(found, np.pad(voxels[:2, :2, :2], ((1, 0), (0, 0), (0, 0))))
    assert extract(array, Roi((2, 0, 0), (3, 2, 2)), pad="edge").shape == (3, 2, 2)
    with_channel = from_numpy(voxels[None], axes="czyx", voxel_size=(1, 1, 1))
    found = extract(with_channel, Roi((0, 0, 0), (2, 2, 2)))
    np.testing.assert_array_equal(found, voxels[None, :2, :2, :2])


@row("insert_patch_in_efficient_file")
def _(folder):
    out = np.full((4, 4), 200, "uint8")
    patch = PatchGrid((4, 4), (2, 2))[3]
    insert(out, patch, np.full((2, 2), 55, "uint8"), mode="sum")
    assert out[2:, 2:].tolist() == [[255, 255], [255, 255]]
    with pytest.raises(ConfigError, match="cannot hold"):
        insert(out, patch, np.full((2, 2), 100, "uint8"), mode="sum")
    insert(out, patch, np.full((2, 2), 9, "uint8"))
    assert (out.sum(), out[3, 3]) == (12 * 200 + 4 * 9, 9)


@row("random_3D_crop_pair")
def _(folder):
    fine = np.arange(20 * 8 * 8).reshape(20, 8, 8)
    arrays = {
        "raw": from_numpy(fine[::2, ::2, ::2], voxel_size=(2, 2, 2)),
        "mask": from_numpy(fine, voxel_size=(1, 1, 1)),
    }
    sampler = PatchSampler(arrays, (4, 2, 2), samples=50)
    for sample in sampler.epoch(0):
        raw, mask = sample.arrays["raw"], sample.arrays["mask"]
        assert (raw.shape, mask.shape) == ((4, 2, 2), (8, 4, 4))
        np.testing.assert_array_equal(mask[::2, ::2, ::2], raw)
    weights = np.zeros((10, 4, 4))
    weights[8, 2, 2] = 1  # the last place that holds all of a patch around it
    sampler = PatchSampler(
        {"raw": arrays["raw"]}, (3, 3, 3), Weighted(from_numpy(weights, voxel_size=(2, 2, 2)))
    )
    sample = sampler.at(0, 0)
    assert (sample.patch.box.offset, sample.arrays["raw"].shape) == ((7, 1, 1), (3, 3, 3))


@row("random_3D_crop_single")
def _(folder):
    raw = from_numpy(noise((1, 10, 4, 4)), axes="czyx", voxel_size=(1, 1, 1))
    sample = PatchSampler({"raw": raw}, (4, 2, 2)).at(0, 0)
    place = (slice(None), *sample.patch.box.slices)
    np.testing.assert_array_equal(sample.arrays["raw"], raw.read()[place])


@row("pick_chunks")
def _(folder):
    theirs = {
        ((1000, 1000, 1000), "float32", 1): (64, 64, 64),
        ((20, 1000, 1000), "uint8", 1): (20, 128, 256),
        ((1000, 1000, 1000), "uint8", 4): (128, 128, 256),
    }
    for (shape, dtype, megabytes), expected in theirs.items():
        assert pick_chunks(shape, dtype, megabytes) == expected
    # BiaPy gives 64, 64, 64: half of the megabyte, or a quarter
    assert pick_chunks((1000, 1000, 1000), "uint8", 1, voxel_size=(40, 4, 4)) == (16, 256, 256)


@row("load_synapse_gt_points")
def _(folder):
    with h5py.File(folder / "a.hdf", "w") as file:
        group = file.create_group("annotations")
        group.attrs["offset"] = (40.0, 0.0, 0.0)
        group["ids"] = np.array([1, 2, 3, 4, 5], "uint64")
        pre, post = "presynaptic_site", "postsynaptic_site"
        group["types"] = [pre, post, post, pre, post]
        group["locations"] = [[0.0, 0, 0], [40, 8, 0], [80, 8, 0], [400, 80, 0], [440, 80, 0]]
        group["presynaptic_site/partners"] = np.array([[1, 2], [1, 3], [4, 5]], "uint64")
    sites = read_synaptic_sites(folder / "a.hdf")
    clefts = sites.positions[sites.partners].mean(axis=1)
    # BiaPy has two, in voxels of 40, 4 and 4: (0.5, 1, 0), and (6, 11, 0), which is between site 4 and site 3
    assert clefts.tolist() == [[60, 4, 0], [80, 4, 0], [460, 80, 0]]
